"""The library answers before every file is read, and never wrongly."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from model_headers import SD1, TEXTUAL_INVERSION, kohya_lora, write_model

from webui.errors import ModelNotFound
from webui.library import descriptions
from webui.library.describe import describe
from webui.library.index import Library
from webui.library.model_file import ModelFile
from webui.library.scan import Found, scan
from webui.library.survey import Survey


class Reader:
    """Reads headers only as often as it is allowed to; notes in which order."""

    def __init__(self) -> None:
        self.read: list[str] = []
        self._allowed = threading.Semaphore(0)
        self._open = threading.Event()

    def allow(self, files: int) -> None:
        for _ in range(files):
            self._allowed.release()

    def open(self) -> None:
        self._open.set()
        self.allow(1000)

    def __call__(self, found: Found) -> ModelFile:
        if found.kind != "checkpoint" and not self._open.is_set():
            assert self._allowed.acquire(timeout=30)
        self.read.append(found.path.stem)
        return describe(found)


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    reader = Reader()
    monkeypatch.setattr(descriptions, "describe", reader)
    yield reader
    reader.open()


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    write_model(tmp_path / "checkpoints" / "base.safetensors", SD1)
    for number in range(60):
        trained = {"ss_output_name": f"trained {number}", "sshs_model_hash": f"{number:064x}"}
        write_model(tmp_path / "loras" / f"lora{number:02}.safetensors", kohya_lora(768), trained)
    write_model(tmp_path / "loras" / "z" / "lora00.safetensors", kohya_lora(768))
    write_model(tmp_path / "loras" / "veiled lady.safetensors", TEXTUAL_INVERSION)
    folders = {"checkpoint": (tmp_path / "checkpoints",), "lora": (tmp_path / "loras",)}
    library = Library(folders, tmp_path / "cache.sqlite3")
    yield library
    library.close()


def test_checkpoints_are_there_at_once_and_the_rest_follows(library: Library, reader: Reader) -> None:
    library.begin_scan()
    assert [file.name for file in library.files("checkpoint")] == ["base"]
    assert (library.progress.done, library.progress.total) == (1, 63)
    version = library.progress.version
    reader.open()
    library.settle()
    assert len(library.files("lora")) == 61
    assert library.progress.is_over
    assert library.progress.version > version


def test_who_sees_that_all_are_done_sees_all_of_them(library: Library, reader: Reader) -> None:
    """Or a page that asks until all are done would miss the last ones for good."""
    seen = scan({"lora": library.roots[1:]})
    told: list[int] = []

    def publish(described: Mapping[Found, ModelFile]) -> None:
        assert survey.done == (told[-1] if told else 0), "not before they are published"
        told.append(len(described))

    survey = Survey(seen, library._descriptions, {}, publish)
    reader.open()
    survey.begin()
    survey.wait()
    assert survey.done == survey.total == told[-1] == 62


def test_a_file_that_is_named_is_read_next(library: Library, reader: Reader) -> None:
    library.begin_scan()
    reader.allow(26)  # the batch that is being read, and one more
    assert library.find("lora", "LORA57.safetensors").name == "lora57"
    assert reader.read[-1] == "lora57"
    assert not library.progress.is_over


def test_two_of_the_same_name_are_never_taken_for_one(library: Library, reader: Reader) -> None:
    library.begin_scan()
    reader.allow(27)
    assert [library.find("lora", name).name for name in ("z/lora00", "lora00")] == ["z/lora00", "lora00"]


def test_embeddings_are_found_by_the_words_of_a_prompt(library: Library, reader: Reader) -> None:
    library.begin_scan()
    reader.allow(26)
    library.read_named("avsveiledladywithahat")
    assert [file.name for file in library.files("embedding")] == ["veiled lady"]


def test_what_is_not_there_is_refused_only_when_everything_was_read(library: Library, reader: Reader) -> None:
    library.begin_scan()
    threading.Timer(0.05, reader.open).start()
    assert library.find("lora", "Trained 31").name == "lora31"  # the name it was trained under
    with pytest.raises(ModelNotFound, match="lora30"):
        library.find("lora", "lora 30")


def test_a_new_look_ends_the_old_one_and_keeps_what_that_has_read(library: Library, reader: Reader) -> None:
    library.begin_scan()
    reader.allow(40)
    threading.Timer(0.05, reader.open).start()
    library.rescan()
    assert len(library.files("lora")) == 61
    assert len(reader.read) == len(set(reader.read)) + 1, "only lora00 is there twice"


def test_who_looks_for_a_file_while_the_library_closes_is_answered(library: Library, reader: Reader) -> None:
    library.begin_scan()
    threading.Timer(0.05, reader.open).start()
    library.close()
    library.files("lora")
    with pytest.raises(ModelNotFound):
        library.find("lora", "none of these")


def test_the_name_at_training_gives_way_to_file_names_and_is_refused_where_two_bear_it(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write_model(
            tmp_path / f"{name}.safetensors", kohya_lora(768), {"ss_output_name": {"b": "a"}.get(name, "twice")}
        )
    write_model(tmp_path / "d.safetensors", kohya_lora(768), {"ss_output_name": "twice"})
    library = Library({"lora": (tmp_path,)}, tmp_path / "cache.sqlite3")
    library.rescan()
    assert library.find("lora", "a").path.stem == "a"
    with pytest.raises(ModelNotFound, match=r'several LoRA files called "twice"'):
        library.find("lora", "twice")


def test_a_lora_is_known_by_the_hash_that_it_states(library: Library, reader: Reader) -> None:
    reader.open()
    library.rescan()
    assert [file.name for file in library.with_hash("lora", f"{42:064x}"[:64])] == ["lora42"]
