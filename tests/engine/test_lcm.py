"""LCM: its timesteps, and what it makes of the network's prediction."""

import pytest
import torch

from webui.engine.samplers import build
from webui.engine.schedulers.lcm import LCMScheduler

GRID = {float(t) for t in range(19, 1000, 20)}


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        (1, [999]),
        (4, [999, 679, 339, 19]),
        (8, [999, 859, 719, 579, 439, 299, 159, 19]),
    ],
)
def test_a1111s_timesteps(steps, told):
    assert build("LCM", "Automatic", steps, {}).timesteps.tolist() == told


@pytest.mark.parametrize("schedule", ["Karras", "SGM Uniform", "Simple", "Exponential", "Align Your Steps"])
@pytest.mark.parametrize("steps", [1, 5, 50, 150])
def test_the_network_is_only_told_timesteps_that_it_was_distilled_on(steps, schedule):
    scheduler = build("LCM", schedule, steps, {})
    assert set(scheduler.timesteps.tolist()) <= GRID
    known = scheduler.schedule_model
    assert len(known.levels) == 50
    assert scheduler.noise_model.sigma_to_t(known.sigma_min) == pytest.approx(19)
    if schedule == "Karras" and steps > 1:
        assert scheduler.levels[-2] == pytest.approx(known.sigma_min)


def test_takes_the_prediction_and_adds_noise_of_the_next_level():
    scheduler = LCMScheduler()
    scheduler.set_timesteps(sigmas=[10.0, 1.0, 0.0])
    ones = torch.ones(1, 4, 2, 2)
    x = scheduler.begin(ones * 50, lambda *levels: ones * 3)
    x = scheduler.advance(ones * 0.5)
    torch.testing.assert_close(x, ones * (0.5 + 3 * 1.0), rtol=1e-4, atol=0)
    torch.testing.assert_close(scheduler.advance(ones * -0.25), ones * -0.25, rtol=1e-4, atol=0)


def test_keeps_a_trace_of_the_state_at_its_least_timestep():
    """The boundary condition of consistency models: c_skip = 0.25 / ((10·t)² + 0.25)."""
    scheduler = LCMScheduler()
    scheduler.set_timesteps(sigmas=[scheduler.schedule_model.sigma_min, 0.0])
    start = torch.full((1, 4, 2, 2), 1e4)
    scheduler.begin(start)
    expected = start * 0.25 / (190**2 + 0.25)
    torch.testing.assert_close(scheduler.advance(torch.zeros_like(start)), expected, rtol=1e-5, atol=0)
