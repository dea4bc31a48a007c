"""What the prompt grammar does to pictures of the starter, measured as amounts of colour."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from webui.domain.request import GenerationRequest
from webui.engine.drawn import Drawn
from webui.engine.generate import Options, generate_batch

REQUEST = GenerationRequest(width=128, height=128, cfg_scale=2.5, steps=6, sampler="DPM++ 2M", batch_size=2, seed=1)


@pytest.fixture
def draw(starter_models):
    models, selection = starter_models

    def draw(prompt: str, **changes) -> np.ndarray:
        """Two pictures (2, 128, 128, 3), 0 ... 1."""
        request = replace(REQUEST, prompt=prompt, **changes)
        events = generate_batch(request, 0, models, selection, Options(preview="off"))
        return np.stack([np.asarray(event.image) for event in events if isinstance(event, Drawn)]) / 255

    return draw


def redness(pictures: np.ndarray) -> float:
    """How much more red there is than blue."""
    return float((pictures[..., 0] - pictures[..., 2]).mean())


RED, BLUE = "a red circle on a white background", "a blue circle on a white background"


def test_weight_makes_the_named_thing_stronger(draw):
    weak, plain, strong = (
        redness(draw(f"a (red:{weight}) (circle:{weight}) on a black background")) for weight in (0.3, 1.0, 1.6)
    )
    assert weak < plain
    assert weak < strong
    plain, ignored = draw(RED), draw("a (red:1.6) circle on a white background", emphasis="Ignore")
    assert np.array_equal(plain, ignored)


def test_a_schedule_is_neither_of_its_texts_nor_its_reverse(draw):
    red, blue = draw(RED), draw(BLUE)
    early, late = (draw(f"a [{pair}:0.5] circle on a white background") for pair in ("red:blue", "blue:red"))
    for one, other in ((early, red), (early, blue), (late, red), (late, blue), (early, late)):
        assert np.abs(one - other).mean() > 0.002
    # what comes first lays out the picture
    assert redness(red) > redness(blue)
    assert np.array_equal(draw("a [red:blue:1.0] circle on a white background"), red)
    assert np.array_equal(draw("a [red:blue:0] circle on a white background"), blue)


def test_and_composes(draw):
    red, blue = draw(RED), draw(BLUE)
    both = draw(f"{RED} :0.5 AND {BLUE} :0.5")
    assert redness(blue) < redness(both) < redness(red)
    assert redness(draw(f"{RED} AND {BLUE} :-0.3")) > redness(draw(f"{RED} AND {BLUE} :0.3"))
    # the same twice, half each, is itself up to rounding
    assert np.abs(draw(f"{RED} :0.5 AND {RED} :0.5") - red).mean() < 0.005


def test_comments_say_nothing(draw):
    assert np.array_equal(draw(f"{RED}# of course"), draw(RED))


@pytest.mark.parametrize("sampler", ["Heun", "Euler CFG++", "DPM++ 2S a"])
@pytest.mark.parametrize(
    "prompt", ["[a|b|] AND c :-0.5 AND [d:e:0.3]", "cat " * 80 + "AND [a:" + "dog " * 80 + ":0.5]"]
)
def test_any_plan_draws_with_any_kind_of_sampler(draw, sampler, prompt):
    options = {"cfg_rescale": 0.5, "ngms": 3.0, "skip_early_cfg": 0.1}
    pictures = draw(prompt, sampler=sampler, width=64, height=64, steps=2, batch_size=1, **options)
    assert pictures.shape == (1, 64, 64, 3)
