"""The numbers are those of AUTOMATIC1111's web UI 1.10 and k-diffusion, run in float32 on SD 1's levels."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from webui.domain.noise_levels import NoiseModel, scaled_linear_alphas_cumprod
from webui.domain.samplers import find_sampler
from webui.domain.schedules import AUTOMATIC, SCHEDULES, find_schedule, schedule_for
from webui.errors import InvalidRequest

SD1 = NoiseModel.from_alphas_cumprod(scaled_linear_alphas_cumprod())
REAL = [row for row in SCHEDULES if row is not AUTOMATIC]

TABLE = {
    ("Uniform", 5): "14.6146 4.0861 1.6156 0.6951 0.0292",
    ("Uniform", 10): "14.6146 7.8399 4.6092 2.9183 1.9502 1.3449 0.9324 0.6250 0.3687 0.0292",
    ("Karras", 5): "14.6146 4.7965 1.2741 0.2480 0.0292",
    ("Karras", 10): "14.6146 9.1029 5.4784 3.1686 1.7494 0.9141 0.4469 0.2014 0.0819 0.0292",
    (
        "Karras",
        20,
    ): "14.6146 11.7254 9.3402 7.3836 5.7894 4.4998 3.4648 2.6408 1.9909 1.4832 1.0908 0.7909 0.5647 0.3964 "
    "0.2730 0.1842 0.1213 0.0779 0.0485 0.0292",
    ("Exponential", 5): "14.6146 3.0890 0.6529 0.1380 0.0292",
    ("Exponential", 10): "14.6146 7.3249 3.6712 1.8400 0.9222 0.4622 0.2317 0.1161 0.0582 0.0292",
    ("SGM Uniform", 5): "14.6146 5.0924 2.2797 1.1629 0.5712",
    ("SGM Uniform", 10): "14.6146 8.3072 5.0924 3.3251 2.2797 1.6156 1.1629 0.8319 0.5712 0.3437",
    ("Simple", 5): "14.6146 5.0878 2.2765 1.1606 0.5693",
    ("Simple", 10): "14.6146 8.3028 5.0878 3.3211 2.2765 1.6129 1.1606 0.8299 0.5693 0.3417",
}


@pytest.mark.parametrize(("name", "n"), TABLE)
def test_levels_equal_a1111s(name, n):
    *levels, end = find_schedule(name).sigmas(n, SD1)
    assert end == 0.0
    # the table shows four decimals
    assert levels == pytest.approx([float(value) for value in TABLE[name, n].split()], rel=1e-4, abs=5.1e-5)


def test_dpm2s_extra_level_is_a_karras_schedule_of_one_step_more():
    *levels, _last, _zero = find_schedule("Karras").sigmas(11, SD1)
    shown = "14.6146 9.5583 6.0822 3.7513 2.2322 1.2741 0.6926 0.3552 0.1698 0.0744"
    assert levels == pytest.approx([float(value) for value in shown.split()], rel=1e-4, abs=5.1e-5)


@pytest.mark.parametrize("n", [2, 7, 20, 50])
def test_float32_arithmetic_differs_by_less_than_3_in_a_million(n):
    low, high = np.float32(SD1.sigma_min), np.float32(SD1.sigma_max)
    ramp, seventh = np.linspace(0, 1, n, dtype=np.float32), np.float32(1 / 7)
    karras = (high**seventh + ramp * (low**seventh - high**seventh)) ** np.float32(7)
    exponential = np.exp(np.linspace(np.log(high), np.log(low), n, dtype=np.float32))
    assert find_schedule("Karras").sigmas(n, SD1)[:-1] == pytest.approx(karras.tolist(), rel=3e-6)
    assert find_schedule("Exponential").sigmas(n, SD1)[:-1] == pytest.approx(exponential.tolist(), rel=3e-6)


@pytest.mark.parametrize("row", REAL, ids=lambda row: row.name)
class TestEverySchedule:
    def test_one_step_goes_from_the_most_noise_to_none(self, row):
        assert row.sigmas(1, SD1) == (pytest.approx(SD1.sigma_max, rel=1e-12), 0.0)

    @given(n=st.integers(1, 2500))
    def test_falls_strictly_from_the_most_noise_to_zero(self, row, n):
        sigmas = row.sigmas(n, SD1)
        assert len(sigmas) == n + 1
        assert sigmas[0] == pytest.approx(SD1.sigma_max, rel=1e-12)
        assert all(earlier > later for earlier, later in pairwise(sigmas))
        assert sigmas[-1] == 0.0 and sigmas[-2] > 0.9 * SD1.sigma_min

    def test_works_on_a_model_of_few_levels(self, row):
        assert len(row.sigmas(3, NoiseModel((0.1, 1.0)))) == 4

    def test_no_steps_is_refused(self, row):
        with pytest.raises(InvalidRequest) as refused:
            row.sigmas(0, SD1)
        assert refused.value.field == "steps"

    def test_is_found_under_every_name_it_has(self, row):
        for name in (row.name, row.name.upper(), f" {row.name.lower()} ", *row.aliases):
            assert find_schedule(name) is row


def test_an_unknown_schedule_is_answered_with_near_matches():
    with pytest.raises(InvalidRequest, match=r'"Kerras".*"Karras"') as refused:
        find_schedule("Kerras")
    assert refused.value.field == "schedule"


def test_automatic_is_the_samplers_own():
    assert find_schedule("automatic") is AUTOMATIC
    assert schedule_for("Automatic", find_sampler("DPM++ 2M")) is find_schedule("Karras")
    assert schedule_for("Automatic", find_sampler("Euler a")) is find_schedule("Uniform")
    assert schedule_for("Simple", find_sampler("Euler a")) is find_schedule("Simple")
    assert schedule_for("Karras", find_sampler("DDIM")) is None


def test_names_and_aliases_are_unambiguous():
    names = [name.casefold() for row in SCHEDULES for name in (row.name, *row.aliases)]
    assert len(names) == len(set(names))
