"""What a request says about sampling reaches the picture. Drawn with tiny networks of random weights."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from webui.domain.events import Preview, Step
from webui.domain.request import GenerationRequest
from webui.domain.samplers import SAMPLERS, find_sampler
from webui.engine.device import Compute
from webui.engine.drawn import Drawn
from webui.engine.generate import Options, generate_batch
from webui.engine.model_manager import ModelManager, Selection
from webui.engine.noise import BatchNoise, PictureNoise
from webui.engine.samplers import build
from webui.engine.sampling import first_latents, sampling_noise

REQUEST = GenerationRequest(
    prompt="a cat", width=64, height=64, steps=3, seed=7, sampler="Euler a", schedule="Automatic"
)
QUICK = Options(preview="off")
CPU = torch.device("cpu")
NOISY = {
    "from the picture's stream": {"sampler": "Euler a"},
    "from CPU streams, with ENSD": {"sampler": "DPM2 a", "rng": "CPU", "ensd": 31337},
    "along a Brownian path": {"sampler": "DPM++ SDE"},
    "of a variation": {"sampler": "DPM++ 2M SDE", "variation_seed": 3, "variation_strength": 0.4},
    "churned": {"sampler": "Heun", "s_churn": 2.0, "s_noise": 1.01},
    "in timesteps": {"sampler": "DDIM", "eta": 1.0},
    "again and again": {"sampler": "Restart", "steps": 20},
    "until it is good enough": {"sampler": "DPM adaptive"},
}


@pytest.fixture(scope="module")
def tiny(tiny_library):
    compute = Compute(CPU, torch.float32, torch.float32, pictures_per_call=1)
    return ModelManager(compute, budget=2**33), Selection(tiny_library.find("checkpoint", "a"))


def events(tiny, request, options=QUICK):
    return list(generate_batch(request, 0, *tiny, options))


def draw(tiny, **changes):
    request = replace(REQUEST, **changes)
    return [event.image.tobytes() for event in events(tiny, request) if isinstance(event, Drawn)]


def sigmas(tiny, **changes):
    return [event.sigma for event in events(tiny, replace(REQUEST, **changes)) if isinstance(event, Step)]


@pytest.mark.parametrize("sampler", [row.name for row in SAMPLERS])
def test_every_sampler_draws_a_picture_the_same_alone_and_in_a_batch(tiny, sampler):
    first, second = draw(tiny, sampler=sampler, batch_size=2)
    assert first != second
    assert draw(tiny, sampler=sampler, seed=REQUEST.seed + 1) == [second]


@pytest.mark.parametrize("changes", NOISY.values(), ids=NOISY.keys())
def test_noise_is_the_pictures_own(tiny, changes):
    request = replace(REQUEST, batch_size=2, **changes)
    first, second = draw(tiny, batch_size=2, **changes)
    assert first != second
    alone = request.picture(1)
    assert draw(tiny, **changes | {"seed": alone.seed, "variation_seed": alone.variation_seed}) == [second]


@pytest.mark.parametrize("sampler", ["Euler a", "DPM++ SDE"])
@pytest.mark.parametrize("size", [None, 2])
def test_pictures_that_share_a_call_of_the_network_are_those_that_do_not(tiny, sampler, size):
    """Up to how the networks round: their sums over a batch are added up in another order."""
    sharing = ModelManager(Compute(CPU, torch.float32, torch.float32, size), budget=2**33), tiny[1]
    pairs = zip(draw(sharing, sampler=sampler, batch_size=3), draw(tiny, sampler=sampler, batch_size=3), strict=True)
    assert all(
        np.abs(np.subtract(*(np.frombuffer(one, np.uint8).astype(int) for one in pair))).max() <= 1 for pair in pairs
    )


def test_every_option_that_a_sampler_obeys_changes_its_pictures(tiny):
    values = {"eta": 0.5, "s_churn": 5.0, "s_noise": 1.1}
    for sampler in ("Euler", "Euler a", "DPM++ SDE", "DDIM"):
        plain = draw(tiny, sampler=sampler)
        for name, value in values.items():
            obeyed = name in find_sampler(sampler).options and not (sampler == "Euler" and name == "s_noise")
            assert (draw(tiny, sampler=sampler, **{name: value}) != plain) is obeyed, (sampler, name)
    churned = {"sampler": "Euler", "s_churn": 5.0}
    assert draw(tiny, **churned, s_noise=1.1) != draw(tiny, **churned)
    assert draw(tiny, **churned, s_tmin=100.0) == draw(tiny, **churned, s_tmax=0.001) == draw(tiny, sampler="Euler")


def test_ensd_changes_what_is_added_from_the_stream_and_no_brownian_path(tiny):
    assert draw(tiny, ensd=31337) != draw(tiny)
    assert draw(tiny, ensd=31337, sampler="DPM++ SDE") == draw(tiny, sampler="DPM++ SDE")
    assert draw(tiny, ensd=31337, sampler="Euler") == draw(tiny, sampler="Euler")


def test_the_schedule_obeys_its_options(tiny):
    ranged = sigmas(tiny, sampler="Euler", schedule="Karras", sigma_max=10.0, sigma_min=0.1, rho=5.0)
    assert ranged == pytest.approx([10.0, ((10**0.2 + 0.1**0.2) / 2) ** 5, 0.1], rel=1e-6)
    assert sigmas(tiny, schedule="Custom", custom_sigmas="8, 2, 0") == [8.0, 2.0]
    assert len(sigmas(tiny, discard_penultimate=True)) == 3
    assert sigmas(tiny, discard_penultimate=True) != sigmas(tiny)


def test_zero_terminal_snr_begins_with_noise_alone(tiny):
    assert sigmas(tiny, zero_terminal_snr=True)[0] == pytest.approx(4518.7637, rel=1e-6)


def test_the_prediction_type_of_the_request_goes_before_the_checkpoints(tiny, tiny_library):
    plain = draw(tiny)
    assert draw(tiny, prediction_type="epsilon") == plain
    assert draw(tiny, prediction_type="v_prediction") != plain
    velocity = tiny[0], Selection(tiny_library.find("checkpoint", "b"))
    assert draw(velocity, prediction_type="v_prediction") == draw(velocity)


@pytest.mark.parametrize(
    "option",
    [{"cfg_rescale": 0.7}, {"skip_early_cfg": 0.4}, {"ngms": 15.0}, {"ngms": 15.0, "ngms_all_steps": True}],
    ids=lambda option: "+".join(option),
)
def test_guidance_has_variants(tiny, option):
    assert draw(tiny, **option) != draw(tiny)


def test_without_the_negative_prompt_in_any_call_the_scale_is_1(tiny):
    assert draw(tiny, ngms=15.0, ngms_all_steps=True) == draw(tiny, cfg_scale=1.0)
    assert draw(tiny, skip_early_cfg=1.0) == draw(tiny, cfg_scale=1.0)


class TestFirstNoise:
    noise = BatchNoise([PictureNoise(7, (4, 8, 8), CPU)])

    @pytest.mark.parametrize(("sampler", "plain", "sgm"), [("Euler", 14.614642, 14.648814), ("DDIM", 1.0, 1.0)])
    def test_is_multiplied(self, sampler, plain, sgm):
        """Timestep samplers begin with unit noise, which SGM's √(1 + σ²) would be anyway."""
        scheduler = build(sampler, "Automatic", 10, {})
        for multiplier, factor in ((False, plain), (True, sgm)):
            latents = first_latents(replace(REQUEST, sgm_noise_multiplier=multiplier), scheduler, self.noise)
            torch.testing.assert_close(latents, self.noise.first() * factor)

    def test_is_as_strong_as_the_schedules_first_level(self):
        scheduler = build("Euler", "Karras", 10, {}, sigma_max=5.0)
        torch.testing.assert_close(first_latents(REQUEST, scheduler, self.noise), self.noise.first() * 5)
        request = replace(REQUEST, sgm_noise_multiplier=True)
        assert torch.equal(first_latents(request, scheduler, self.noise), self.noise.first() * math.sqrt(26))


def test_a_brownian_path_spans_the_whole_schedule_also_where_only_its_end_is_run():
    whole, part = (build("DPM++ SDE", "Karras", 10, {}, skip=skip) for skip in (None, 6))
    drawn = [
        sampling_noise(scheduler, BatchNoise([PictureNoise(7, (4, 8, 8), CPU)]))(0.5, 0.2)
        for scheduler in (whole, part)
    ]
    assert part.levels[0] < whole.levels[0]
    assert torch.equal(*drawn)


class TestAdaptiveSteps:
    def test_are_counted_to_an_unknown_number(self, tiny):
        happened = events(tiny, replace(REQUEST, sampler="DPM adaptive", batch_size=2), Options(preview_every=4))
        steps = [event for event in happened if isinstance(event, Step)]
        assert {step.steps for step in steps} == {0}
        assert [step.step for step in steps] == list(range(1, len(steps) + 1))
        assert [event.step for event in happened if isinstance(event, Preview)] == list(range(4, len(steps) + 1, 4))
        begins = [step.step for step in steps if step.sigma == steps[0].sigma]
        assert len(begins) == 2, "the pictures are drawn one after another"

    def test_the_number_of_steps_asked_for_means_nothing(self, tiny):
        assert draw(tiny, sampler="DPM adaptive", steps=5) == draw(tiny, sampler="DPM adaptive", steps=50)
