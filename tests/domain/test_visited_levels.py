"""What the page shows of a run before it is drawn."""

from itertools import pairwise

import pytest

from webui.domain.noise_levels import NoiseModel, scaled_linear_alphas_cumprod
from webui.domain.samplers import SAMPLERS
from webui.domain.sampling_options import SamplingOptions
from webui.domain.visited_levels import visited_levels
from webui.errors import InvalidRequest

SD1 = NoiseModel.from_alphas_cumprod(scaled_linear_alphas_cumprod())


def test_levels_come_with_the_timesteps_that_the_network_is_told():
    visited = visited_levels("Euler", "Uniform", 4, SD1)
    assert [t for _, t in visited] == pytest.approx([999, 666, 333, 0, 0])
    assert [sigma for sigma, _ in visited] == pytest.approx([SD1.t_to_sigma(t) for t in (999, 666, 333, 0)] + [0.0])


def test_names_in_any_spelling_and_automatic():
    assert visited_levels("k_dpmpp_2m", "automatic", 7, SD1) == visited_levels("DPM++ 2M", "Karras", 7, SD1)


@pytest.mark.parametrize(
    ("sampler", "timesteps"), [("DDIM", [751, 501, 251, 1]), ("UniPC", [999, 749.25, 499.5, 249.75, 0])]
)
def test_samplers_with_timesteps_of_their_own(sampler, timesteps):
    visited = visited_levels(sampler, "Automatic", 4, SD1)
    assert [t for _, t in visited] == timesteps
    assert visited[0][0] == pytest.approx(SD1.t_to_sigma(timesteps[0]), rel=1e-12)


def test_restart_goes_up_again():
    sigmas = [sigma for sigma, _ in visited_levels("Restart", "Automatic", 20, SD1)]
    rises = [(low, high) for low, high in pairwise(sigmas) if high > low]
    assert len(sigmas) == 20 + 2  # 20 steps, one rise, one end
    assert rises == [(pytest.approx(0.1, abs=0.1), pytest.approx(2, abs=0.6))]


def test_dpm_adaptive_shows_where_it_begins_and_ends():
    visited = visited_levels("DPM adaptive", "Automatic", 20, SD1)
    assert visited == ((SD1.sigma_max, 999.0), (SD1.sigma_min, 0.0))


def test_lcm_tells_the_timesteps_it_was_distilled_to():
    assert [t for _, t in visited_levels("LCM", "Automatic", 4, SD1)][:4] == [999, 679, 339, 19]


def test_options_and_family_count():
    custom = SamplingOptions(custom_sigmas="9, 3")
    assert [sigma for sigma, _ in visited_levels("Euler", "Custom", 20, SD1, custom)] == [9.0, 3.0, 0.0]
    assert visited_levels("Euler", "ays", 11, SD1, family="sdxl")[1][0] == 6.315


@pytest.mark.parametrize(
    ("sampler", "schedule", "field"),
    [
        ("Eulr", "Karras", "sampler"),
        ("Euler", "Karas", "schedule"),
        ("DDIM", "Karras", "schedule"),
        ("Euler", "Custom", "custom_sigmas"),
    ],
)
def test_what_cannot_be_run_is_refused(sampler, schedule, field):
    with pytest.raises(InvalidRequest) as refused:
        visited_levels(sampler, schedule, 20, SD1)
    assert refused.value.field == field


@pytest.mark.parametrize("row", SAMPLERS, ids=lambda row: row.name)
@pytest.mark.parametrize("steps", [1, 2, 3, 150, 1000])
def test_every_sampler_has_levels_for_any_number_of_steps(row, steps):
    visited = visited_levels(row.name, "Automatic", steps, SD1)
    assert len(visited) >= 2
    assert all(0 <= t <= 999 and sigma >= 0 for sigma, t in visited)
