"""img2img on the starter: how far from the picture, the same to the last bit, and where it changes nothing."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from webui.domain.events import Notice, Preview, Step
from webui.domain.request import GenerationRequest
from webui.engine.drawn import Drawn
from webui.engine.generate import Options, Sources, generate_batch

REQUEST = GenerationRequest(
    prompt="a blue square on a yellow background",
    init_image="here",
    width=128,
    height=128,
    cfg_scale=2.5,
    steps=12,
    sampler="Euler a",
    seed=3,
)


def source(size: tuple[int, int] = (128, 128)) -> Image.Image:
    """A red disc on white."""
    y, x = np.mgrid[: size[1], : size[0]]
    inside = (x - size[0] / 2) ** 2 + (y - size[1] / 2) ** 2 < (min(size) / 3) ** 2
    return Image.fromarray(np.where(inside[..., None], (215, 40, 45), (255, 255, 255)).astype(np.uint8))


def events(starter_models, request, picture=None, batch=0, preview="off", **more):
    models, selection = starter_models
    sources = Sources(picture or source(), **more)
    return list(generate_batch(request, batch, models, selection, Options(preview=preview, preview_every=3), sources))


def draw(starter_models, request, picture=None, batch=0, **more):
    return [
        event.image for event in events(starter_models, request, picture, batch, **more) if isinstance(event, Drawn)
    ]


def distance(one: Image.Image, two: Image.Image) -> float:
    return float(np.abs(np.asarray(one, float) - np.asarray(two, float)).mean())


def test_more_strength_leads_further_away(starter_models):
    distances = [
        distance(draw(starter_models, replace(REQUEST, denoising_strength=strength))[0], source())
        for strength in (0.0, 0.2, 0.5, 0.8, 1.0)
    ]
    assert distances[0] == 0
    assert distances == sorted(distances)
    assert distances[-1] > 50


def test_at_strength_1_the_prompt_alone_decides(starter_models):
    drawn = np.asarray(draw(starter_models, replace(REQUEST, denoising_strength=1.0, steps=20))[0], int)
    assert np.abs(np.median(drawn[54:74, 54:74].reshape(-1, 3), 0) - (45, 85, 205)).max() < 70  # blue
    assert np.abs(np.median(drawn[2:12, 2:12].reshape(-1, 3), 0) - (250, 210, 50)).max() < 70  # yellow


def test_at_strength_0_it_is_the_picture_to_the_last_bit_and_nothing_is_loaded(starter_models):
    happened = events(starter_models, replace(REQUEST, denoising_strength=0.0, batch_size=2))
    assert [type(event) for event in happened] == [Drawn, Drawn]
    assert all(event.image.tobytes() == source().tobytes() for event in happened)


@pytest.mark.parametrize("more", [{"extra_noise": 0.1}, {"resize_mode": "Just resize (latent upscale)"}])
def test_at_strength_0_what_else_is_asked_for_is_done(starter_models, more):
    request = replace(REQUEST, denoising_strength=0.0, **more)
    happened = events(starter_models, request)
    assert len([event for event in happened if isinstance(event, Step)]) == 1
    assert 0 < distance(happened[-1].image, source()) < 40


@pytest.mark.parametrize("sampler", ["Euler a", "DPM++ SDE", "DDIM"])
def test_a_picture_is_the_same_alone_and_in_a_batch(starter_models, sampler):
    request = replace(REQUEST, sampler=sampler, steps=6, batch_size=2, batch_count=2, denoising_strength=0.6)
    together = [image.tobytes() for batch in (0, 1) for image in draw(starter_models, request, batch=batch)]
    assert len(set(together)) == 4
    assert together == [draw(starter_models, request.picture(index))[0].tobytes() for index in range(4)]


@pytest.mark.parametrize(
    ("options", "calls"),
    [
        ({"denoising_strength": 0.75, "steps": 20}, 16),
        ({"denoising_strength": 0.75, "steps": 20, "exact_steps": True}, 20),
        ({"denoising_strength": 0.3, "steps": 10, "sampler": "Heun"}, 7),
        ({"denoising_strength": 0.5, "steps": 20, "sampler": "DDIM"}, 9),
        ({"denoising_strength": 0.5, "schedule": "Custom", "custom_sigmas": "10, 5, 2, 1, 0.5"}, 3),
        (
            {"denoising_strength": 0.5, "schedule": "Custom", "custom_sigmas": "10, 5, 2, 1, 0.5", "exact_steps": True},
            3,
        ),
    ],
)
def test_how_often_the_network_is_asked(starter_models, options, calls):
    steps = [event for event in events(starter_models, replace(REQUEST, **options)) if isinstance(event, Step)]
    assert [(step.step, step.steps) for step in steps] == [(n, calls) for n in range(1, calls + 1)]
    assert [step.sigma for step in steps] == sorted((step.sigma for step in steps), reverse=True)


def test_a_prompt_that_changes_counts_the_steps_of_the_whole_schedule(starter_models):
    """A1111: "0.6" is step 12 of the 20, counted from the first that is run. But only 11 are: it never comes."""
    request = replace(REQUEST, steps=20, denoising_strength=0.5)
    plain, late, early = (
        draw(starter_models, replace(request, prompt=prompt))[0].tobytes()
        for prompt in ("a cat", "[a cat:a red circle:0.6]", "[a cat:a red circle:0.2]")
    )
    assert late == plain
    assert early != plain


def test_previews_come_to_look_like_the_picture(starter_models):
    happened = events(starter_models, replace(REQUEST, steps=20, denoising_strength=0.6), preview="linear")
    previews = [Image.open(io.BytesIO(event.jpeg)) for event in happened if isinstance(event, Preview)]
    assert len(previews) == 4
    assert distance(previews[-1].resize((16, 16)), happened[-1].image.resize((16, 16))) < 40


def test_noise_multiplier_and_extra_noise_do_something(starter_models):
    request = replace(REQUEST, denoising_strength=0.5)
    drawn = {
        draw(starter_models, replace(request, **more))[0].tobytes()
        for more in ({}, {"noise_multiplier": 0.9}, {"extra_noise": 0.05})
    }
    assert len(drawn) == 3


@pytest.mark.parametrize("mode", ["Just resize", "Crop and resize", "Resize and fill", "Just resize (latent upscale)"])
def test_a_picture_of_another_shape_is_brought_to_the_size(starter_models, mode):
    request = replace(REQUEST, resize_mode=mode, denoising_strength=0.2, width=128, height=96)
    assert draw(starter_models, request, source((200, 90)))[0].size == (128, 96)


@pytest.mark.parametrize("size", [(1, 1), (3000, 2)])
def test_odd_pictures_are_drawn_over(starter_models, size):
    request = replace(REQUEST, denoising_strength=0.2, steps=4)
    assert draw(starter_models, request, Image.new("RGB", size, "red"))[0].size == (128, 128)


def test_what_is_transparent_shows_the_ground(starter_models):
    request = replace(REQUEST, denoising_strength=0.0, transparent_ground="#00ff00")
    glass = Image.new("RGBA", (128, 128), (255, 0, 0, 0))
    glass.putpixel((5, 5), (255, 0, 0, 255))
    drawn = draw(starter_models, request, glass)[0]
    assert (drawn.getpixel((0, 0)), drawn.getpixel((5, 5))) == ((0, 255, 0), (255, 0, 0))


def test_colours_can_be_held(starter_models):
    request = replace(REQUEST, denoising_strength=0.9)
    free, held = (draw(starter_models, replace(request, color_correction=on))[0] for on in (False, True))
    means = [np.asarray(image, float).reshape(-1, 3).mean(0) for image in (free, held, source())]
    assert np.abs(means[1] - means[2]).sum() < np.abs(means[0] - means[2]).sum()


def test_nothing_is_remarked_when_all_goes_well(starter_models):
    assert not [event for event in events(starter_models, REQUEST) if isinstance(event, Notice)]
