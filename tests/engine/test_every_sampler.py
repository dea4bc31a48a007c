"""One suite over the whole table: a sampler is held to its original, on every schedule, by being in the table.

The originals are k-diffusion's functions and, for what k-diffusion has not, those of ComfyUI and of A1111 (in Forge), recorded
by ``tests/references/record.py``. ``test_sampler_orders.py`` holds every sampler to the exact solution, too.
"""

from __future__ import annotations

from functools import cache

import pytest
import torch
from references.cases import (
    FEW,
    INIT,
    OPTIONS,
    SCHEDULES,
    SEEDS,
    SHAPE,
    STEPS,
    STRENGTHS,
    relative_error,
    skip_of,
)
from references.mixture import posterior_mean
from references.mixture_run import CFG, guided, without_prompt
from references.originals import restart_path
from references.paths import LATENTS, PROGRAMS
from safetensors.torch import load_file

from webui.domain import schedules
from webui.domain.samplers import SAMPLERS, Sampler
from webui.engine.noise import BatchNoise, PictureNoise
from webui.engine.samplers import build
from webui.engine.sampling import sampling_noise
from webui.engine.schedulers.base import Scheduler
from webui.errors import InvalidRequest

SD1 = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
CPU = torch.device("cpu")
FIRST_ORDER = ("Euler",)  # deterministic ones, which have least room to be inexact

RECORDED = load_file(LATENTS)
OF_PROGRAMS = load_file(PROGRAMS)
ROWS = {row.name: row for row in SAMPLERS}
WITH_LEVELS = [row.name for row in schedules.SCHEDULES if row.function is not None]
PAIRS = [(row, name) for row in SAMPLERS for name in ("Automatic", *WITH_LEVELS) if row.accepts(name)]
each = pytest.mark.parametrize("row", SAMPLERS, ids=lambda row: row.name)
each_pair = pytest.mark.parametrize(("row", "schedule"), PAIRS, ids=[f"{row.name}-{name}" for row, name in PAIRS])


def sample(
    scheduler: Scheduler, seeds: tuple[int, ...] = SEEDS, init: torch.Tensor | None = None, scale: float = 1.0
) -> torch.Tensor:
    """The final latents with the ideal denoiser, each picture's noise from its seed.

    ``init`` is what img2img starts from; ``scale`` is that of guidance.
    """
    if scheduler.adaptive and len(seeds) > 1:
        return torch.cat([sample(scheduler, (seed,), init, scale) for seed in seeds])
    noise = BatchNoise([PictureNoise(seed, SHAPE, CPU) for seed in seeds])
    x = noise.first() * scheduler.init_noise_sigma
    if init is not None:
        a, b = scheduler.signal_and_noise(scheduler.entry_level)
        x = init * a + noise.first() * b
    x = scheduler.begin(x, sampling_noise(scheduler, noise))
    while not scheduler.done:
        a, b = scheduler.signal_and_noise(scheduler.level)
        if scale == 1:
            x = scheduler.advance(posterior_mean(x / a, b / a))
        else:
            x = scheduler.advance(guided(x / a, b / a, scale * scheduler.cfg_factor), without_prompt(x / a, b / a))
    return x


def held_to(found: torch.Tensor, recorded: torch.Tensor, name: str, rounding: float = 0.0) -> None:
    """1e-4 in float32, 1e-5 for the simplest.

    ``rounding`` is the error that the original itself has in float32, which on a few schedules, where its formula
    takes the difference of large numbers, is more than that.
    """
    assert relative_error(found, recorded).max() <= max(1e-5 if name in FIRST_ORDER else 1e-4, 3 * rounding)


def planned_calls(row: Sampler, scheduler: Scheduler) -> int | None:
    """How many network calls a run must make, by what the table says of the sampler."""
    if row.adaptive:
        return None
    steps = len(scheduler.levels) - 1
    into_nothing = 1 if scheduler.levels[-1] == 0 and row.default_schedule is not None else 0  # a single call each
    if row.name == "DPM fast":  # shares its calls out to steps of 3, 2 and 1
        return steps
    if row.name == "PLMS":  # begins with two
        return steps + 1
    if row.name == "HeunPP2":  # its three slopes need two levels ahead, which the last two steps do not have
        return max(3 * steps - 3, 1)
    if row.name == "Restart":  # some schedules end so far from 0 that it goes to 0 more than once
        into_nothing = sum(end == 0 for _, end in restart_path(scheduler.levels))
    return steps * row.calls_per_step - into_nothing * (row.calls_per_step - 1)


@cache
def recorded_samplers() -> tuple[str, ...]:
    return tuple(sorted({key.split("/")[0] for key in RECORDED} - {"levels", "options"}))


def test_every_original_is_in_the_table_and_every_schedule_has_been_recorded():
    assert set(recorded_samplers()) | {key.split("/")[0] for key in OF_PROGRAMS} <= set(ROWS)
    assert set(SCHEDULES) == set(WITH_LEVELS), "run tests/references/record.py latents for the new schedule"


def test_every_sampler_has_an_original():
    without = set(ROWS) - set(recorded_samplers()) - {key.split("/")[0] for key in OF_PROGRAMS}
    assert without == {
        "TCD",  # held to diffusers' in test_tcd.py
        "DPM++ 2S a CFG++",  # held to ComfyUI's formula in test_cfgpp.py
    }


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_schedules_visit_the_levels_that_they_visit_elsewhere(schedule, steps):
    levels = build("Euler", schedule, steps, SD1).levels
    assert levels == pytest.approx(RECORDED[f"levels/{schedule}/{steps}"].tolist(), rel=1e-6)


@each_pair
def test_ends_where_its_original_ends(row, schedule):
    seeds = SEEDS if schedule == "Automatic" else SEEDS[:1]  # Brownian paths take time
    for i, steps in enumerate(STEPS):
        scheduler = build(row.name, schedule, steps, SD1)
        found = sample(scheduler, seeds)
        assert found.isfinite().all()
        assert scheduler.call == (planned_calls(row, scheduler) or scheduler.call)
        if row.name in recorded_samplers():
            own = row.default_schedule or "Uniform"
            at = 0 if row.default_schedule is None else SCHEDULES.index(own if schedule == "Automatic" else schedule)
            recorded = RECORDED[f"{row.name}/schedules"][at, i, : len(seeds)]
            held_to(found, recorded, row.name, RECORDED[f"{row.name}/rounding"][at, i].item())


@pytest.mark.parametrize("row", [row for row in SAMPLERS if row.default_schedule is not None], ids=lambda row: row.name)
def test_a_single_step_ends_at_what_the_network_sees(row):
    scheduler = build(row.name, "Automatic", 1, SD1)
    x = torch.stack([PictureNoise(seed, SHAPE, CPU).first() for seed in SEEDS]) * scheduler.init_noise_sigma
    torch.testing.assert_close(sample(scheduler), posterior_mean(x, scheduler.levels[0]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("steps", FEW)
@pytest.mark.parametrize("name", recorded_samplers())
def test_few_steps_end_where_those_of_its_original_do(name, steps):
    held_to(sample(build(name, "Automatic", steps, SD1)), RECORDED[f"{name}/few"][FEW.index(steps)], name)


@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("name", recorded_samplers())
def test_a_picture_enters_where_and_as_noisy_as_in_the_original(name, strength):
    """img2img: the rest of the schedule, from a latent with noise of that level on it; a Brownian path over the whole."""
    scheduler = build(name, "Automatic", 20, SD1, skip=skip_of(strength))
    recorded = RECORDED[f"{name}/entries"][STRENGTHS.index(strength)]
    held_to(sample(scheduler, init=INIT), recorded, name)


@pytest.mark.parametrize(("i", "name", "options"), [(i, *of) for i, of in enumerate(OPTIONS)])
def test_obeys_its_options_as_its_original_does(i, name, options):
    assert set(options) <= set(ROWS[name].options)
    scheduler = build(name, "Automatic", 7, SD1, **options)
    held_to(sample(scheduler), RECORDED[f"options/{i}"], name)


@pytest.mark.parametrize("key", [key for key in OF_PROGRAMS if not key.endswith("/entries")])
def test_ends_where_the_program_ends_that_it_comes_from(key):
    name, schedule, steps = key.split("/")
    held_to(sample(build(name, schedule, int(steps), SD1), scale=CFG), OF_PROGRAMS[key], name)


@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("name", [key.split("/")[0] for key in OF_PROGRAMS if key.endswith("/entries")])
def test_a_picture_enters_a_timestep_sampler_where_a1111_lets_it(name, strength):
    scheduler = build(name, "Automatic", 20, SD1, skip=skip_of(strength))
    recorded = OF_PROGRAMS[f"{name}/entries"][STRENGTHS.index(strength)]
    held_to(sample(scheduler, init=INIT, scale=CFG), recorded, name)


@each
def test_a_picture_is_the_same_alone_in_a_batch_and_second_of_four(row):
    """To 1e-5: pictures share calls of the network, but neither noise nor anything else."""
    seeds = (5, 6, 7, 8)
    four = sample(build(row.name, "Automatic", 7, SD1), seeds)
    for i in (0, 1):
        alone = sample(build(row.name, "Automatic", 7, SD1), (seeds[i],))
        torch.testing.assert_close(four[i], alone[0], rtol=1e-5, atol=1e-5)
    assert (four[0] - four[1]).abs().max() > 0.1


@each_pair
def test_any_number_of_steps_runs_or_is_refused_with_a_reason(row, schedule):
    """Many steps with each sampler on a few schedules, and with each schedule in a few samplers: they take seconds."""
    has_many = schedule == "Automatic" or (SAMPLERS.index(row) + WITH_LEVELS.index(schedule)) % 12 == 0
    for steps in (1, 2, 3, *((150, 1000) if has_many else ())):
        try:
            scheduler = build(row.name, schedule, steps, SD1)
        except InvalidRequest as error:
            assert len(str(error)) > 40
            continue
        x = torch.ones(1, 1, 1, 1)
        x = scheduler.begin(x * scheduler.init_noise_sigma, lambda *levels: torch.ones(1, 1, 1, 1))
        while not scheduler.done:
            x = scheduler.advance(x * 0.5)
        assert x.isfinite().all()
        assert scheduler.call == (planned_calls(row, scheduler) or scheduler.call)
