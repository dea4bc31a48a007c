"""What the page shows before a run is what the engine runs: over the whole table of samplers and of schedules."""

from __future__ import annotations

import pytest

from webui.domain.samplers import SAMPLERS
from webui.domain.sampling_options import SamplingOptions
from webui.domain.schedules import SCHEDULES
from webui.domain.visited_levels import visited_levels
from webui.engine.samplers import build
from webui.engine.schedulers.trained_noise import trained_noise_model

SD1 = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
OPTIONS = SamplingOptions(
    sigma_min=0.05, sigma_max=12.0, rho=5.0, discard_penultimate=True, custom_sigmas="9, 4, 1, 0.2"
)
CASES = [
    pytest.param(row, schedule, id=f"{row.name}-{schedule.name}")
    for row in SAMPLERS
    for schedule in SCHEDULES
    if row.accepts(schedule.name)
]


@pytest.mark.parametrize(("row", "schedule"), CASES)
def test_shown_and_run_are_the_same(row, schedule):
    for config in (SD1, {**SD1, "rescale_betas_zero_snr": True}):
        for steps, options in ((7, SamplingOptions(custom_sigmas="3")), (23, OPTIONS)):
            shown = visited_levels(row.name, schedule.name, steps, trained_noise_model(config), options, "sdxl")
            scheduler = build(row.name, schedule.name, steps, config, family="sdxl", **options.__dict__)
            path = scheduler._path  # where its steps begin and end
            weights = [scheduler.signal_and_noise(level) for level in path]
            assert [sigma for sigma, _ in shown] == [b / a for a, b in weights]
            assert [t for _, t in shown] == [scheduler.level_to_timestep(level) for level in path]
            assert scheduler.timesteps[0].item() == pytest.approx(shown[0][1], abs=1e-4)
