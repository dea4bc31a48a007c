"""From the names in a request to the model files that it is drawn with."""

from __future__ import annotations

from pathlib import Path

import pytest
from model_headers import REFINER, SD1, SD2, SDXL, TAESD_DECODER, write_model

from webui.domain.request import GenerationRequest
from webui.errors import ModelNotFound
from webui.jobs.drawing import select
from webui.jobs.named_files import NamedFiles
from webui.library.index import Library


@pytest.fixture
def library(tmp_path: Path) -> Library:
    for name, shapes in (("one", SD1), ("two", SD2), ("xl", SDXL), ("fine", REFINER)):
        write_model(tmp_path / "checkpoints" / f"{name}.safetensors", shapes)
    for name in ("taesd_decoder", "taesdxl_decoder"):
        write_model(tmp_path / "taesd" / f"{name}.safetensors", TAESD_DECODER)
    folders = {"checkpoint": (tmp_path / "checkpoints",), "taesd": (tmp_path / "taesd",)}
    library = Library(folders, tmp_path / "hashes.sqlite3")
    library.rescan()
    return library


def request(checkpoint: str, **more: object) -> GenerationRequest:
    return GenerationRequest(checkpoint=checkpoint, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("checkpoint", "taesd"),
    [("one", "taesd_decoder"), ("two", "taesd_decoder"), ("xl", "taesdxl_decoder"), ("fine", "taesdxl_decoder")],
)
def test_previews_are_by_the_taesd_of_the_same_latents(library: Library, checkpoint: str, taesd: str) -> None:
    selection = select(library, request(checkpoint), NamedFiles(), want_taesd=True)
    assert selection.taesd is not None
    assert selection.taesd.name == taesd


def test_the_refiner_is_found_by_name_and_by_what_a_picture_says(library: Library) -> None:
    for name in ("fine", "FINE.safetensors"):
        selection = select(library, request("xl", refiner_checkpoint=name), NamedFiles())
        assert selection.refiner is not None
        assert selection.refiner.family == "sdxl-refiner"
    with pytest.raises(ModelNotFound, match='There is no checkpoint "finer"'):
        select(library, request("xl", refiner_checkpoint="finer"), NamedFiles())


@pytest.mark.parametrize(
    "idle", [{}, {"refiner_checkpoint": "None"}, {"refiner_checkpoint": "fine", "refiner_switch_at": 1.0}]
)
def test_one_whose_turn_never_comes_is_not_loaded(library: Library, idle: dict[str, object]) -> None:
    assert select(library, request("xl", **idle), NamedFiles()).refiner is None
