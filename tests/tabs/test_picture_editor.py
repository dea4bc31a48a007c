"""What the editor shows of "Only masked" is what the engine draws, and a new picture gets a size that suits it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from webui.domain.request import GenerationRequest
from webui.domain.sizes import Box, Size
from webui.engine.masks import prepared
from webui.tabs.components import written
from webui.tabs.picture_editor import drawn_region, suggested_size

PICTURE = Size(512, 384)


def form(**values: Any) -> dict[str, Any]:
    """What the browser asks with: parameters as their widgets write them."""
    request = GenerationRequest(**values)
    names = ("mask_blur_x", "mask_blur_y", "mask_padding", "width", "height")
    sides = ("extend_left", "extend_right", "extend_up", "extend_down")
    return {name: written(getattr(request, name)) for name in (*names, *sides)}


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"mask_blur_x": 0.0, "mask_blur_y": 0.0, "mask_padding": 0},
        {"mask_blur_x": 16.0, "mask_blur_y": 1.0, "width": 768, "height": 512},
        {"mask_blur_x": 2.0, "mask_blur_y": 7.0, "mask_padding": 200, "width": 256, "height": 1024},
        {"extend_left": 64},
        {"extend_right": 128, "extend_down": 64, "mask_padding": 8},
    ],
)
@pytest.mark.parametrize("mask", [Box(100, 120, 300, 260), Box(400, 300, 512, 384), None])
def test_the_box_that_is_shown_is_the_one_that_is_drawn(values: dict[str, Any], mask: Box | None) -> None:
    request = GenerationRequest(init_image="a" * 32, mask="b" * 32, inpaint_area="Only masked", **values)
    painted = Image.new("L", PICTURE)
    if mask:
        painted.paste(255, mask)
    drawn = prepared(request, painted.convert("RGB"), PICTURE)
    shown = drawn_region({**form(**values), "mask": mask, "picture": PICTURE})
    if drawn is None or drawn.region is None:
        assert shown is None
        return
    left, top = request.extend_left, request.extend_up
    moved = Box(*(edge - by for edge, by in zip(drawn.region, (left, top, left, top), strict=True)))
    assert shown is not None
    # what is shown of an extended picture leaves out the seam, which reaches as far into the picture as the blur
    slack = 12 if any(values.get(f"extend_{side}") for side in ("left", "right", "up", "down")) else 0
    assert max(abs(a - b) for a, b in zip(shown, moved, strict=True)) <= slack


@pytest.mark.parametrize("typed", ["", "many", "-1", None, "nan"])
def test_a_field_that_holds_no_number_shows_no_box(typed: Any) -> None:
    asked = {**form(), "mask": [10, 10, 20, 20], "picture": [64, 64]}
    assert drawn_region(asked) is not None
    for name in ("mask_blur_x", "mask_padding", "width"):
        assert drawn_region({**asked, name: typed}) is None


@given(st.integers(1, 20_000), st.integers(1, 20_000), st.sampled_from([128, 512, 1024]))
def test_a_suggested_size_can_be_drawn_and_keeps_the_shape(width: int, height: int, native: int) -> None:
    size = suggested_size(Size(width, height), Size(native, native))
    assert size.width % 8 == size.height % 8 == 0
    assert min(size) >= 64
    assert max(size) <= 8192
    if 0.4 < width / height < 2.5:
        assert 0.93 < size.width / size.height / (width / height) < 1.07
        assert 0.5 < size.width * size.height / native**2 < 2.2
