"""The numbers are those of AUTOMATIC1111's web UI 1.10, Forge, ComfyUI and k-diffusion, run in float32 on SD 1's levels."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webui.domain.noise_levels import NoiseModel, scaled_linear_alphas_cumprod
from webui.domain.samplers import Sampler, find_sampler
from webui.domain.sampling_options import SamplingOptions
from webui.domain.schedules import AUTOMATIC, CUSTOM, SCHEDULES, find_schedule, run_sigmas, schedule_for
from webui.errors import InvalidRequest

SD1 = NoiseModel.from_alphas_cumprod(scaled_linear_alphas_cumprod())
REAL = [row for row in SCHEDULES if row.function is not None]
AYS_SD1 = "14.615 6.475 3.861 2.697 1.886 1.396 0.963 0.652 0.399 0.152 0.029"
AYS_SDXL = "14.615 6.315 3.771 2.181 1.342 0.862 0.555 0.380 0.234 0.113 0.029"

TABLE = {  # without the closing 0
    ("Uniform", 5): "14.6146 4.0861 1.6156 0.6951 0.0292",
    ("Uniform", 10): "14.6146 7.8399 4.6092 2.9183 1.9502 1.3449 0.9324 0.6250 0.3687 0.0292",
    ("Normal", 5): "14.6146 4.0861 1.6156 0.6951 0.0292",
    ("Normal", 10): "14.6146 7.8399 4.6092 2.9183 1.9502 1.3449 0.9324 0.6250 0.3687 0.0292",
    ("Karras", 5): "14.6146 4.7965 1.2741 0.2480 0.0292",
    ("Karras", 10): "14.6146 9.1029 5.4784 3.1686 1.7494 0.9141 0.4469 0.2014 0.0819 0.0292",
    (
        "Karras",
        20,
    ): "14.6146 11.7254 9.3402 7.3836 5.7894 4.4998 3.4648 2.6408 1.9909 1.4832 1.0908 0.7909 0.5647 0.3964 "
    "0.2730 0.1842 0.1213 0.0779 0.0485 0.0292",
    ("Exponential", 5): "14.6146 3.0890 0.6529 0.1380 0.0292",
    ("Exponential", 10): "14.6146 7.3249 3.6712 1.8400 0.9222 0.4622 0.2317 0.1161 0.0582 0.0292",
    ("Polyexponential", 5): "14.6146 3.0890 0.6529 0.1380 0.0292",
    ("Polyexponential", 10): "14.6146 7.3249 3.6712 1.8400 0.9222 0.4622 0.2317 0.1161 0.0582 0.0292",
    ("SGM Uniform", 5): "14.6146 5.0924 2.2797 1.1629 0.5712",
    ("SGM Uniform", 10): "14.6146 8.3072 5.0924 3.3251 2.2797 1.6156 1.1629 0.8319 0.5712 0.3437",
    ("Align Your Steps", 5): "14.615 3.2269 1.396 0.51 0.029",
    ("Align Your Steps", 10): "14.615 6.1135 3.5651 2.3939 1.6500 1.1358 0.7425 0.4450 0.1692 0.0290",
    ("Align Your Steps", 11): AYS_SD1,
    ("Align Your Steps GITS", 11): "14.615 4.617 2.507 1.236 0.702 0.402 0.240 0.156 0.104 0.094 0.029",
    ("Align Your Steps 32", 2): "14.615 0.015",
    ("Simple", 5): "14.6146 5.0878 2.2765 1.1606 0.5693",
    ("Simple", 10): "14.6146 8.3028 5.0878 3.3211 2.2765 1.6129 1.1606 0.8299 0.5693 0.3417",
    ("Turbo", 5): "14.6146 5.0878 2.2765 1.1606 0.5693",
    ("Turbo", 10): "14.6146 8.3028 5.0878 3.3211 2.2765 1.6129 1.1606 0.8299 0.5693 0.3417",
    ("DDIM", 5): "5.1344 2.2929 1.1682 0.5741 0.0413",
    ("DDIM", 10): "8.3907 5.1344 3.3478 2.2929 1.6237 1.1682 0.8357 0.5741 0.3462 0.0413",
    ("Beta", 5): "14.6146 12.0523 7.3219 2.5915 0.0292",
    ("Beta", 10): "14.6146 13.9278 12.4910 10.5976 8.4424 6.2014 4.0462 2.1528 0.7160 0.0292",
    ("Beta (ComfyUI)", 5): "14.6146 7.3718 2.6152 1.0273 0.3955",
    ("Beta (ComfyUI)", 10): "14.6146 11.5428 7.3718 4.3728 2.6152 1.6183 1.0273 0.6549 0.3955 0.1991",
    ("Linear Quadratic", 4): "14.6146 14.4320 14.2493 10.5956",
    ("Linear Quadratic", 10): "14.6146 14.5416 14.4685 14.3954 14.3223 14.2493 13.6208 11.8817 9.0318 5.0713",
}


def shown(numbers):
    """The tables show four decimals."""
    return pytest.approx([float(number) for number in numbers.split()], rel=1e-4, abs=5.1e-5)


@pytest.mark.parametrize(("name", "n"), TABLE)
def test_levels_equal_the_originals(name, n):
    *levels, end = find_schedule(name).sigmas(n, SD1)
    assert end == 0.0
    assert levels == shown(TABLE[name, n])


@pytest.mark.parametrize(
    ("n", "numbers"),
    [
        (5, "14.6146 2.6329 1.2948 0.7116 0.3356 0.0292"),
        (10, "14.6146 4.5650 2.6329 1.7864 1.2948 0.9616 0.7116 0.5094 0.3356 0.1783 0.0292"),
    ],
)
def test_kl_optimal_ends_at_the_least_noise_and_leaves_it(n, numbers):
    assert find_schedule("KL Optimal").sigmas(n, SD1) == shown(numbers)


@pytest.mark.parametrize(
    ("name", "n", "numbers"),
    [
        ("Align Your Steps", 11, AYS_SDXL),
        ("Align Your Steps", 5, "14.615 2.8678 0.862 0.2982 0.029"),
        ("Align Your Steps", 10, "14.615 5.9634 3.3390 1.8550 1.1023 0.6750 0.4311 0.2606 0.1225 0.0290"),
        ("Align Your Steps GITS", 11, "14.615 4.734 2.567 1.529 0.987 0.652 0.418 0.268 0.179 0.127 0.029"),
    ],
)
@pytest.mark.parametrize("family", ["sdxl", "sdxl-refiner"])
def test_tables_of_sdxl_are_others(name, n, numbers, family):
    assert find_schedule(name).sigmas(n, SD1, family=family)[:-1] == shown(numbers)


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_32_levels_are_the_table_itself(family):
    row = find_schedule("Align Your Steps 32")
    levels = row.sigmas(32, SD1, family=family)
    assert len(levels) == 33 and levels[0] == 14.615 and levels[-2:] == (0.015, 0.0)
    assert row.sigmas(63, SD1, family=family)[:-1:2] == pytest.approx(levels[:-1], rel=1e-12)


@pytest.mark.parametrize(
    ("n", "count"), [(1, 1), (2, 2), (7, 8), (20, 20), (30, 31), (150, 167), (700, 999), (1000, 999)]
)
def test_ddim_has_often_more_steps_than_were_asked_for(n, count):
    levels = find_schedule("DDIM").sigmas(n, SD1)
    assert len(levels) == count + 1
    if n > 1:
        assert levels[-2] == SD1.levels[1]


def test_beta_of_timesteps_leaves_out_what_is_rounded_to_the_same():
    row = find_schedule("Beta (ComfyUI)")
    assert [len(row.sigmas(n, SD1)) - 1 for n in (20, 150, 300, 1000)] == [20, 149, 293, 847]


def test_normal_obeys_the_range_where_uniform_does_not():
    normal = find_schedule("Normal").sigmas(5, SD1, sigma_min=0.1, sigma_max=10.0)
    assert (normal[0], normal[-2]) == (pytest.approx(10.0, rel=1e-12), pytest.approx(0.1, rel=1e-12))
    options = SamplingOptions(sigma_min=0.1, sigma_max=10.0)
    euler = find_sampler("Euler")
    assert run_sigmas(find_schedule("Uniform"), euler, 5, SD1, options)[0] == SD1.sigma_max
    assert run_sigmas(find_schedule("Normal"), euler, 5, SD1, options) == normal


def test_the_karras_schedule_of_2022_is_a_range():
    levels = find_schedule("Karras").sigmas(10, SD1, sigma_min=0.1, sigma_max=10)
    assert levels[:-1] == shown("10 6.8022 4.5242 2.9341 1.8493 1.1282 0.6629 0.3728 0.1991 0.1")


@pytest.mark.parametrize("rho", [0.5, 1.0, 3.0, 7.0, 50.0])
def test_rho_is_the_power(rho):
    low, high = SD1.sigma_min, SD1.sigma_max
    ramp = np.linspace(0, 1, 8)
    karras = (high ** (1 / rho) + ramp * (low ** (1 / rho) - high ** (1 / rho))) ** rho
    assert find_schedule("Karras").sigmas(8, SD1, rho=rho)[:-1] == pytest.approx(karras.tolist(), rel=1e-9)
    if rho <= 7:
        polyexponential = np.exp((1 - ramp) ** rho * (np.log(high) - np.log(low)) + np.log(low))
        assert find_schedule("Polyexponential").sigmas(8, SD1, rho=rho)[:-1] == pytest.approx(polyexponential.tolist())


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
        first, end = row.sigmas(1, SD1)
        assert first == pytest.approx(SD1.sigma_max, rel=1e-4)
        assert end == (SD1.sigma_min if row.name == "KL Optimal" else 0.0)

    @settings(max_examples=30)
    @given(n=st.integers(1, 1001))
    def test_falls_strictly_to_the_end(self, row, n):
        sigmas = row.sigmas(n, SD1)
        assert all(earlier > later for earlier, later in pairwise(sigmas))
        assert row.name == "KL Optimal" or sigmas[-1] == 0.0
        if row.name not in ("DDIM", "Beta (ComfyUI)"):
            assert len(sigmas) == n + 1
        if row.name != "DDIM":
            assert sigmas[0] == pytest.approx(SD1.sigma_max, rel=1e-4)

    @pytest.mark.parametrize("n", [1, 2, 3, 150, 1000, 1001])
    def test_works_on_models_of_few_levels_and_of_much_noise(self, row, n):
        zero_snr = NoiseModel((*SD1.levels[:-1], 4518.76))
        for model in (SD1.thinned(50), zero_snr):
            sigmas = row.sigmas(n, model)
            assert all(earlier > later for earlier, later in pairwise(sigmas))
        assert len(row.sigmas(3, NoiseModel((0.1, 1.0)))) > 1

    def test_no_steps_is_refused(self, row):
        with pytest.raises(InvalidRequest) as refused:
            row.sigmas(0, SD1)
        assert refused.value.field == "steps"

    def test_is_found_under_every_name_it_has(self, row):
        for name in (row.name, row.name.upper(), f" {row.name.lower()} ", *row.aliases):
            assert find_schedule(name) is row

    def test_obeys_exactly_the_options_that_it_names(self, row):
        changed = {"sigma_min": 0.2, "sigma_max": 9.0, "rho": 3.0, "beta_alpha": 0.4, "discard_penultimate": True}
        changed |= {"beta_beta": 0.4, "custom_sigmas": "3, 2, 1"}
        plain, sampler = SamplingOptions(), find_sampler("Euler")
        levels = run_sigmas(row, sampler, 6, SD1, plain)
        heeded = {
            name
            for name, value in changed.items()
            if run_sigmas(row, sampler, 6, SD1, replace(plain, **{name: value})) != levels
        }
        assert heeded == set(row.options)


@pytest.mark.parametrize(
    ("name", "options", "field", "sentence"),
    [
        (
            "Karras",
            {"sigma_min": 20.0},
            "sigma_min",
            "Schedule min sigma (20) must be below schedule max sigma (14.6146)",
        ),
        (
            "Karras",
            {"sigma_max": 0.02},
            "sigma_max",
            "Schedule min sigma (0.0291675) must be below schedule max sigma (0.02)",
        ),
        ("Normal", {"sigma_min": 20.0, "sigma_max": 30.0}, "sigma_max", "twice"),
        ("Polyexponential", {"rho": 900.0}, "rho", "Polyexponential of 20 steps"),
        ("Beta", {"beta_alpha": 0.01}, "beta_alpha", "nearer to the defaults"),
    ],
)
def test_what_cannot_fall_is_refused_in_the_name_of_its_field(name, options, field, sentence):
    with pytest.raises(InvalidRequest) as refused:
        find_schedule(name).sigmas(20, SD1, **options)
    assert refused.value.field == field
    assert sentence in str(refused.value)


class TestRunSigmas:
    EULER, DPM2 = find_sampler("Euler"), Sampler("DPM2", "Karras", discards_penultimate=True)

    def test_the_penultimate_level_is_left_out_of_a_schedule_of_one_step_more(self):
        karras, numbers = (
            find_schedule("Karras"),
            "14.6146 9.5583 6.0822 3.7513 2.2322 1.2741 0.6926 0.3552 0.1698 0.0744",
        )
        by_sampler = run_sigmas(karras, self.DPM2, 10, SD1, SamplingOptions())
        assert by_sampler[:-1] == shown(numbers) and by_sampler[-1] == 0.0
        assert run_sigmas(karras, self.EULER, 10, SD1, SamplingOptions(discard_penultimate=True)) == by_sampler
        assert run_sigmas(karras, self.DPM2, 10, SD1, SamplingOptions(discard_penultimate=True)) == by_sampler

    def test_a_schedule_that_ends_above_0_still_does(self):
        levels = run_sigmas(find_schedule("KL Optimal"), self.DPM2, 10, SD1, SamplingOptions())
        assert len(levels) == 11 and levels[-1] == pytest.approx(SD1.sigma_min, rel=1e-12)

    def test_levels_that_were_typed_in_are_run_as_they_are(self):
        for sampler in (self.EULER, self.DPM2):
            assert run_sigmas(CUSTOM, sampler, 20, SD1, SamplingOptions(custom_sigmas="9 3 1")) == (9.0, 3.0, 1.0, 0.0)

    def test_align_your_steps_of_comfyui_is_a1111s_with_the_penultimate_discarded(self):
        levels = run_sigmas(find_schedule("ays"), self.EULER, 10, SD1, SamplingOptions(discard_penultimate=True))
        assert levels == (*(float(number) for number in AYS_SD1.split()[:-1]), 0.0)


def test_an_unknown_schedule_is_answered_with_near_matches():
    with pytest.raises(InvalidRequest, match=r'"Kerras".*"Karras"') as refused:
        find_schedule("Kerras")
    assert refused.value.field == "schedule"


def test_automatic_is_the_samplers_own():
    assert find_schedule("automatic") is AUTOMATIC
    assert schedule_for("Automatic", find_sampler("DPM++ 2M")) is find_schedule("Karras")
    assert schedule_for("Automatic", find_sampler("Euler a")) is find_schedule("Uniform")
    assert schedule_for("Simple", find_sampler("Euler a")) is find_schedule("Simple")
    assert schedule_for("Automatic", find_sampler("DDIM")) is None


def test_a_schedule_that_the_sampler_does_not_accept_is_refused():
    with pytest.raises(InvalidRequest, match="DDIM has timesteps of its own") as refused:
        schedule_for("Karras", find_sampler("DDIM"))
    assert refused.value.field == "schedule"
    picky = Sampler("Picky", "Karras", schedules=("Karras", "Exponential"))
    with pytest.raises(InvalidRequest, match=r'"Uniform".*Choose one of: Automatic, Karras, Exponential'):
        schedule_for("uniform", picky)


def test_names_and_aliases_are_unambiguous():
    names = [name.casefold() for row in SCHEDULES for name in (row.name, *row.aliases)]
    assert len(names) == len(set(names))
