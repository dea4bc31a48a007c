"""The three kinds of algorithm that want something else, and runs that begin in the middle, on algorithms made for it."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
import torchsde

from webui.engine.schedulers.sigma_space import SigmaScheduler

X = torch.ones(2, 1, 2, 2)
LEVELS = [8.0, 4.0, 2.0, 1.0, 0.0]


class Wandering(SigmaScheduler):
    """Goes up again from 2 to 4, in as many calls as it likes: two in a step from 4, else one."""

    order = 2

    def path(self, levels):
        at = levels.index(2.0) + 1 if 2.0 in levels else len(levels)
        return (*levels[:at], 4.0, 2.0, *levels[at:]) if at < len(levels) else levels

    def algorithm(self, x, levels, noise):
        for sigma, sigma_next in pairwise(levels):
            if sigma_next > sigma:
                x = x + noise(sigma, sigma_next)
                continue
            denoised = yield x, sigma
            if sigma == 4:
                denoised = yield (x + denoised) / 2, 3.0
            x = denoised + (x - denoised) * (sigma_next / sigma)
        return x


class WarmingUp(SigmaScheduler):
    """Its first step takes a call more, wherever it begins."""

    def algorithm(self, x, levels, noise):
        denoised = yield x, levels[0]
        for sigma, sigma_next in pairwise(levels):
            denoised = yield x + denoised, sigma
            x = x * (sigma_next / sigma)
        return x


class Paired(SigmaScheduler):
    needs_uncond = True

    def algorithm(self, x, levels, noise):
        for sigma, sigma_next in pairwise(levels):
            denoised, uncond = yield x, sigma
            x = denoised + (x - uncond) * (sigma_next / sigma)
        return x


class Finding(SigmaScheduler):
    """Halves the level until x is small, asking for the mean of x."""

    adaptive = True

    def algorithm(self, x, levels, noise):
        sigma = levels[0]
        while x.mean().item() > 0.1:
            x = yield x, sigma
            sigma /= 2
        return x


class Brownian(SigmaScheduler):
    brownian = True

    def algorithm(self, x, levels, noise):
        for sigma, sigma_next in pairwise(levels):
            yield x, sigma
            if sigma_next:
                x = noise(sigma, sigma_next)
        return x


def started(cls, levels=LEVELS, begin=None):
    scheduler = cls()
    scheduler.set_timesteps(sigmas=levels)
    if begin is not None:
        scheduler.set_begin_index(begin)
    return scheduler


def run(scheduler, x=X):
    """The levels that the network was asked about, and what came of it."""
    asked = []
    x = scheduler.begin(x, lambda level_from, level_to: torch.full_like(x, level_to))
    while not scheduler.done:
        asked.append(scheduler.level)
        x = scheduler.advance(x * 0.25)
    return asked, x


class TestWaysOfTheirOwn:
    def test_are_planned(self):
        scheduler = started(Wandering)
        asked, _ = run(scheduler)
        assert asked == [8, 4, 3, 4, 3, 2, 1]
        told = torch.tensor([scheduler.level_to_timestep(level) for level in asked])
        torch.testing.assert_close(scheduler.timesteps, told)

    @pytest.mark.parametrize("begin", [1, 3, 5, 6])
    def test_can_begin_at_any_step(self, begin):
        whole, _ = run(started(Wandering))
        scheduler = started(Wandering, begin=begin)
        assert scheduler.level == whole[begin]
        assert run(scheduler)[0] == whole[begin:]
        assert scheduler.call == len(whole)

    def test_that_begin_where_they_went_up_add_no_noise_first(self):
        scheduler = started(Wandering, begin=3)
        assert torch.equal(scheduler.begin(X, lambda level_from, level_to: X * 100), X)

    @pytest.mark.parametrize("begin", [2, 4, 7, 9])
    def test_cannot_begin_within_a_step_or_after_the_last(self, begin):
        with pytest.raises(ValueError, match="middle of a step"):
            started(Wandering, begin=begin).begin(X)

    def test_that_need_the_calls_before_say_so(self):
        with pytest.raises(ValueError, match="needs the calls before"):
            started(WarmingUp, begin=2).begin(X)
        assert run(started(WarmingUp, LEVELS[1:]))[0] == [4, 4, 2, 1]


class TestPairs:
    def test_are_sent(self):
        scheduler = started(Paired, [2.0, 1.0])
        scheduler.begin(X)
        assert torch.equal(scheduler.advance(X * 5, X * 0.5), X * 5 + X * 0.25)

    def test_are_twice_the_same_where_only_one_is_told(self):
        scheduler, stepped = started(Paired, [2.0, 1.0]), started(Paired, [2.0, 1.0])
        scheduler.begin(X)
        expected = scheduler.advance(X * 5)
        assert torch.equal(expected, X * 5 + (X - X * 5) / 2)
        step = stepped.step((X - X * 5) / 2, stepped.timesteps[0], X)
        assert torch.equal(step.prev_sample, expected)


class TestAdaptive:
    def test_goes_on_until_the_algorithm_is_done(self):
        scheduler = started(Finding)
        assert len(scheduler.timesteps) == 1
        assert run(scheduler)[0] == [8, 4]
        assert run(scheduler, X * 100)[0] == [8, 4, 2, 1, 0.5]
        assert scheduler.call == 5

    def test_tells_the_timestep_of_each_level(self):
        scheduler = started(Finding)
        scheduler.begin(X)
        scheduler.advance(X)
        assert scheduler.timestep == pytest.approx(scheduler.level_to_timestep(4.0))

    def test_cannot_be_driven_by_timesteps_nor_begin_in_the_middle(self):
        with pytest.raises(ValueError, match="finds its timesteps on the way"):
            started(Finding).step(X, 5.0, X)
        with pytest.raises(ValueError, match="cannot begin"):
            started(Finding, begin=1).begin(X)


def test_the_whole_schedule_is_remembered_where_a_part_is_run():
    scheduler = Brownian()
    scheduler.set_run(4, None, skip=2)
    whole = Brownian()
    whole.set_run(4, None)
    assert scheduler.whole_levels == whole.whole_levels == whole.levels
    assert scheduler.levels == whole.levels[2:]


@pytest.mark.filterwarnings("ignore:Should have t[ab]:UserWarning")
@pytest.mark.parametrize("own", [True, False])
def test_a_brownian_path_comes_from_the_seeds_of_a_pipelines_generators(own):
    """One path for each picture that has a generator; else one for all together. As k-diffusion's tree of that seed."""
    scheduler = started(Brownian)
    generators = [torch.Generator().manual_seed(seed) for seed in (3, 4)]
    x = scheduler.step(X, scheduler.timesteps[0], X, generator=generators if own else generators[0]).prev_sample
    if own:
        trees = [torchsde.BrownianTree(1.0, torch.zeros(1, 2, 2), 8.0, entropy=seed) for seed in (3, 4)]
        expected = torch.stack([tree(4.0, 8.0) for tree in trees])
    else:
        expected = torchsde.BrownianTree(1.0, torch.zeros_like(X), 8.0, entropy=3)(4.0, 8.0)
    assert torch.equal(x, -expected / 2)


def test_a_brownian_path_without_a_generator_is_another_each_time():
    drawn = [started(Brownian) for _ in range(2)]
    one, other = (scheduler.step(X, scheduler.timesteps[0], X).prev_sample for scheduler in drawn)
    assert not torch.equal(one, other)
