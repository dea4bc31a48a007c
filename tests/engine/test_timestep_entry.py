"""Where A1111's timestep samplers begin when they start from a picture."""

from itertools import pairwise

import pytest
import torch

from webui.domain.schedules import find_schedule
from webui.engine.schedulers.ddim import DDIMScheduler
from webui.engine.schedulers.euler import EulerScheduler
from webui.engine.schedulers.unipc import UniPCScheduler


def a1111(steps, strength):
    """(timestep that gives the noise, timesteps handed to the sampler, rising): t_enc = int(min(strength, 0.999)·steps)."""
    timesteps = [min(t + 1, 999) for t in range(0, 1000, 1000 // steps)]
    t_enc = int(min(strength, 0.999) * steps)
    return timesteps[t_enc], timesteps[:t_enc]


def skip_of(steps, strength):
    return steps - int(min(strength, 0.999) * steps) - 1


CASES = [(steps, strength) for steps in (7, 20, 30, 50) for strength in (0.3, 0.5, 0.75, 1.0)]


def entered(cls, steps, skip):
    scheduler = cls()
    scheduler.set_run(steps, None, skip)
    return scheduler


@pytest.mark.parametrize(("steps", "strength"), CASES)
def test_ddim_begins_one_timestep_below_the_noise(steps, strength):
    noised_at, handed = a1111(steps, strength)
    scheduler = entered(DDIMScheduler, steps, skip_of(steps, strength))
    if len(handed) > 1:  # with one timestep A1111's loop has nothing to do
        assert scheduler.levels == tuple(reversed(handed))
    assert scheduler.entry_level == noised_at


def test_ddim_with_the_numbers_of_20_steps_at_three_quarters():
    scheduler = entered(DDIMScheduler, 20, 4)
    assert scheduler.entry_level == 751
    assert scheduler.timesteps.tolist() == [*range(701, 50, -50)]
    assert scheduler.levels[-1] == 1


@pytest.mark.parametrize(("steps", "strength"), CASES)
def test_unipc_goes_evenly_from_there_to_0(steps, strength):
    """A1111 hands over t_start = timesteps[-1]/1000 + 1/1000, which the network is told as timesteps[-1]."""
    noised_at, handed = a1111(steps, strength)
    scheduler = entered(UniPCScheduler, steps, skip_of(steps, strength))
    assert scheduler.entry_level == noised_at
    if len(handed) > 2:  # below its order A1111 refuses
        assert scheduler.levels[0] == handed[-1]
        assert len(scheduler.timesteps) == len(handed)
    assert scheduler.levels[-1] == 0
    assert all(high > low for high, low in pairwise(scheduler.levels))


@pytest.mark.parametrize("cls", [DDIMScheduler, UniPCScheduler])
@pytest.mark.parametrize(("steps", "skip"), [(20, 19), (20, 18), (2, 0), (1, 0)])
def test_at_least_one_call_is_made(cls, steps, skip):
    """A1111's DDIM makes none for the last two of a run, and returns the noisy picture."""
    scheduler = entered(cls, steps, skip)
    assert len(scheduler.timesteps) >= 1
    assert scheduler.levels[0] == scheduler.entry_level, "so little is told as it is"


@pytest.mark.parametrize("cls", [DDIMScheduler, UniPCScheduler])
def test_a_run_from_noise_begins_at_the_top(cls):
    from_noise, from_picture = entered(cls, 20, None), entered(cls, 20, 0)
    assert from_noise.levels[0] > from_picture.levels[0] == 901
    assert from_noise.entry_level == from_noise.levels[0]
    assert from_picture.whole_levels == from_noise.levels


def test_a_picture_is_noised_to_the_entry():
    scheduler = entered(DDIMScheduler, 20, 4)
    signal = scheduler.alphas_cumprod[751].sqrt().item()
    latents, noise = torch.full((1, 4, 2, 2), 3.0), torch.full((1, 4, 2, 2), -2.0)
    expected = 3.0 * signal - 2.0 * (1 - signal**2) ** 0.5
    assert scheduler.enter(latents, noise).unique().tolist() == pytest.approx([expected], rel=1e-5)


def test_other_samplers_enter_where_they_begin():
    scheduler = EulerScheduler()
    scheduler.set_run(20, find_schedule("Karras"), 4)
    latents, noise = torch.full((1, 4, 2, 2), 3.0), torch.full((1, 4, 2, 2), -2.0)
    assert scheduler.enter(latents, noise).unique().tolist() == pytest.approx([3.0 - 2.0 * scheduler.levels[0]])
