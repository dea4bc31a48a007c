"""Masks: what is handed in becomes what A1111 makes of it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from webui.domain.request import GenerationRequest
from webui.domain.sizes import Size
from webui.engine.masks import binary, blurred, filled, kernel_size, latent_mask, prepared

REQUEST = GenerationRequest(init_image="a", mask="b", width=512, height=512, mask_blur_x=0, mask_blur_y=0)


def rectangle(size: tuple[int, int], box: tuple[int, int, int, int], value: int = 255) -> Image.Image:
    """``box`` as in the facts of A1111: from (left, top) up to, not including, (right, bottom)."""
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).rectangle((box[0], box[1], box[2] - 1, box[3] - 1), fill=value)
    return mask


@pytest.mark.parametrize(("sigma", "size"), [(1, 7), (4, 21), (8, 41), (16, 81), (64, 321)])
def test_the_kernel_of_the_blur(sigma, size):
    assert kernel_size(sigma) == size
    spread = np.asarray(blurred(rectangle((801, 1), (400, 0, 401, 1)), sigma, 0))[0]
    step = np.asarray(blurred(rectangle((801, 1), (400, 0, 801, 1)), sigma, 0))[0].astype(int)
    assert not spread[: 400 - size // 2].any() and not spread[401 + size // 2 :].any()
    # the edge of a surface, blurred, is the normal distribution, but for the ends that are cut off
    x = 400 + sigma
    assert step[x] == pytest.approx(255 * 0.5 * (1 + math.erf((sigma + 0.5) / sigma / math.sqrt(2))), abs=3)
    assert step[399] + step[400] == pytest.approx(255, abs=1)


def test_each_direction_has_a_blur_of_its_own():
    dot = rectangle((64, 64), (30, 30, 34, 34))
    across, down = (np.asarray(blurred(dot, *sigmas)) > 0 for sigmas in ((6, 0), (0, 6)))
    assert across.any(1).sum() == 4 and across.any(0).sum() > 12
    assert np.array_equal(down, across.T)
    assert blurred(dot, 0, 0).tobytes() == dot.tobytes()


def test_a_blur_wider_than_the_picture():
    assert np.asarray(blurred(rectangle((3, 3), (0, 0, 3, 3)), 64, 64)).min() == 255
    assert blurred(Image.new("L", (1, 1), 200), 8, 8).getpixel((0, 0)) == 200


def test_what_is_transparent_counts_and_else_what_is_bright():
    glass = Image.new("RGBA", (4, 1))
    for x, alpha in enumerate((0, 128, 129, 255)):
        glass.putpixel((x, 0), (255, 255, 255, alpha))
    assert list(binary(glass).tobytes()) == [0, 0, 255, 255]
    assert list(binary(glass, soft=True).tobytes()) == [0, 128, 129, 255]
    grey = Image.new("RGB", (1, 1), (100, 100, 100))
    assert binary(grey).getpixel((0, 0)) == 100


@pytest.mark.parametrize(
    ("picture", "box", "padding", "region"),
    [
        ((512, 512), (100, 120, 200, 160), 32, (68, 58, 232, 222)),
        ((1024, 768), (960, 700, 1024, 768), 32, (924, 668, 1024, 768)),
        ((800, 600), (100, 100, 228, 132), 0, (100, 52, 228, 180)),
    ],
)
def test_only_what_is_masked_with_its_surroundings(picture, box, padding, region):
    request = replace(REQUEST, inpaint_area="Only masked", mask_padding=padding)
    mask = prepared(request, rectangle(picture, box), Size(*picture))
    assert mask is not None and mask.region == region
    assert mask.drawn.size == (512, 512)
    assert mask.overlay.size == picture


def test_the_whole_picture_is_overlaid_where_the_mask_is_half_or_more():
    request = replace(REQUEST, width=64, height=64, mask_blur_x=4, mask_blur_y=4)
    mask = prepared(request, rectangle((64, 64), (32, 0, 64, 64)), Size(64, 64))
    assert mask is not None and mask.region is None
    drawn, overlay = np.asarray(mask.drawn, int), np.asarray(mask.overlay, int)
    assert np.array_equal(overlay, np.minimum(2 * drawn, 255))
    assert overlay[:, 34:].min() == 255 and overlay[:, :20].max() == 0


def test_inverted_it_covers_the_rest():
    mask = rectangle((512, 512), (0, 0, 512, 100))
    inverted = prepared(replace(REQUEST, mask_invert=True), mask, Size(512, 512))
    assert inverted is not None and inverted.whole.getbbox() == (0, 100, 512, 512)


@pytest.mark.parametrize(("value", "invert"), [(0, False), (255, True)])
def test_a_mask_that_covers_nothing_is_none(value, invert):
    mask = Image.new("L", (64, 64), value)
    assert prepared(replace(REQUEST, mask_invert=invert), mask, Size(64, 64)) is None


def test_a_white_mask_covers_everything():
    for area in ("Whole picture", "Only masked"):
        mask = prepared(replace(REQUEST, inpaint_area=area), Image.new("L", (64, 64), 255), Size(64, 64))
        assert mask is not None and mask.drawn.getextrema() == mask.overlay.getextrema() == (255, 255)


def test_on_the_latent_grid_it_is_all_or_nothing_unless_soft():
    mask = rectangle((64, 64), (0, 0, 30, 64))
    hard, soft = (latent_mask(mask, 8, 8, soft=soft) for soft in (False, True))
    assert hard.shape == soft.shape == (1, 1, 8, 8)
    assert hard[0, 0, 0].tolist() == [1, 1, 1, 1, 0, 0, 0, 0]
    assert torch.equal(soft.round(), hard) and not torch.equal(soft, hard)


def test_a_hole_is_filled_with_the_colours_around_it():
    picture = Image.new("RGB", (96, 96), (20, 120, 220))
    hole = rectangle((96, 96), (32, 32, 64, 64))
    picture.paste((255, 0, 0), (32, 32, 64, 64))
    result = np.asarray(filled(picture, hole), int)
    assert (
        np.abs(result - (20, 120, 220)).max() <= 6
    )  # nothing of the red; 8-bit blurs of what is nearly transparent err


@pytest.mark.parametrize("side", ["extend_left", "extend_right", "extend_up", "extend_down"])
def test_outpainting_masks_what_is_new_and_hides_the_seam(side):
    request = replace(REQUEST, mask="", **{side: 64})
    mask = prepared(request, None, Size(128, 128))
    assert mask is not None
    turned = {"extend_left": 0, "extend_right": 2, "extend_up": 1, "extend_down": -1}[side]
    row = np.rot90(np.asarray(mask.whole), turned)[50]
    assert list(row[:64]) == [255] * 64  # new
    assert list(row[64:72]) == [255] * 8  # overlap
    assert not row[72:].any()


def test_outpainting_keeps_what_is_masked_besides():
    request = replace(REQUEST, extend_left=64, mask_invert=True)
    mask = prepared(request, rectangle((128, 128), (0, 0, 128, 100)), Size(128, 128))
    assert mask is not None
    pixels = np.asarray(mask.whole)
    assert pixels.shape == (128, 192)
    assert pixels[:, :72].all() and pixels[100:].all() and not pixels[:100, 72:].any()
