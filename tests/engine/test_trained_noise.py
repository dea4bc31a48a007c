"""The noise levels of a checkpoint, from its configuration, without torch."""

import numpy as np
import pytest

from webui.domain.sampling_options import SamplingOptions
from webui.engine.schedulers.trained_noise import trained_alphas_cumprod, trained_noise_model, with_overrides
from webui.errors import IncompatibleModel

SD1 = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "clip_sample": False}


def test_zero_terminal_snr_has_a1111s_levels():
    levels = trained_noise_model({**SD1, "rescale_betas_zero_snr": True}).levels
    assert levels[-1] == pytest.approx(4518.7637, rel=1e-6)
    assert levels[-2] == pytest.approx(2254.2354, rel=2e-6)  # rescaled in float32 there
    assert levels[0] == pytest.approx(0.0291675, abs=5e-8)


def test_other_ways_to_say_it():
    plain = trained_alphas_cumprod()
    betas = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    assert trained_alphas_cumprod(trained_betas=betas.tolist()) == pytest.approx(plain, rel=1e-12)
    linear = trained_alphas_cumprod(beta_start=0.001, beta_end=0.01, beta_schedule="linear")
    assert linear == pytest.approx(np.cumprod(1 - np.linspace(0.001, 0.01, 1000)).tolist(), rel=1e-12)
    assert len(trained_noise_model({"num_train_timesteps": 100, **SD1}).levels) == 100


def test_an_unknown_schedule_of_betas_is_refused():
    with pytest.raises(IncompatibleModel, match="squaredcos"):
        trained_noise_model({"beta_schedule": "squaredcos_cap_v2"})


def test_the_request_goes_before_the_checkpoint():
    config = {**SD1, "prediction_type": "epsilon"}
    assert with_overrides(config, SamplingOptions()) == config
    overridden = with_overrides(config, SamplingOptions(zero_terminal_snr=True, prediction_type="v_prediction"))
    assert overridden == {**config, "rescale_betas_zero_snr": True, "prediction_type": "v_prediction"}
