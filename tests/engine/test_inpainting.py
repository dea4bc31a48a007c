"""Inpainting, outpainting and tiles on the starter: what is masked is drawn anew, and the rest stays to the last bit."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw

from webui.domain.events import Notice, Preview
from webui.domain.request import GenerationRequest
from webui.engine.drawn import Drawn
from webui.engine.generate import Options, Sources, generate_batch

REQUEST = GenerationRequest(
    prompt="a blue circle on a white background",
    init_image="here",
    mask="here too",
    width=128,
    height=128,
    cfg_scale=3.0,
    steps=12,
    denoising_strength=0.9,
    seed=3,
)
RED, BLUE = (215, 40, 45), (45, 85, 205)


def disc(size: tuple[int, int] = (128, 128), colour: tuple[int, int, int] = RED) -> Image.Image:
    picture = Image.new("RGB", size, "white")
    ImageDraw.Draw(picture).ellipse((34, 34, 94, 94), fill=colour)
    return picture


def mask(box: tuple[int, int, int, int] = (28, 28, 100, 100), size: tuple[int, int] = (128, 128)) -> Image.Image:
    picture = Image.new("L", size)
    picture.paste(255, box)
    return picture


def events(starter_models, request, picture=None, given=None, batch=0, preview="off"):
    models, selection = starter_models
    sources = Sources(picture or disc(), given)
    return list(generate_batch(request, batch, models, selection, Options(preview=preview), sources))


def draw(starter_models, request, picture=None, given=None, batch=0):
    happened = events(starter_models, request, picture, given or mask(), batch)
    return [np.asarray(event.image, int) for event in happened if isinstance(event, Drawn)]


def near(pixels: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool(np.abs(np.median(pixels.reshape(-1, 3), 0) - colour).max() < 75)


@pytest.mark.parametrize("content", ["fill", "original", "latent noise", "latent nothing"])
def test_an_object_changes_its_colour_and_the_rest_stays(starter_models, content):
    (drawn,) = draw(starter_models, replace(REQUEST, masked_content=content))
    assert near(drawn[54:74, 54:74], BLUE)
    outside = np.ones((128, 128), bool)
    outside[17:111, 17:111] = False  # the mask and its blur, 10 pixels
    assert np.array_equal(drawn[outside], np.asarray(disc(), int)[outside])


@pytest.mark.parametrize("soft", [False, True])
def test_only_masked_is_drawn_larger_and_put_back(starter_models, soft):
    large = Image.new("RGB", (320, 300), "white")
    large.paste(disc(), (150, 120))
    where = mask((178, 148, 250, 220), (320, 300))
    request = replace(REQUEST, inpaint_area="Only masked", mask_padding=20, soft_inpainting=soft)
    (drawn,) = draw(starter_models, request, large, where)
    assert drawn.shape == (300, 320, 3)
    assert near(drawn[174:194, 204:224], BLUE)
    outside = np.ones((300, 320), bool)
    outside[137:231, 167:261] = False
    assert np.array_equal(drawn[outside], np.asarray(large, int)[outside])


def test_previews_of_only_masked_show_all_of_the_picture(starter_models):
    large = Image.new("RGB", (320, 300), (0, 200, 0))
    where = mask((180, 150, 250, 220), (320, 300))
    request = replace(REQUEST, inpaint_area="Only masked", steps=3)
    happened = events(starter_models, request, large, where, preview="linear")
    previews = [Image.open(io.BytesIO(event.jpeg)) for event in happened if isinstance(event, Preview)]
    assert previews and all(preview.size == (320, 300) for preview in previews)
    assert previews[0].getpixel((20, 20))[1] > 190 and previews[0].getpixel((20, 20))[0] < 20


def test_the_mask_can_be_turned_round(starter_models):
    (drawn,) = draw(starter_models, replace(REQUEST, mask_invert=True, prompt="a red circle on a black background"))
    assert np.array_equal(drawn[40:88, 40:88], np.asarray(disc(), int)[40:88, 40:88])
    assert drawn[:8].mean() < 100


def test_a_black_mask_draws_the_whole_picture_and_says_so(starter_models):
    happened = events(starter_models, REQUEST, given=Image.new("L", (128, 128)))
    assert [event.text for event in happened if isinstance(event, Notice)] == [
        "The mask covers nothing, so that the whole picture is drawn over."
    ]
    (plain,) = draw(starter_models, replace(REQUEST, mask=""))
    assert np.array_equal(np.asarray(happened[-1].image, int), plain)


def test_a_white_mask_is_img2img(starter_models):
    """But for the last call: there A1111 blends nothing in, as there is nothing to keep."""
    (drawn,) = draw(starter_models, REQUEST, given=Image.new("L", (128, 128), 255))
    (plain,) = draw(starter_models, replace(REQUEST, mask=""))
    assert np.abs(drawn - plain).max() <= 1


def test_a_mask_of_another_size_is_stretched_and_that_is_said(starter_models):
    small = mask((7, 7, 25, 25), (32, 32))
    happened = events(starter_models, replace(REQUEST, steps=2), given=small)
    assert "32 x 32 pixels and the picture 128 x 128" in happened[0].text
    assert np.array_equal(np.asarray(happened[-1].image)[:8], np.asarray(disc())[:8])


def test_strength_0_changes_nothing_with_a_mask_either(starter_models):
    (drawn,) = draw(starter_models, replace(REQUEST, denoising_strength=0.0))
    assert np.array_equal(drawn, np.asarray(disc(), int))


@pytest.mark.parametrize("more", [{"masked_content": "latent noise"}, {"soft_inpainting": True, "mask_blur_x": 12.0}])
def test_a_picture_is_the_same_alone_and_in_a_batch(starter_models, more):
    request = replace(REQUEST, steps=5, batch_size=2, batch_count=2, sampler="Euler a", **more)
    together = [image.tobytes() for batch in (0, 1) for image in draw(starter_models, request, batch=batch)]
    assert len(set(together)) == 4
    assert together == [draw(starter_models, request.picture(index))[0].tobytes() for index in range(4)]


def test_soft_inpainting_lets_the_grey_decide(starter_models):
    request = replace(REQUEST, soft_inpainting=True, mask_blur_x=16.0, mask_blur_y=16.0)
    (drawn,) = draw(starter_models, request)
    assert near(drawn[54:74, 54:74], BLUE)
    source = np.asarray(disc(), int)
    assert np.abs(drawn[:, :4] - source[:, :4]).mean() < 8


@pytest.mark.parametrize("sampler", ["DDIM", "DPM++ SDE", "UniPC", "Euler a CFG++", "DPM adaptive"])
def test_every_kind_of_sampler_keeps_the_rest(starter_models, sampler):
    strength = 0.5 if sampler == "DPM adaptive" else 0.9  # it takes as many steps as it likes
    scale = 1.0 if "CFG++" in sampler else 3.0
    request = replace(REQUEST, sampler=sampler, steps=6, cfg_scale=scale, denoising_strength=strength)
    (drawn,) = draw(starter_models, request)
    assert np.array_equal(drawn[:16], np.asarray(disc(), int)[:16])
    assert np.abs(drawn - np.asarray(disc(), int)).max() > 15


class TestOutpainting:
    @pytest.mark.parametrize("fill", ["mirror", "edge", "noise"])
    def test_the_ground_goes_on(self, starter_models, fill):
        picture = disc((128, 96)).crop((0, 0, 128, 96))
        ground = Image.new("RGB", (128, 96), (250, 210, 50))
        ground.paste(picture.crop((34, 34, 94, 94)), (34, 30))
        request = replace(
            REQUEST,
            prompt="a red circle on a yellow background",
            mask="",
            extend_down=32,
            extend_fill=fill,
            denoising_strength=0.8,
            steps=16,
        )
        happened = events(starter_models, request, ground)
        drawn = np.asarray(happened[-1].image, int)
        assert drawn.shape == (128, 128, 3)
        assert np.array_equal(drawn[:68], np.asarray(ground, int)[:68])  # overlap 8, blur 10, one above another
        assert near(drawn[104:], (250, 210, 50))

    def test_only_masked_grows_the_picture_itself(self, starter_models):
        picture = Image.new("RGB", (200, 100), (250, 210, 50))
        request = replace(REQUEST, mask="", extend_right=56, extend_left=8, inpaint_area="Only masked", steps=2)
        drawn = events(starter_models, request, picture)[-1].image
        assert drawn.size == (264, 100)
        assert np.array_equal(np.asarray(drawn)[:, 40:180], np.asarray(picture)[:, 20:160])


class TestTiles:
    def wrapped(self, starter_models, **tiles: bool) -> tuple[float, float]:
        """How much the picture jumps from its right to its left edge and from bottom to top, over its usual steps."""
        models, selection = starter_models
        request = GenerationRequest(
            prompt="a dog in a forest", width=128, height=128, cfg_scale=2.5, steps=8, seed=5, **tiles
        )
        *_, drawn = generate_batch(request, 0, models, selection, Options(preview="off"))
        assert isinstance(drawn, Drawn)
        pixels = np.asarray(drawn.image, float)
        jumps = [np.abs(pixels[:, 0] - pixels[:, -1]).mean(), np.abs(pixels[0] - pixels[-1]).mean()]
        usual = [np.abs(np.diff(pixels, axis=axis)).mean() for axis in (1, 0)]
        return jumps[0] / usual[0], jumps[1] / usual[1]

    def test_each_direction_wraps_around_for_itself_and_nothing_is_left_behind(self, starter_models):
        plain = self.wrapped(starter_models)
        both = self.wrapped(starter_models, tile_x=True, tile_y=True)
        across = self.wrapped(starter_models, tile_x=True)
        assert both[0] < plain[0] / 2 and both[1] < plain[1] / 2
        assert across[0] < plain[0] / 2
        assert across != both
        assert self.wrapped(starter_models) == plain

    def test_a_job_that_is_stopped_leaves_nothing_behind(self, starter_models):
        models, selection = starter_models
        plain = self.wrapped(starter_models)
        request = GenerationRequest(prompt="a dog", width=128, height=128, steps=8, seed=5, tile_x=True, tile_y=True)
        running = generate_batch(request, 0, models, selection, Options(preview="off"))
        next(running)
        running.close()
        assert self.wrapped(starter_models) == plain
