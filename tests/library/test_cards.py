"""Cards are found, put in order and filtered; notes and previews are kept beside the files and nowhere else."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest
from model_headers import HYPERNETWORK, SD1, SDXL, TEXTUAL_INVERSION, kohya_lora, write_model
from PIL import Image

from webui.errors import InvalidRequest, ModelNotFound, NotAllowed, StorageFailure, UnreadablePicture
from webui.library.cards import Card, CardQuery, Cards
from webui.library.index import Library

LORAS = {
    "castle": ("", 768, {"ss_tag_frequency": json.dumps({"x": {"tower": 5}}), "modelspec.title": "Burgen"}),
    "portrait": ("people", 768, {}),
    "film": ("styles/film", 2048, {}),
    "paint": ("styles", 768, {"ss_output_name": "brush strokes"}),
}


@pytest.fixture
def models(tmp_path: Path) -> Path:
    for age, (name, (folder, context, metadata)) in enumerate(LORAS.items()):
        path = write_model(tmp_path / "loras" / folder / f"{name}.safetensors", kohya_lora(context), metadata)
        os.utime(path, (10**9 - age, 10**9 - age))
    return tmp_path


@pytest.fixture
def library(models: Path) -> Library:
    folders = {kind: (models / f"{kind}s",) for kind in ("checkpoint", "lora", "embedding", "hypernetwork")}
    library = Library(folders, models / "var" / "cache.sqlite3", optional=[models / f"{kind}s" for kind in folders])
    library.rescan()
    return library


@pytest.fixture
def cards(library: Library, models: Path) -> Cards:
    return Cards(library, models / "var" / "previews", may_write=True)


def names(cards: Cards, kind: str = "lora", **query: object) -> list[str]:
    return [card.name for card in cards.page(CardQuery(kind, **query)).cards]  # type: ignore[arg-type]


def card(cards: Cards, name: str, kind: str = "lora") -> Card:
    return next(card for card in cards.page(CardQuery(kind)).cards if card.name == name)


def png(side: int = 900, colour: str = "red") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (side, side // 2), colour).save(out, "PNG")
    return out.getvalue()


class TestLooking:
    @pytest.mark.parametrize(
        ("sort", "order"),
        [
            ("name", ["castle", "film", "paint", "portrait"]),
            ("newest", ["castle", "portrait", "film", "paint"]),
            ("largest", ["film", "castle", "paint", "portrait"]),
            ("folder", ["castle", "portrait", "paint", "film"]),
            ("of no such order", ["castle", "film", "paint", "portrait"]),
        ],
    )
    def test_order(self, cards: Cards, sort: str, order: list[str]) -> None:
        assert names(cards, sort=sort) == order

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("CAST", ["castle"]),
            ("burgen tower", ["castle"]),  # title and tags
            ("brush", ["paint"]),  # name at training
            ("styles", ["film", "paint"]),  # folder
            ("styles brush", ["paint"]),
            ("nothing like it", []),
            (" \t", ["castle", "film", "paint", "portrait"]),
        ],
    )
    def test_all_words_must_be_somewhere(self, cards: Cards, text: str, found: list[str]) -> None:
        assert names(cards, text=text) == found

    def test_folders_hold_those_below(self, cards: Cards) -> None:
        assert cards.folders("lora") == [("people", 1), ("styles", 2), ("styles/film", 1)]
        assert names(cards, folder="styles") == ["film", "paint"]
        assert names(cards, folder="styles/film") == ["film"]
        assert names(cards, folder="style") == []

    def test_a_piece_at_a_time(self, cards: Cards) -> None:
        page = cards.page(CardQuery("lora", text="a", offset=1, count=1))
        assert ([card.name for card in page.cards], page.matching, page.total) == (["paint"], 3, 4)
        assert names(cards, offset=-3, count=2) == ["castle", "film"]
        assert names(cards, offset=99) == []

    def test_what_does_not_fit_says_why_and_can_be_left_out(self, cards: Cards) -> None:
        assert [card.misfit("sd1") for card in cards.page(CardQuery("lora")).cards] == [
            "",
            "It was made for SDXL; the chosen checkpoint is of Stable Diffusion 1.",
            "",
            "",
        ]
        assert names(cards, family="sd1", fitting=True) == ["castle", "paint", "portrait"]
        assert names(cards, family="unknown", fitting=True) == ["castle", "film", "paint", "portrait"]

    @pytest.mark.parametrize(
        ("base", "family"),
        [("SD 1.5", "sd1"), ("SDXL 1.0", "sdxl"), ("Pony", "sdxl"), ("SD2", "sd2"), ("sdxl_base_v1-0", "sdxl"),
         ("Flux.1 D", "flux"), ("stable-diffusion-v1/lora", "sd1"), ("sd_v1", "sd1"), ("SD 3.5", "sd3"), ("?", "unknown")],
    )  # fmt: skip
    def test_a_family_that_tensors_do_not_tell_is_told_by_people(self, tmp_path: Path, base: str, family: str) -> None:
        write_model(
            tmp_path / "a.safetensors", {"lora_unet_x.lora_down.weight": (4, 16)}, {"ss_base_model_version": base}
        )
        library = Library({"lora": (tmp_path,)}, tmp_path / "cache.sqlite3")
        library.rescan()
        assert card(Cards(library, tmp_path / "previews", may_write=True), "a").family == family

    def test_every_kind_that_a_form_can_use(self, models: Path, library: Library, cards: Cards) -> None:
        write_model(models / "checkpoints" / "base.safetensors", SD1)
        write_model(models / "embeddings" / "veiled.safetensors", TEXTUAL_INVERSION)
        write_model(models / "loras" / "hyper.safetensors", HYPERNETWORK)
        library.rescan()
        assert names(cards, "checkpoint") == ["base"]
        assert names(cards, "embedding") == ["veiled"]
        assert names(cards, "hypernetwork") == ["hyper"]
        assert names(cards, "secrets") == []

    def test_several_model_folders_are_told_apart_without_telling_where_they_are(
        self, models: Path, tmp_path: Path
    ) -> None:
        write_model(tmp_path / "disk" / "loras" / "more" / "x.safetensors", kohya_lora(768))
        folders = (models / "loras", tmp_path / "disk" / "loras")
        library = Library({"lora": folders}, tmp_path / "cache.sqlite3")
        library.rescan()
        cards = Cards(library, tmp_path / "previews", may_write=True)
        assert [name for name, _ in cards.folders("lora")] == [
            "loras", "loras/people", "loras/styles", "loras/styles/film", "loras (2)", "loras (2)/more",
        ]  # fmt: skip
        assert names(cards, folder="loras (2)") == ["x"]

    def test_problems_are_told(self, models: Path, library: Library, cards: Cards) -> None:
        assert cards.problems() == []
        (models / "loras" / "page.safetensors").write_bytes(b"<!doctype html>")
        (models / "loras" / "gone.safetensors").symlink_to(models / "loras" / "nowhere.safetensors")
        library.rescan()
        of_folder, of_file = cards.problems()
        assert "gone.safetensors cannot be looked at" in of_folder
        assert "page.safetensors is a web page" in of_file
        assert cards.problems(of_folders=False) == [of_file]

    def test_metadata_is_cut_to_what_a_person_reads(self, models: Path, library: Library, cards: Cards) -> None:
        write_model(models / "loras" / "long.safetensors", kohya_lora(768), {"a": "x" * 100_000, "b": "y"})
        library.rescan()
        metadata = cards.metadata(card(cards, "long").id)
        assert metadata == {"a": "x" * 4000 + "… (100,000 letters)", "b": "y"}

    def test_who_asks_for_a_card_that_is_gone_is_told(self, models: Path, library: Library, cards: Cards) -> None:
        gone = card(cards, "castle").id
        (models / "loras" / "castle.safetensors").unlink()
        library.rescan()
        with pytest.raises(ModelNotFound, match="not in the model folders any more"):
            cards.card(gone)
        assert str(models) not in gone


NOTES = {
    "description": "A castle.",
    "activation_text": "castle",
    "preferred_weight": "0,8",
    "negative_text": "",
    "notes": "n",
}


class TestNotes:
    def test_they_are_a1111s(self, models: Path, cards: Cards) -> None:
        beside = models / "loras" / "castle.json"
        beside.write_text('{"sd version": "SD1", "somebody else\'s": [1]}')
        after = cards.write_notes(card(cards, "castle").id, NOTES)
        assert json.loads(beside.read_text("utf-8")) == {
            "sd version": "SD1",
            "somebody else's": [1],
            "description": "A castle.",
            "activation text": "castle",
            "preferred weight": 0.8,
            "negative text": "",
            "notes": "n",
        }
        assert after.file.about["activation_text"] == "castle"
        assert names(cards, text="a castle.") == ["castle"]
        assert [path.name for path in (models / "loras").iterdir() if path.is_file()].count("castle.json") == 1

    @pytest.mark.parametrize("weight", ["much", "nan", "1e9", "inf"])
    def test_a_weight_is_a_number(self, models: Path, cards: Cards, weight: str) -> None:
        with pytest.raises(InvalidRequest, match="from -10 to 10"):
            cards.write_notes(card(cards, "castle").id, {"preferred_weight": weight})
        assert not (models / "loras" / "castle.json").exists()

    @pytest.mark.parametrize("values", [{"path": "x"}, {"description": 7}, {"notes": "x" * 50_000}])
    def test_what_is_no_note_is_refused(self, cards: Cards, values: dict[str, object]) -> None:
        with pytest.raises(InvalidRequest):
            cards.write_notes(card(cards, "castle").id, values)

    def test_a_damaged_file_is_not_overwritten(self, models: Path, cards: Cards) -> None:
        beside = models / "loras" / "castle.json"
        beside.write_text("{")
        with pytest.raises(NotAllowed, match=r"castle\.json is not valid JSON.*left as it is"):
            cards.write_notes(card(cards, "castle").id, NOTES)
        assert beside.read_text() == "{"

    def test_a_setting_forbids_them(self, library: Library, models: Path) -> None:
        cards = Cards(library, models / "var" / "previews", may_write=False)
        with pytest.raises(NotAllowed, match="write_model_notes"):
            cards.write_notes(card(cards, "castle").id, NOTES)
        with pytest.raises(NotAllowed, match="write_model_notes"):
            cards.set_preview(card(cards, "castle").id, png(), "")

    def test_a_folder_that_cannot_be_written_to_is_a_sentence(
        self, cards: Cards, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("webui.library.notes.tempfile.mkstemp", refuse)
        with pytest.raises(
            StorageFailure, match=r"portrait\.json cannot be written into the folder people: Permission denied"
        ):
            cards.write_notes(card(cards, "portrait").id, NOTES)

    def test_a_link_of_that_name_is_replaced_and_not_followed(self, models: Path, cards: Cards, tmp_path: Path) -> None:
        outside = tmp_path / "outside.json"
        outside.write_text("{}")
        (models / "loras" / "castle.json").symlink_to(outside)
        cards.write_notes(card(cards, "castle").id, NOTES)
        assert outside.read_text() == "{}"
        assert not (models / "loras" / "castle.json").is_symlink()


class TestPreviews:
    def test_one_is_written_beside_the_file_and_shown_small(self, models: Path, cards: Cards) -> None:
        chosen = card(cards, "portrait")
        with pytest.raises(UnreadablePicture):
            cards.preview(chosen.id, 256)
        after = cards.set_preview(chosen.id, png(), "a cat\nSteps: 20")
        assert after.found.preview == models / "loras" / "people" / "portrait.preview.png"
        with Image.open(after.found.preview) as written:
            assert (written.size, written.text["parameters"]) == ((768, 384), "a cat\nSteps: 20")
        with Image.open(io.BytesIO(cards.preview(chosen.id, 256))) as small:
            assert (small.size, small.format) == ((256, 128), "WEBP")

    def test_the_small_one_is_kept_until_the_picture_changes(
        self, models: Path, library: Library, cards: Cards
    ) -> None:
        beside = models / "loras" / "castle.png"
        beside.write_bytes(png(colour="red"))
        library.rescan()
        chosen = card(cards, "castle")
        red = cards.preview(chosen.id, 256)
        beside.write_bytes(b"unreadable")
        assert cards.preview(chosen.id, 256) == red, "asked before the folders are looked at again"
        beside.write_bytes(png(colour="blue"))
        os.utime(beside, (1, 1))
        library.rescan()
        assert cards.preview(chosen.id, 256) != red
        assert len(list((models / "var" / "previews").rglob("*.webp"))) == 1

    @pytest.mark.parametrize("content", [b"", b"GIF89a" + b"\0" * 50, b"\x89PNG\r\n\x1a\n" + b"\0" * 50])
    def test_what_is_no_picture_is_not_shown(
        self, models: Path, library: Library, cards: Cards, content: bytes
    ) -> None:
        (models / "loras" / "castle.png").write_bytes(content)
        library.rescan()
        with pytest.raises(UnreadablePicture, match=r"castle\.png is no picture"):
            cards.preview(card(cards, "castle").id, 256)

    def test_a_preview_that_became_a_link_to_elsewhere_is_not_shown(
        self, models: Path, library: Library, cards: Cards
    ) -> None:
        beside = models / "loras" / "castle.png"
        beside.write_bytes(png())
        library.rescan()
        secret = models / "secret.png"
        beside.rename(secret)
        beside.symlink_to(secret)
        with pytest.raises(UnreadablePicture, match="outside the model folders"):
            cards.preview(card(cards, "castle").id, 256)

    def test_a_huge_picture_is_refused(self, models: Path, library: Library, cards: Cards) -> None:
        Image.new("1", (20_000, 20_000)).save(models / "loras" / "castle.png")
        library.rescan()
        with pytest.raises(UnreadablePicture):
            cards.preview(card(cards, "castle").id, 256)

    def test_a_checkpoint_may_have_one_too(self, models: Path, library: Library, cards: Cards) -> None:
        write_model(models / "checkpoints" / "xl.safetensors", SDXL)
        library.rescan()
        chosen = card(cards, "xl", "checkpoint")
        assert cards.set_preview(chosen.id, png(), "").found.preview == models / "checkpoints" / "xl.preview.png"
