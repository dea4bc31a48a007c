"""ᾱ_t, the share of the picture left at each training timestep, from a checkpoint's scheduler configuration."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from math import sqrt
from operator import mul

from webui.domain.noise_levels import scaled_linear_alphas_cumprod
from webui.errors import IncompatibleModel


def trained_alphas_cumprod(
    num_train_timesteps: int,
    beta_start: float,
    beta_end: float,
    beta_schedule: str,
    trained_betas: Sequence[float] | None,
) -> tuple[float, ...]:
    """ᾱ_t = Π (1 − β), by the names that diffusers gives to schedules of β. Unknown ones raise ``IncompatibleModel``."""
    if trained_betas is not None:
        betas = [float(beta) for beta in trained_betas]
    elif beta_schedule == "scaled_linear":
        return scaled_linear_alphas_cumprod(beta_start, beta_end, num_train_timesteps)
    elif beta_schedule == "linear":
        rise = (beta_end - beta_start) / (num_train_timesteps - 1)
        betas = [beta_start + rise * t for t in range(num_train_timesteps)]
    else:
        raise IncompatibleModel(f'The noise schedule "{beta_schedule}" is not known; scaled_linear and linear are.')
    return tuple(accumulate((1 - beta for beta in betas), mul))


def zero_terminal_snr(alphas_cumprod: Sequence[float]) -> tuple[float, ...]:
    """√ᾱ moved and stretched so that the last timestep is pure noise. Lin et al., arXiv 2305.08891, algorithm 1.

    The last ᾱ is not quite 0, which would be infinite sigma, but the 4.9e-8 that A1111 takes (sigma 4518.8).
    """
    roots = [sqrt(alpha) for alpha in alphas_cumprod]
    first, last = roots[0], roots[-1]
    rescaled = [((root - last) * first / (first - last)) ** 2 for root in roots]
    return (*rescaled[:-1], 4.8973451890853435e-08)
