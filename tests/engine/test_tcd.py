"""TCD against the formulas of arXiv 2402.19159, and against diffusers' scheduler."""

from itertools import pairwise

import diffusers
import pytest
import torch
from references.mixture import posterior_mean
from references.mixture_run import SCHEDULES, STEPS, drawn, error, fresh, ready, run

from webui.domain.noise_levels import NoiseModel
from webui.domain.schedules import find_schedule
from webui.engine.schedulers.euler import EulerScheduler
from webui.engine.schedulers.tcd import TCDScheduler

SD1 = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("gamma", [None, 0.0, 0.8, 1.0])
def test_is_strategic_stochastic_sampling(steps, schedule, gamma):
    """In the paper's coordinates, x = √ᾱ·x0 + √(1 − ᾱ)·noise."""
    scheduler = ready(TCDScheduler(eta=gamma), steps, schedule)
    model, known, numbers = scheduler.noise_model, scheduler.noise_model.levels[19::20], fresh()
    x = drawn(0) * scheduler.levels[0] / (1 + scheduler.levels[0] ** 2) ** 0.5
    for sigma, sigma_next in pairwise(scheduler.levels):
        t, t_next = 1 / (1 + sigma**2), 1 / (1 + sigma_next**2)  # ᾱ
        clean = posterior_mean(x / t**0.5, sigma)
        if sigma_next == 0:
            x = clean
            break
        eps = (x - t**0.5 * clean) / (1 - t) ** 0.5
        nearest = round(NoiseModel(known).sigma_to_t(sigma_next)) * 20 + 19
        timestep_s = int((1 - (0.3 if gamma is None else gamma)) * nearest)
        s = t_next if gamma == 0 else max(t_next, 1 / (1 + model.levels[timestep_s] ** 2))
        x = s**0.5 * clean + (1 - s) ** 0.5 * eps
        if s > t_next:
            x = (t_next / s) ** 0.5 * x + (1 - t_next / s) ** 0.5 * next(numbers)
    assert error(run(scheduler), x) <= 1e-4


@pytest.mark.parametrize("steps", [2, 4, 8])
@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
def test_equals_diffusers_on_its_timesteps(steps, eta, prediction_type):
    """diffusers ends at timestep 0, ours at no noise; theirs keeps unit variance, ours unit signal."""
    theirs = diffusers.TCDScheduler(**SD1, prediction_type=prediction_type)
    ours = TCDScheduler(**SD1, prediction_type=prediction_type, eta=eta)
    theirs.set_timesteps(steps)
    ours.set_run(steps, find_schedule("Simple"))
    ours.set_timesteps(sigmas=[*ours.levels[:-1], ours.noise_model.sigma_min])
    assert ours.timesteps.tolist() == theirs.timesteps.tolist()

    generators = [torch.Generator().manual_seed(1) for _ in range(2)]
    expected = drawn(0).float()
    x = ours.begin(expected * (1 + ours.levels[0] ** 2) ** 0.5)
    for t, level in zip(theirs.timesteps, ours.levels[1:], strict=True):
        output = torch.tanh(ours.scale_model_input(x)) * 0.9
        x, _ = ours.step(output, t, x, generators[0], return_dict=False)
        output = torch.tanh(expected) * 0.9
        expected = theirs.step(output, t, expected, eta=eta, generator=generators[1]).prev_sample
        torch.testing.assert_close(x / (1 + level**2) ** 0.5, expected, rtol=1e-4, atol=1e-4)


def test_without_noise_it_is_euler():
    schedulers = TCDScheduler(eta=0.0), EulerScheduler()
    for scheduler in schedulers:
        scheduler.set_timesteps(sigmas=[9.0, 4.0, 2.0, 1.1, 0.4, 0.1, 0.0])
    ours, eulers = map(run, schedulers)
    assert error(ours, eulers.double()) < 1e-5
