"""Restart's way: down, up again with fresh noise, down once more."""

from itertools import pairwise

import pytest
import torch

from webui.engine.samplers import build


def rises(path):
    return [(low, high) for low, high in pairwise(path) if high > low]


@pytest.mark.parametrize(("steps", "times"), [(1, 0), (4, 0), (19, 0), (20, 1), (35, 1), (36, 2), (150, 2), (1000, 2)])
def test_restarts_come_with_the_steps_and_cost_none(steps, times):
    """A1111's plan; the facts are that of 20 steps on 9, and of 36 on half, are spent on restarts."""
    scheduler = build("Restart", "Automatic", steps, {})
    path, asked = scheduler.path(scheduler.levels), []
    assert len(rises(path)) == times
    assert len(path) - 1 - times == steps
    assert len(scheduler.timesteps) == 2 * steps - 1
    drawn = []
    x = scheduler.begin(torch.ones(1, 4, 2, 2), lambda *levels: drawn.append(levels) or torch.ones(1, 4, 2, 2))
    while not scheduler.done:
        asked.append(scheduler.level)
        x = scheduler.advance(x / 2)
    assert drawn == rises(path)
    assert asked[0] == pytest.approx(scheduler.noise_model.sigma_max)


def test_goes_up_from_about_a_tenth_to_about_two_along_karras_levels():
    scheduler = build("Restart", "Uniform", 40, {})
    levels = scheduler.path(scheduler.levels)
    (low, high), (again_low, again_high) = rises(levels)
    assert (low, high) == pytest.approx((again_low, again_high))
    main = build("Heun", "Karras", 20, {}).levels
    assert low == pytest.approx(min(main, key=lambda sigma: abs(sigma - 0.1)))
    assert high == pytest.approx(min(main, key=lambda sigma: abs(sigma - 2)))
    start = max(i for i, (before, after) in enumerate(pairwise(levels)) if after > before) + 1
    roots = [sigma ** (1 / 7) for sigma in levels[start : start + 11]]
    assert [before - after for before, after in pairwise(roots)] == pytest.approx([(roots[0] - roots[-1]) / 10] * 10)


def test_the_way_up_adds_the_noise_that_is_missing():
    """Of a single point, all noise in the state is as much as the level says, also after a restart."""
    scheduler = build("Restart", "Automatic", 20, {})
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(4, 1, 4, 64, 64, generator=generator)
    x = scheduler.begin(noise[0] * scheduler.levels[0], lambda *levels: noise[1])
    while not scheduler.done:
        assert x.std().item() == pytest.approx(scheduler.level, rel=0.02)
        x = scheduler.advance(torch.zeros_like(x))
    assert x.abs().max() < 1e-5


def test_begins_in_the_middle_with_the_restarts_that_are_left():
    whole = build("Restart", "Automatic", 40, {})
    calls = whole.timesteps.tolist()
    for index in (0, 2, 40, 78):
        scheduler = build("Restart", "Automatic", 40, {})
        scheduler.set_begin_index(index)
        x, asked = scheduler.begin(torch.ones(1, 4, 2, 2), lambda *levels: torch.ones(1, 4, 2, 2)), []
        while not scheduler.done:
            asked.append(scheduler.timestep)
            x = scheduler.advance(x / 2)
        assert asked == calls[index:]


def test_levels_that_end_far_above_0_restart_from_0():
    """As in A1111, whose nearest level to 0.1 is then the last."""
    scheduler = build("Restart", "SGM Uniform", 20, {})
    low, high = rises(scheduler.path(scheduler.levels))[0]
    assert low == 0.0
    assert high == pytest.approx(2, abs=0.5)
