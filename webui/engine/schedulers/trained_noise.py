"""ᾱ_t, the share of the picture left at each training timestep, from a checkpoint's scheduler configuration.

Pure Python, so that the noise levels of a checkpoint are known before torch is loaded.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from itertools import accumulate
from math import sqrt
from operator import mul
from typing import Any

from webui.domain.noise_levels import NoiseModel, scaled_linear_alphas_cumprod
from webui.domain.sampling_options import SamplingOptions
from webui.errors import IncompatibleModel


def trained_alphas_cumprod(
    num_train_timesteps: int = 1000,
    beta_start: float = 0.00085,
    beta_end: float = 0.012,
    beta_schedule: str = "scaled_linear",
    trained_betas: Sequence[float] | None = None,
    rescale_betas_zero_snr: bool = False,
) -> tuple[float, ...]:
    """ᾱ_t = Π (1 − β), by the names that diffusers gives to schedules of β. Unknown ones raise ``IncompatibleModel``."""
    if trained_betas is not None:
        betas = [float(beta) for beta in trained_betas]
        alphas_cumprod = tuple(accumulate((1 - beta for beta in betas), mul))
    elif beta_schedule == "scaled_linear":
        alphas_cumprod = scaled_linear_alphas_cumprod(beta_start, beta_end, num_train_timesteps)
    elif beta_schedule == "linear":
        rise = (beta_end - beta_start) / (num_train_timesteps - 1)
        alphas_cumprod = tuple(accumulate((1 - beta_start - rise * t for t in range(num_train_timesteps)), mul))
    else:
        raise IncompatibleModel(f'The noise schedule "{beta_schedule}" is not known; scaled_linear and linear are.')
    return zero_terminal_snr(alphas_cumprod) if rescale_betas_zero_snr else alphas_cumprod


def zero_terminal_snr(alphas_cumprod: Sequence[float]) -> tuple[float, ...]:
    """√ᾱ moved and stretched so that the last timestep is pure noise. Lin et al., arXiv 2305.08891, algorithm 1.

    The last ᾱ is not quite 0, which would be infinite sigma, but the 4.9e-8 that A1111 takes (sigma 4518.8).
    """
    roots = [sqrt(alpha) for alpha in alphas_cumprod]
    first, last = roots[0], roots[-1]
    rescaled = [((root - last) * first / (first - last)) ** 2 for root in roots]
    return (*rescaled[:-1], 4.8973451890853435e-08)


def with_overrides(config: Mapping[str, Any], options: SamplingOptions) -> dict[str, Any]:
    """The configuration with what the request says otherwise: zero terminal SNR, and what the network predicts."""
    changed = dict(config)
    if options.zero_terminal_snr:
        changed["rescale_betas_zero_snr"] = True
    if options.prediction_type:
        changed["prediction_type"] = options.prediction_type
    return changed


def trained_noise_model(config: Mapping[str, Any]) -> NoiseModel:
    """The noise levels that a checkpoint of this scheduler configuration was trained on."""
    known = inspect.signature(trained_alphas_cumprod).parameters
    return NoiseModel.from_alphas_cumprod(
        trained_alphas_cumprod(**{key: value for key, value in config.items() if key in known})
    )
