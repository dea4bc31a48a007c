import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webui.domain.noise_levels import NoiseModel, scaled_linear_alphas_cumprod
from webui.errors import IncompatibleModel

SD1 = NoiseModel.from_alphas_cumprod(scaled_linear_alphas_cumprod())


def test_levels_of_stable_diffusion_1():
    assert len(SD1.levels) == 1000 and SD1.t_max == 999
    assert SD1.sigma_min == pytest.approx(0.0291675, abs=5e-8)
    assert SD1.sigma_max == pytest.approx(14.6146421, rel=1e-7)


def test_alphas_of_stable_diffusion_1():
    alphas = scaled_linear_alphas_cumprod()
    assert alphas[0] == pytest.approx(0.99915, abs=1e-9)
    assert alphas[-1] == pytest.approx(0.0046601, abs=5e-8)


def test_between_two_timesteps_the_logarithm_is_linear():
    assert SD1.t_to_sigma(500.25) == pytest.approx(SD1.levels[500] ** 0.75 * SD1.levels[501] ** 0.25, rel=1e-12)


@given(st.floats(0, 999))
def test_timestep_and_noise_level_are_inverse(t):
    assert SD1.sigma_to_t(SD1.t_to_sigma(t)) == pytest.approx(t, abs=1e-6)


@pytest.mark.parametrize("t", [0, 1, 499, 998, 999])
def test_whole_timesteps_are_exact(t):
    assert SD1.t_to_sigma(t) == SD1.levels[t]
    assert SD1.sigma_to_t(SD1.levels[t]) == t


def test_beyond_the_ends_counts_as_the_end():
    assert SD1.sigma_to_t(0.0) == 0 and SD1.sigma_to_t(1e9) == 999
    assert SD1.t_to_sigma(-1) == SD1.sigma_min and SD1.t_to_sigma(1e9) == SD1.sigma_max


def test_zero_terminal_snr_stays_finite():
    model = NoiseModel.from_alphas_cumprod((*scaled_linear_alphas_cumprod()[:-1], 4.8973451890853435e-08))
    assert model.sigma_max == pytest.approx(4518.7637, rel=1e-6)


@pytest.mark.parametrize("alphas", [[], [0.9], [0.9, 0.0], [1.0, 0.5], [0.5, 0.9], [0.9, math.nan], [0.5, 0.5]])
def test_a_schedule_that_cannot_be_sampled_is_refused(alphas):
    with pytest.raises(IncompatibleModel):
        NoiseModel.from_alphas_cumprod(alphas)
