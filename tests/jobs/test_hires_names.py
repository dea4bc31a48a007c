"""Names of the second pass, as people and other programs write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from webui.domain.request import GenerationRequest
from webui.errors import InvalidRequest, ModelNotFound
from webui.jobs.hires_names import named_in_full
from webui.library.index import Library


def test_names_become_those_of_the_tables(tmp_path: Path) -> None:
    library = Library({"upscaler": (tmp_path,)}, tmp_path / "hashes.sqlite3")
    library.rescan()
    asked = GenerationRequest(
        hires=True, hires_upscaler="latent (BICUBIC)", hires_sampler="k_dpmpp_2m", hires_schedule="karras"
    )
    found = named_in_full(library, asked)
    assert (found.hires_upscaler, found.hires_sampler, found.hires_schedule) == (
        "Latent (bicubic)",
        "DPM++ 2M",
        "Karras",
    )
    split = named_in_full(
        library, GenerationRequest(hires=True, hires_upscaler="None", hires_sampler="DPM++ 2M Karras")
    )
    assert (split.hires_upscaler, split.hires_sampler) == ("Lanczos", "DPM++ 2M")
    with pytest.raises(ModelNotFound, match="4x-UltraSharp"):
        named_in_full(library, GenerationRequest(hires=True, hires_upscaler="4x-UltraSharp"))
    with pytest.raises(InvalidRequest, match="Eulre"):
        named_in_full(library, GenerationRequest(hires=True, hires_sampler="Eulre"))
