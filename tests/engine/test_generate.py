"""txt2img on the starter checkpoint: meaning, and sameness to the last bit."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from webui.domain.events import Notice, Preview, Step
from webui.domain.request import GenerationRequest
from webui.engine.drawn import Drawn
from webui.engine.generate import Options, generate_batch
from webui.errors import InvalidRequest

QUICK = Options(preview="off")
REQUEST = GenerationRequest(
    prompt="a red circle on a white background", width=128, height=128, cfg_scale=2.5, steps=20, seed=1
)
COLOURS = {  # as the icons that the starter learned from paint them, 0 ... 255
    "red": (215, 40, 45),
    "green": (45, 140, 75),
    "blue": (45, 85, 205),
    "yellow": (250, 210, 50),
    "white": (255, 255, 255),
    "black": (10, 10, 10),
    "pink": (245, 140, 180),
    "purple": (120, 60, 170),
}


def events(starter_models, request, batch=0, options=QUICK):
    models, selection = starter_models
    return list(generate_batch(request, batch, models, selection, options))


def draw(starter_models, request, batch=0):
    return [event.image for event in events(starter_models, request, batch) if isinstance(event, Drawn)]


def nearest_colour(pixels):
    mean = np.median(pixels.reshape(-1, 3), axis=0)
    return min(COLOURS, key=lambda name: np.linalg.norm(mean - COLOURS[name]))


def centre_and_corners(image):
    pixels = np.asarray(image)
    corners = [pixels[y : y + 10, x : x + 10] for y in (2, -12) for x in (2, -12)]
    return nearest_colour(pixels[50:78, 50:78]), nearest_colour(np.stack(corners))


@pytest.mark.parametrize(
    ("thing", "colour", "ground"),
    [
        ("circle", "red", "white"),
        ("square", "blue", "yellow"),
        ("circle", "yellow", "black"),
        ("square", "green", "white"),
        ("square", "white", "red"),
        ("circle", "purple", "white"),
        ("square", "black", "pink"),
        ("circle", "green", "black"),
    ],
)
def test_what_the_prompt_names_appears_in_its_colours(starter_models, thing, colour, ground):
    request = replace(REQUEST, prompt=f"a {colour} {thing} on a {ground} background")
    assert centre_and_corners(draw(starter_models, request)[0]) == (colour, ground)


def test_the_negative_prompt_keeps_away_what_it_names(starter_models):
    """Without a prompt the ground is anything; kept away from white, it is dark more often than not."""
    request = replace(REQUEST, prompt="a circle", batch_size=4, cfg_scale=4.0, steps=10)
    plain = np.mean([np.asarray(image) for image in draw(starter_models, request)])
    away = draw(starter_models, replace(request, negative_prompt="a circle on a white background"))
    assert np.mean([np.asarray(image) for image in away]) < plain


@pytest.mark.parametrize("sampler", ["DPM++ 2M", "DPM++ SDE"])
def test_a_picture_is_the_same_to_the_last_bit_twice_alone_and_in_a_batch(starter_models, sampler):
    request = replace(REQUEST, sampler=sampler, steps=6, batch_count=2, batch_size=2, seed=40)
    batches = [draw(starter_models, request, batch) for batch in (0, 1)]
    together = [image.tobytes() for batch in batches for image in batch]
    assert len(set(together)) == 4
    alone = [draw(starter_models, request.picture(index))[0].tobytes() for index in range(4)]
    assert together == alone


def test_variation_seeds_do_what_they_say(starter_models):
    base = replace(REQUEST, steps=6)
    plain, mixed, full, other = (
        draw(starter_models, request)[0]
        for request in (
            base,
            replace(base, variation_seed=9, variation_strength=0.2),
            replace(base, variation_seed=9, variation_strength=1.0),
            replace(base, seed=9),
        )
    )

    def distance(one: Image.Image, two: Image.Image) -> float:
        return float(np.abs(np.asarray(one, float) - np.asarray(two, float)).mean())

    assert 0 < distance(plain, mixed) < distance(plain, full)
    assert distance(full, other) < 1  # the arc's end is the other seed's noise up to rounding


def test_cfg_0_ignores_the_prompt(starter_models):
    request = replace(REQUEST, cfg_scale=0.0, steps=6)
    one, two = (draw(starter_models, replace(request, prompt=prompt))[0] for prompt in ("a dog", "a green square"))
    assert one.tobytes() == two.tobytes()


def test_progress_counts_network_calls_and_falls_in_sigma(starter_models):
    steps = [event for event in events(starter_models, replace(REQUEST, sampler="Heun")) if isinstance(event, Step)]
    assert [step.step for step in steps] == list(range(1, 40))
    assert {step.steps for step in steps} == {39}
    sigmas = [step.sigma for step in steps]
    assert sigmas == sorted(sigmas, reverse=True)
    assert sigmas[0] == pytest.approx(14.6146, abs=1e-3)


def test_previews_come_to_look_like_the_picture(starter_models):
    request = replace(REQUEST, prompt="a panda on a pink background")
    happened = events(starter_models, request, options=Options(preview="linear", preview_every=3))
    previews = [event for event in happened if isinstance(event, Preview)]
    assert [preview.step for preview in previews] == [3, 6, 9, 12, 15, 18]
    final = np.asarray(happened[-1].image.resize((16, 16)), float)

    def distance(preview: Preview) -> float:
        image = Image.open(io.BytesIO(preview.jpeg))
        assert image.size == (128, 128)
        return float(np.abs(np.asarray(image.resize((16, 16)), float) - final).mean())

    assert distance(previews[-1]) < distance(previews[0])
    assert distance(previews[-1]) < 30


def test_stopping_halfway_leaves_everything_as_it_was(starter_models):
    models, selection = starter_models
    before = draw(starter_models, REQUEST)[0]
    running = generate_batch(replace(REQUEST, prompt="a dog"), 0, models, selection, QUICK)
    assert sum(isinstance(next(running), Step) for _ in range(5)) == 5
    running.close()
    assert draw(starter_models, REQUEST)[0].tobytes() == before.tobytes()


@pytest.mark.parametrize("prompt", ["", "cat " * 160, "(((", "日本語 🙂", "BREAK"])
def test_any_prompt_draws(starter_models, prompt):
    assert draw(starter_models, replace(REQUEST, prompt=prompt, steps=1))[0].size == (128, 128)


def test_sizes_other_than_the_native_one_draw(starter_models):
    assert draw(starter_models, replace(REQUEST, width=192, height=72, steps=2))[0].size == (192, 72)


def test_clip_skip_changes_the_picture_and_has_an_end(starter_models):
    plain, skipped = (draw(starter_models, replace(REQUEST, clip_skip=skip, steps=6))[0] for skip in (1, 2))
    assert plain.tobytes() != skipped.tobytes()
    with pytest.raises(InvalidRequest, match="has 3 layers"):
        draw(starter_models, replace(REQUEST, clip_skip=4))


def test_nothing_is_remarked_when_all_goes_well(starter_models):
    assert not [event for event in events(starter_models, REQUEST) if isinstance(event, Notice)]
