"""One suite over the whole table: a new sampler is tested by being in it."""

import pytest
import torch

from webui.domain.samplers import SAMPLERS
from webui.engine.samplers import SCHEDULER_CLASSES, build
from webui.engine.schedulers.timestep_space import TimestepScheduler
from webui.errors import InvalidRequest

SD1 = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "steps_offset": 1,
    "clip_sample": False,
}
each = pytest.mark.parametrize("row", SAMPLERS, ids=lambda row: row.name)


def network(x, t):
    """Guesses noise from the input and the time, unevenly."""
    return torch.tanh(x * (1 + t / 1000)) * 0.9 + x.roll(1, -1) * 0.1


def noise_of(seeds):
    """A stream per picture."""
    streams = [torch.Generator().manual_seed(seed) for seed in seeds]
    return lambda *levels: torch.cat([torch.randn(1, 4, 8, 8, generator=stream) for stream in streams])


def run(scheduler, seeds):
    noise = noise_of(seeds)
    x = scheduler.begin(noise() * scheduler.init_noise_sigma, noise)
    calls = 0
    while not scheduler.done:
        output = network(scheduler.scale_model_input(x), scheduler.timestep)
        x = scheduler.advance(scheduler.predict_x0(output, x))
        calls += 1
    return x, calls


def test_both_tables_name_the_same_samplers():
    assert set(SCHEDULER_CLASSES) == {row.name for row in SAMPLERS}


@each
def test_both_tables_tell_the_same_of_each(row):
    cls = SCHEDULER_CLASSES[row.name]
    assert cls.order == row.calls_per_step
    assert (cls.brownian, cls.adaptive) == (row.brownian, row.adaptive)
    scheduler = build(row.name, "Automatic", 20, SD1)
    draws = []
    x = scheduler.begin(torch.zeros(1, 4, 8, 8), noise=lambda *levels: draws.append(levels) or torch.zeros(1, 4, 8, 8))
    while not scheduler.done:
        x = scheduler.advance(x)
    assert bool(draws) is (row.ancestral or row.brownian)
    assert all(start != end for start, end in draws), "noise is asked for from one level to another"


def announced(row, steps):
    """How many calls a run makes. A sampler that looks further ahead than Heun has less to look at near the end."""
    return sum(max(1, min(row.calls_per_step, left)) for left in range(steps, 0, -1))


@each
@pytest.mark.parametrize("steps", [1, 2, 3, 7, 20])
def test_runs_and_calls_the_network_as_often_as_announced(row, steps):
    scheduler = build(row.name, "Automatic", steps, SD1)
    x, calls = run(scheduler, [0, 1])
    assert x.isfinite().all()
    assert x.shape == (2, 4, 8, 8)
    if not row.adaptive:
        assert calls == len(scheduler.timesteps)
        assert isinstance(scheduler, TimestepScheduler) or calls == announced(row, steps)
    assert 0 <= scheduler.timesteps.min() <= scheduler.timesteps.max() <= 999


@pytest.mark.parametrize("row", [row for row in SAMPLERS if not row.adaptive], ids=lambda row: row.name)
def test_a_picture_is_the_same_alone_and_among_others_bit_for_bit(row):
    """Adaptive ones are run picture by picture: the length of their steps would depend on the others."""
    together, _ = run(build(row.name, "Automatic", 5, SD1), [3, 1, 4])
    for picture, seed in zip(together, [3, 1, 4], strict=True):
        alone, _ = run(build(row.name, "Automatic", 5, SD1), [seed])
        assert torch.equal(alone[0], picture)


@each
@pytest.mark.parametrize("skip", [1, 7, 19])
def test_a_part_of_a_run_ends_where_the_whole_one_ends(row, skip):
    whole, part = build(row.name, "Automatic", 20, SD1), build(row.name, "Automatic", 20, SD1, skip=skip)
    if row.default_schedule is not None:
        assert part.levels == whole.levels[skip:]
    assert part.levels[0] < whole.levels[0]
    assert part.levels[-1] == whole.levels[-1]
    assert row.adaptive or len(part.timesteps) < len(whole.timesteps)
    x, _ = run(part, [0])
    assert x.isfinite().all()


@pytest.mark.parametrize(("sampler", "calls"), [("DDIM", 19), ("UniPC", 20), ("DPM fast", 20)])
def test_samplers_that_place_their_levels_themselves_take_no_schedule(sampler, calls):
    assert len(build(sampler, "Automatic", 20, SD1).timesteps) == calls
    with pytest.raises(InvalidRequest, match="takes no schedule"):
        build(sampler, "Karras", 20, SD1)


def test_automatic_is_the_samplers_own_schedule():
    assert build("DPM++ 2M", "Automatic", 20, SD1).levels == build("DPM++ 2M", "Karras", 20, SD1).levels
    assert build("Euler", "Automatic", 20, SD1).levels == build("Euler", "Uniform", 20, SD1).levels


def test_aliases_options_and_near_matches():
    scheduler = build("k_euler_a", "karras", 5, SD1, eta=0.5)
    assert type(scheduler) is SCHEDULER_CLASSES["Euler a"]
    assert scheduler.eta == 0.5
    with pytest.raises(InvalidRequest, match='"Heun"'):
        build("Huen", "Automatic", 5, SD1)
    with pytest.raises(InvalidRequest, match='"Karras"'):
        build("Euler", "Karas", 5, SD1)


@pytest.mark.parametrize("skip", [-1, 5])
def test_more_steps_than_there_are_cannot_be_left_out(skip):
    with pytest.raises(InvalidRequest, match="left out"):
        build("Euler", "Automatic", 5, SD1, skip=skip)
