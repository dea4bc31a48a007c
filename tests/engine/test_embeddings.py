"""Embeddings in prompts, held against a text encoder whose token table was made longer by their vectors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tiny import tiny_components

from webui.domain.events import Notice
from webui.domain.prompt import parse_attention
from webui.domain.request import GenerationRequest
from webui.engine.chunks import Chunk, TokenCount, chunk_prompt, count_tokens, embeddings_in, units
from webui.engine.drawn import Drawn
from webui.engine.embedding_words import FIRST_ADDED_TOKEN, EmbeddingWords
from webui.engine.generate import Options, generate_batch
from webui.engine.model_manager import Model, ModelManager, Selection
from webui.engine.tokenizer import ClipTokenizer
from webui.errors import UnreadableModel
from webui.library.index import Library

TOKENIZER = ClipTokenizer()
WIDTH = 32  # of the tiny text encoder
EASY, EASYNEGATIVE, STYLE = (
    torch.randn(count, WIDTH, generator=torch.Generator().manual_seed(count)) for count in (2, 8, 3)
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.save({"string_to_param": {"*": EASY}}, tmp_path / "Easy.pt")
    save_file({"emb_params": EASYNEGATIVE}, tmp_path / "EasyNegative.safetensors")
    torch.save(
        {"string_to_param": {"*": STYLE.half()}}, tmp_path / "my-style 2.pt", _use_new_zipfile_serialization=False
    )
    return tmp_path


def library_of(folder: Path) -> Library:
    library = Library({"embedding": (folder,)}, folder / "hashes.sqlite3")
    library.rescan()
    return library


def words_of(folder: Path) -> EmbeddingWords:
    return EmbeddingWords(library_of(folder).files("embedding"), TOKENIZER)


def load(models: ModelManager, tiny_library: Library, folder: Path) -> tuple[Model, list[Any]]:
    selection = Selection(tiny_library.find("checkpoint", "a"), embeddings=library_of(folder).files("embedding"))
    events = list(models.load(selection))
    with models.use(selection) as model:
        return model, events


def chunks_of(text: str, words: EmbeddingWords) -> tuple[Chunk, ...]:
    return chunk_prompt(text, TOKENIZER, words=words)


def names_in(text: str, words: EmbeddingWords) -> list[str]:
    return [word.name for word in embeddings_in(text, TOKENIZER, words)]


@pytest.mark.parametrize("clip_skip", [1, 2])
@pytest.mark.parametrize("text", ["a cat, EasyNegative, dog", "easy", "(my-style 2:1.3) easynegative " * 12, "a cat"])
def test_an_encoder_with_a_longer_token_table_reads_the_same(
    models: ModelManager, tiny_library: Library, folder: Path, text: str, clip_skip: int
) -> None:
    model, _ = load(models, tiny_library, folder)
    longer: Any = tiny_components(seed=1)["text_encoder"]
    table = longer.get_input_embeddings().weight
    longer.get_input_embeddings().weight = torch.nn.Parameter(
        torch.cat([table, EASY, EASYNEGATIVE, STYLE.half().float()])
    )
    numbers = {"easy": [49408, 49409], "easynegative": [*range(49410, 49418)], "my-style 2": [*range(49418, 49421)]}
    content = []
    for word in text.lower().replace("(", "").replace(":1.3)", "").replace("my-style 2", "my-style_2").split():
        bare = word.rstrip(",").replace("_", " ")
        content += numbers.get(bare) or TOKENIZER.encode(bare)
        content += TOKENIZER.encode(",") if word.endswith(",") else []
    ids = [chunk.tokens for chunk in chunks_of(text, model.words)]
    assert [
        token
        for chunk, row in zip(chunks_of(text, model.words), ids, strict=True)
        for token in row[1 : 1 + chunk.length]
    ] == content
    with torch.inference_mode():
        expected = longer(torch.tensor(ids).clamp(max=49420), output_hidden_states=True)
        wanted = expected.last_hidden_state if clip_skip == 1 else longer.final_layer_norm(expected.hidden_states[-2])
        actual = model.read(torch.tensor(ids), clip_skip).states
    assert torch.equal(actual, wanted)


def test_afterwards_the_text_encoder_reads_as_before(models: ModelManager, tiny_library: Library, folder: Path) -> None:
    model, _ = load(models, tiny_library, folder)
    plain = torch.tensor([chunk.tokens for chunk in chunk_prompt("a cat", TOKENIZER)])
    with torch.inference_mode():
        before = model.read(plain, 1).states
        model.read(torch.tensor([chunk.tokens for chunk in chunks_of("easy", model.words)]), 1)
        assert torch.equal(model.read(plain, 1).states, before)
    assert not model.checkpoint.text_encoders["text_encoder"].get_input_embeddings()._forward_hooks


def test_a_picture_is_drawn_with_it_and_remembers_none_of_it(
    models: ModelManager, tiny_library: Library, folder: Path
) -> None:
    request = GenerationRequest(prompt="a easy cat", seed=1, steps=2, width=64, height=64)
    plain = Selection(tiny_library.find("checkpoint", "a"))

    def drawn() -> bytes:
        files = library_of(folder).files("embedding")
        events = generate_batch(request, 0, models, replace(plain, embeddings=files), Options(preview="off"))
        (picture,) = (event.image for event in events if isinstance(event, Drawn))
        return picture.tobytes()

    first = drawn()
    assert drawn() == first
    torch.save({"string_to_param": {"*": EASY * 3}, "name": "retrained"}, folder / "Easy.pt")
    assert drawn() != first


class TestNames:
    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("easynegative, cat", ["EasyNegative"]),
            ("EASYNEGATIVE", ["EasyNegative"]),
            ("easy negative", ["Easy"]),  # longest first, but a space ends the word
            ("(easy:1.2) [my-style 2] easy", ["Easy", "my-style 2"]),
            ("my-style", []),
            ("uneasy easily", []),
            ("embedding:easy, embedding:EasyNegative.safetensors", ["Easy", "EasyNegative"]),
            ("(embedding:my-style 2:0.8)", ["my-style 2"]),
            ("embedding:unknown", []),
            ("", []),
        ],
    )
    def test_in_a_prompt(self, folder: Path, text: str, found: list[str]) -> None:
        assert names_in(text, words_of(folder)) == found

    def test_the_prefix_is_part_of_the_name_and_leaves_no_token(self, folder: Path) -> None:
        (only,) = chunks_of("embedding:easynegative.safetensors", words_of(folder))
        assert only.length == 8

    def test_the_longest_of_those_that_begin_alike(self, folder: Path) -> None:
        torch.save({"string_to_param": {"*": EASY}}, folder / "my-style 2 extra.pt")
        assert names_in("my-style 2 extra", words_of(folder)) == ["my-style 2 extra"]
        assert names_in("my-style 2, extra", words_of(folder)) == ["my-style 2"]

    def test_a_pictures_embedding_goes_by_the_name_within(self, folder: Path) -> None:
        import base64
        import json

        from PIL import Image, PngImagePlugin

        info = PngImagePlugin.PngInfo()
        content = {"string_to_param": {"*": {"TORCHTENSOR": EASY.tolist()}}, "name": "moonlight"}
        info.add_text("sd-ti-embedding", base64.b64encode(json.dumps(content).encode()).decode())
        Image.new("RGB", (8, 8)).save(folder / "00012.png", pnginfo=info)
        assert names_in("Moonlight", words_of(folder)) == ["00012"]

    def test_the_file_of_a_word(self, folder: Path) -> None:
        words = words_of(folder)
        (word,) = embeddings_in("easy", TOKENIZER, words)
        assert words.file(word).path == folder / "Easy.pt"


class TestChunks:
    def test_vectors_count_as_tokens_and_are_weighted_together(self, folder: Path) -> None:
        words = words_of(folder)
        assert count_tokens("easynegative, bad", TOKENIZER, words) == TokenCount(10, 75)
        assert count_tokens("cat " * 70 + "easynegative", TOKENIZER, words) == TokenCount(83, 150)
        (only,) = chunks_of("a (easy:1.5)", words)
        assert only.tokens[2:4] == (FIRST_ADDED_TOKEN, FIRST_ADDED_TOKEN + 1)
        assert only.weights[:5] == (1.0, 1.0, 1.5, 1.5, 1.0)
        assert [word.name for word in only.embeddings] == ["Easy"]

    def test_equal_chunks_mean_equal_content(self, folder: Path) -> None:
        """What was encoded is remembered by its chunks."""
        before = chunks_of("easy", words_of(folder))
        assert chunks_of("easy", words_of(folder)) == before
        torch.save({"string_to_param": {"*": EASY + 1}, "name": "another"}, folder / "Easy.pt")
        assert chunks_of("easy", words_of(folder)) != before

    def test_without_embeddings_nothing_changes(self, folder: Path) -> None:
        assert chunk_prompt("easynegative, cat", TOKENIZER) == chunks_of(
            "easynegative, cat", EmbeddingWords((), TOKENIZER)
        )

    def test_a_name_is_not_found_across_brackets(self, folder: Path) -> None:
        found = list(units(parse_attention("my-(style 2)"), TOKENIZER, words_of(folder)))
        assert not any(getattr(unit, "embedding", None) for unit in found)


class TestRemarks:
    def test_vectors_of_another_width_are_skipped_and_said_once(
        self, models: ModelManager, tiny_library: Library, folder: Path
    ) -> None:
        save_file({"clip_l": torch.zeros(2, 768), "clip_g": torch.zeros(2, 1280)}, folder / "xl.safetensors")
        model, events = load(models, tiny_library, folder)
        (notice,) = (event for event in events if isinstance(event, Notice))
        assert notice.text == (
            'The embedding "xl" is skipped, because its vectors are 768 and 1280 numbers wide and those of "a" 32: '
            "it was made for another family of models."
        )
        assert names_in("xl easy", model.words) == ["Easy"]
        _, again = load(models, tiny_library, folder)
        assert again == []

    def test_more_vectors_than_a_chunk_holds_are_cut(
        self, models: ModelManager, tiny_library: Library, folder: Path
    ) -> None:
        long = torch.randn(80, WIDTH)
        save_file({"emb_params": long}, folder / "a long one.safetensors")
        model, events = load(models, tiny_library, folder)
        assert [event.text for event in events if isinstance(event, Notice)] == [
            'The embedding "a long one" has 80 vectors; only the first 75 fit into a chunk and are used.'
        ]
        first, second = chunks_of("cat, a long one", model.words)
        assert (first.length, second.length) == (2, 75)
        ids = torch.tensor([chunks_of("easynegative", model.words)[0].tokens])
        expected = torch.where(ids[..., None] >= FIRST_ADDED_TOKEN, 1, 0).sum()
        assert expected == 8
        assert model.read(ids, 1).states.shape == (1, 77, WIDTH)

    def test_a_file_that_was_exchanged_after_the_scan_is_named(
        self, models: ModelManager, tiny_library: Library, folder: Path
    ) -> None:
        selection = Selection(tiny_library.find("checkpoint", "a"), embeddings=library_of(folder).files("embedding"))
        torch.save({"string_to_param": {"*": torch.zeros(2, 768)}}, folder / "Easy.pt")
        with pytest.raises(UnreadableModel, match=r"Easy\.pt has changed"):
            list(models.load(selection))
