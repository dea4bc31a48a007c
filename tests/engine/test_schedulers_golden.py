"""UniPC and DDIM against their authors' and diffusers' implementations; ``test_every_sampler.py`` is for the whole table."""

import json
import math
from itertools import pairwise
from pathlib import Path

import diffusers
import pytest
import torch

from webui.engine.schedulers.ddim import DDIMScheduler
from webui.engine.schedulers.unipc import UniPCScheduler

GOLDEN = json.loads((Path(__file__).parents[1] / "data" / "golden_samplers.json").read_text())
SD1 = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def noise(k):
    """The k-th number drawn, as the recording had it; k = 0 is the start."""
    j = torch.arange(1, 9, dtype=torch.float64)
    return (math.sqrt(2) * torch.sin(12.9898 * j + 78.233 * (k + 1))).reshape(2, 1, 2, 2).float()


def denoise(x, sigma):
    """D(x, σ) of the recording: not linear, so that every term of a sampler counts."""
    return x / (1 + sigma * sigma) + torch.tanh(x) / 2 * sigma / (1 + sigma)


def run(scheduler):
    drawn = iter(range(1, 1000))
    x = scheduler.begin(noise(0) * scheduler.init_noise_sigma, lambda level_from, level_to: noise(next(drawn)))
    while not scheduler.done:
        a, b = scheduler.signal_and_noise(scheduler.level)
        x = scheduler.advance(denoise(x / a, b / a))
    return x.flatten()


@pytest.mark.parametrize("recorded", GOLDEN["unipc"], ids=lambda row: f"{row['steps']} steps")
def test_unipc_equals_its_authors(recorded):
    scheduler = UniPCScheduler()
    scheduler.set_timesteps(recorded["steps"])
    assert run(scheduler).tolist() == pytest.approx(recorded["result"], rel=2e-6, abs=2e-6)


@pytest.mark.parametrize("steps", [2, 10, 20, 50])
@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("eta", [0.0, 0.6])
def test_ddim_equals_diffusers_up_to_timestep_1(steps, prediction_type, eta):
    """A1111 leaves out diffusers' last step, from timestep 1 to ᾱ_0."""
    theirs = diffusers.DDIMScheduler(
        **SD1, prediction_type=prediction_type, clip_sample=False, set_alpha_to_one=False, steps_offset=1
    )
    ours = DDIMScheduler(**SD1, prediction_type=prediction_type, eta=eta)
    theirs.set_timesteps(steps)
    ours.set_timesteps(steps)
    assert ours.timesteps.tolist() == theirs.timesteps.tolist()[:-1]

    expected, fresh = noise(0), iter(range(1, 1000))
    x = ours.begin(expected, lambda level_from, level_to: noise(next(fresh)))
    for k, t in enumerate(ours.timesteps):
        output = torch.tanh(x) * 0.9
        expected = theirs.step(torch.tanh(expected) * 0.9, t.long(), expected, eta=eta, variance_noise=noise(k + 1))
        x, predicted = ours.step(output, t, x, return_dict=False)
        torch.testing.assert_close(predicted, expected.pred_original_sample, rtol=2e-5, atol=2e-5)
        expected = expected.prev_sample
        torch.testing.assert_close(x, expected, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize(
    ("steps", "timesteps"),
    [
        (10, [*range(901, 0, -100)]),
        (20, [*range(951, 0, -50)]),
        (30, [*range(991, 0, -33)]),
        (7, [*range(995, 0, -142)]),
    ],
)
def test_ddim_visits_a1111s_timesteps(steps, timesteps):
    scheduler = DDIMScheduler()
    scheduler.set_timesteps(steps)
    assert scheduler.levels == tuple(timesteps)
    assert scheduler.timesteps.tolist() == timesteps[:-1]


def test_unipc_runs_from_the_last_timestep_to_0():
    scheduler = UniPCScheduler()
    scheduler.set_timesteps(7)
    assert len(scheduler.timesteps) == 8, "1000 // 7 = 142 goes 8 times into 1000, so A1111 makes 8 steps"
    assert scheduler.levels[0] == 999
    assert scheduler.levels[-1] == 0
    assert {round(high - low, 6) for high, low in pairwise(scheduler.levels)} == {round(999 / 8, 6)}
