"""Results laid over their source, and given its colours."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from webui.domain.request import GenerationRequest
from webui.domain.sizes import Box, Extension, Size
from webui.engine.overlay import laid_over, recoloured, uncropped
from webui.engine.resizing import extended, flattened, resized
from webui.engine.soft_overlay import soft_overlay, windowed_mean


def noise(size: tuple[int, int], seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def test_black_keeps_the_source_and_white_takes_the_result_to_the_last_bit():
    source, drawn = noise((32, 32), 1), noise((32, 32), 2)
    mask = Image.new("L", (32, 32))
    mask.paste(255, (0, 0, 16, 32))
    mask.paste(128, (16, 0, 20, 32))
    result, old, new = (np.asarray(image, int) for image in (laid_over(drawn, source, mask, None), source, drawn))
    assert np.array_equal(result[:, 20:], old[:, 20:])
    assert np.array_equal(result[:, :16], new[:, :16])
    assert np.abs(result[:, 16:20] - (old + new)[:, 16:20] / 2).max() <= 2


def test_a_region_goes_to_its_place():
    source, drawn = noise((40, 30)), Image.new("RGB", (64, 64), "red")
    region = Box(10, 5, 26, 21)
    result = np.asarray(laid_over(drawn, source, Image.new("L", (40, 30), 255), region))
    assert (result[5:21, 10:26] == (255, 0, 0)).all()
    mask = Image.new("L", (40, 30))
    mask.paste(255, (12, 7, 20, 15))
    result = np.asarray(laid_over(drawn, source, mask, region))
    outside = np.ones((30, 40), bool)
    outside[7:15, 12:20] = False
    assert np.array_equal(result[outside], np.asarray(source)[outside])
    assert uncropped(Image.new("L", (8, 8), 9), region, Size(40, 30)).getbbox() == region


class TestColours:
    def test_the_result_takes_the_colours_of_the_source(self):
        source = Image.fromarray((np.asarray(noise((48, 48), 1)) * [0.5, 0.3, 0.9] + [10, 90, 0]).astype(np.uint8))
        drawn = noise((48, 48), 2)
        before, after, wanted = (
            np.asarray(image, float).reshape(-1, 3).mean(0) for image in (drawn, recoloured(drawn, source), source)
        )
        tint = [values - values.mean() for values in (before, after, wanted)]
        assert np.abs(tint[1] - tint[2]).max() < 0.3 * np.abs(tint[0] - tint[2]).max()

    def test_light_stays(self):
        drawn = noise((48, 48), 2).resize((24, 24)).resize((48, 48))
        source = Image.fromarray((np.asarray(noise((48, 48), 1)) // 2 + 60).astype(np.uint8))
        light = [np.asarray(image) @ [0.3, 0.59, 0.11] for image in (drawn, recoloured(drawn, source))]
        assert np.abs(light[0] - light[1]).max() < 2

    def test_the_same_picture_stays_as_it_is_but_for_rounding(self):
        picture = noise((48, 48)).resize((96, 96))
        assert np.abs(np.asarray(recoloured(picture, picture), int) - np.asarray(picture, int)).mean() < 3

    @pytest.mark.parametrize("colour", ["black", "white", "gray"])
    def test_greys_are_no_hindrance(self, colour):
        grey = Image.new("RGB", (8, 8), colour)
        assert np.abs(np.asarray(recoloured(grey, grey), int) - np.asarray(grey, int)).max() <= 1


class TestResizing:
    def test_nothing_changes_at_the_same_size(self):
        picture = noise((40, 24))
        for mode in ("Just resize", "Crop and resize", "Resize and fill"):
            assert resized(picture, Size(40, 24), mode).tobytes() == picture.tobytes()

    def test_bands_show_the_nearest_pixels(self):
        picture = Image.new("RGB", (80, 40), "red")
        picture.paste("blue", (0, 20, 80, 40))
        filled = resized(picture, Size(80, 80), "Resize and fill")
        assert [filled.getpixel((40, y)) for y in (0, 19, 60, 79)] == [(255, 0, 0)] * 2 + [(0, 0, 255)] * 2
        upright = resized(picture.rotate(90, expand=True), Size(80, 80), "Resize and fill")
        assert [upright.getpixel((x, 40)) for x in (0, 79)] == [(255, 0, 0), (0, 0, 255)]

    def test_a_crop_loses_the_sides(self):
        picture = Image.new("RGB", (800, 600), "green")
        picture.paste("red", (0, 0, 60, 600))
        cropped = resized(picture, Size(512, 512), "Crop and resize")
        assert cropped.size == (512, 512) and cropped.getpixel((5, 5)) == (0, 128, 0)

    def test_glass_on_a_ground(self):
        glass = Image.new("RGBA", (2, 1), (255, 0, 0, 0))
        glass.putpixel((1, 0), (255, 0, 0, 127))
        flat = flattened(glass, "#0000ff")
        assert flat.getpixel((0, 0)) == (0, 0, 255)
        assert flat.getpixel((1, 0))[0] == pytest.approx(127, abs=1)

    @pytest.mark.parametrize("fill", ["noise", "mirror", "edge"])
    def test_a_picture_stays_itself_on_a_larger_canvas(self, fill):
        picture = noise((24, 16))
        grown = extended(picture, Extension(32, 8, 40, 0), fill)
        assert grown.size == (64, 56)
        assert grown.crop((32, 40, 56, 56)).tobytes() == picture.tobytes()
        assert extended(picture, Extension(32, 8, 40, 0), fill).tobytes() == grown.tobytes()

    def test_fills(self):
        picture = Image.new("RGB", (16, 16), (200, 100, 50))
        picture.putpixel((0, 3), (1, 2, 3))
        picture.putpixel((1, 5), (4, 5, 6))
        edge, mirror = (extended(picture, Extension(left=8), fill) for fill in ("edge", "mirror"))
        assert {edge.getpixel((x, 3)) for x in range(8)} == {(1, 2, 3)}
        assert (mirror.getpixel((7, 3)), mirror.getpixel((6, 5))) == ((1, 2, 3), (4, 5, 6))
        spread = np.asarray(extended(noise((64, 64)), Extension(left=64), "noise"), float)[:, :64]
        assert np.abs(spread.mean((0, 1)) - 127).max() < 15 and spread.std() > 40


class TestSoftOverlay:
    REQUEST = GenerationRequest(init_image="a", mask="b", width=64, height=64, soft_inpainting=True)

    def shown(
        self, changed: float, mask: float = 1.0, region: Box | None = None, size: tuple[int, int] = (64, 64)
    ) -> np.ndarray:
        """Of latents of which the left half has moved so far."""
        source = torch.zeros(4, 8, 8)
        result = source.clone()
        result[0, :, :4] = changed
        return np.asarray(
            soft_overlay(self.REQUEST, source, result, torch.full((8, 8), mask), Size(*size), region), int
        )

    def test_what_has_changed_is_shown_and_what_has_not_is_not(self):
        much, little = self.shown(4.0), self.shown(0.05)
        assert much[:, :20].min() > 240 and much[:, 56:].max() < 20
        assert little.max() < 10
        assert not self.shown(0.0).any()

    def test_half_way_at_the_threshold(self):
        """With no influence of the mask the weight is 1: at a distance of 0.5 both are seen alike."""
        assert self.shown(0.5)[32, 5] == pytest.approx(127, abs=3)

    def test_a_region_stands_at_its_place(self):
        shown = self.shown(4.0, region=Box(10, 20, 42, 52), size=(100, 80))
        assert shown.shape == (80, 100)
        assert shown[30, 14] > 240 and not shown[:, :10].any() and not shown[:20].any()

    @pytest.mark.parametrize(("low", "high"), [(0.9, 1.0), (0.25, 0.75), (0.0, 1.0)])
    def test_the_filter_against_its_definition_place_by_place(self, low, high):
        values = np.random.default_rng(4).random((7, 6))
        end = np.exp(-9 / 1.5**2)
        for (y, x), found in np.ndenumerate(windowed_mean(values, low, high)):
            stack = sorted(
                (values[v, u], max(0, (np.exp(-((v - y) ** 2 + (u - x) ** 2) / 1.5**2) - end) / (1 - end)))
                for v in range(max(0, y - 2), min(7, y + 3))
                for u in range(max(0, x - 2), min(6, x + 3))
            )
            total = sum(weight for _, weight in stack)
            start, stop = low * total, high * total
            if stop - start < 1:
                start, stop = (start + stop) / 2 - 0.5, (start + stop) / 2 + 0.5
                if stop > total:
                    start, stop = total - 1, total
                if start < 0:
                    start, stop = 0, 1
            below, mean, weights = 0.0, 0.0, 0.0
            for value, weight in stack:
                seen = max(0.0, min(stop, below + weight) - max(start, below))
                below, mean, weights = below + weight, mean + value * seen, weights + seen
            assert found == pytest.approx(mean / weights, abs=1e-9)
