"""Where the tiles of SD upscale lie, in A1111's numbers."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from webui.domain.request import GenerationRequest
from webui.domain.sizes import Size
from webui.domain.tile_grid import enlarged_size, starts, tile_rows
from webui.errors import InvalidRequest

REQUEST = GenerationRequest(init_image="here", sd_upscale=True, width=512, height=512)


@pytest.mark.parametrize(
    ("length", "tile", "overlap", "expected"),
    [
        (512, 512, 64, [0]),
        (520, 512, 64, [0, 8]),
        (960, 512, 64, [0, 448]),
        (961, 512, 64, [0, 224, 449]),
        (1024, 512, 64, [0, 256, 512]),
        (1024, 512, 0, [0, 512]),
        (2048, 512, 64, [0, 384, 768, 1152, 1536]),
        (1536, 768, 64, [0, 384, 768]),
        (1000, 512, 64, [0, 244, 488]),
    ],
)
def test_tiles_are_spread_evenly(length: int, tile: int, overlap: int, expected: list[int]) -> None:
    assert starts(length, tile, overlap) == expected


@pytest.mark.parametrize("size", [Size(1024, 768), Size(1000, 2048), Size(513, 5000)])
@pytest.mark.parametrize("overlap", [0, 8, 64, 256])
def test_they_cover_the_picture_and_overlap_as_far_as_asked_for(size: Size, overlap: int) -> None:
    rows = tile_rows(size, Size(512, 384), overlap)
    for row in rows:
        assert row[0].left == 0 and row[-1].right == size.width
        assert all(one.right - other.left >= overlap for one, other in pairwise(row))
        assert all((box.width, box.height) == (512, 384) for box in row)
    assert rows[0][0].top == 0 and rows[-1][0].bottom == size.height
    assert all(one[0].bottom - other[0].top >= overlap for one, other in pairwise(rows))


def test_how_large_it_becomes() -> None:
    assert enlarged_size(REQUEST, Size(512, 768)) == (1024, 1536)
    assert enlarged_size(replace(REQUEST, sd_upscale_by=1.5), Size(515, 343)) == (768, 512)
    assert enlarged_size(replace(REQUEST, sd_upscale_upscaler="None"), Size(700, 701)) == (700, 701)


@pytest.mark.parametrize(
    ("more", "picture", "field"),
    [
        ({}, Size(200, 600), "sd_upscale_by"),
        ({}, Size(8000, 8000), "sd_upscale_by"),
        ({"sd_upscale_overlap": 512}, Size(600, 600), "sd_upscale_overlap"),
    ],
)
def test_what_cannot_be_drawn_in_tiles_is_refused(more: dict[str, int], picture: Size, field: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        enlarged_size(replace(REQUEST, **more), picture)
    assert refusal.value.field == field
