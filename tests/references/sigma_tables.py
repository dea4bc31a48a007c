"""The noise levels of every schedule once more, written apart from ``webui/domain/schedules.py`` to hold it to them.

numpy, double precision. What each follows: k-diffusion's ``get_sigmas_*`` and ``DiscreteSchedule``, and the schedules that
AUTOMATIC1111's web UI, Forge and ComfyUI add, as observable from the levels they visit.
"""

from __future__ import annotations

from importlib import import_module

import numpy as np
from numpy.typing import NDArray

Levels = NDArray[np.float64]


class TrainedLevels:
    """σ by timestep of Stable Diffusion 1, from ᾱ in float32 as checkpoints hold it; log σ is linear in between."""

    def __init__(self) -> None:
        betas = np.linspace(np.sqrt(0.00085), np.sqrt(0.012), 1000) ** 2
        self.alphas_cumprod = np.cumprod(1 - betas).astype(np.float32)
        alphas = self.alphas_cumprod.astype(np.float64)
        self.sigmas: Levels = np.sqrt((1 - alphas) / alphas)

    @property
    def last(self) -> float:
        return len(self.sigmas) - 1.0

    def sigma_at(self, t: Levels | float) -> Levels:
        return np.exp(np.interp(t, np.arange(len(self.sigmas)), np.log(self.sigmas)))  # type: ignore[no-any-return]


class LCMLevels(TrainedLevels):
    """Every twentieth of them, the 50 levels that latent consistency models were distilled on."""

    def __init__(self) -> None:
        super().__init__()
        self.sigmas = self.sigmas[19::20]


SD1 = TrainedLevels()

FITTED = {  # for the Stable Diffusion 1 family
    "Align Your Steps": [14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029],
    "Align Your Steps GITS": [14.615, 4.617, 2.507, 1.236, 0.702, 0.402, 0.240, 0.156, 0.104, 0.094, 0.029],
    "Align Your Steps 32": [
        *(14.615, 11.23951352, 8.64363081, 6.64729424, 5.57250862, 4.71648546, 3.99196065, 3.5195609),
        *(3.13490466, 2.79228788, 2.48773628, 2.21663865, 1.97508351, 1.7793172, 1.61475335, 1.46540953),
        *(1.314849, 1.16642497, 1.03475547, 0.91573744, 0.80748169, 0.71202361, 0.621739, 0.53065202),
        *(0.4529096, 0.37491455, 0.27461819, 0.2011529, 0.14105873, 0.06682881, 0.03166121, 0.015),
    ],
}


def levels_above_0(schedule: str, n: int, model: TrainedLevels = SD1) -> Levels:
    low, high = model.sigmas[0], model.sigmas[-1]
    count = len(model.sigmas)
    if schedule in ("Uniform", "Normal"):
        return model.sigma_at(np.linspace(model.last, 0, n))
    if schedule == "Karras":
        return np.linspace(high ** (1 / 7), low ** (1 / 7), n) ** 7  # type: ignore[no-any-return]
    if schedule in ("Exponential", "Polyexponential"):  # the latter at its default ρ = 1
        return np.geomspace(high, low, n)
    if schedule == "SGM Uniform":
        return model.sigma_at(np.linspace(model.last, 0, n + 1)[:-1])
    if schedule == "KL Optimal":  # ends at the least noise the model knows instead of 0
        return np.tan(np.linspace(np.arctan(high), np.arctan(low), n + 1))  # type: ignore[no-any-return]
    if schedule == "Simple":
        return model.sigmas[[-1 - int(i * count / n) for i in range(n)]]
    if schedule == "DDIM":
        return model.sigmas[1 :: max(count // n, 1)][::-1]
    if schedule == "Beta":
        return low + _beta_quantiles(1 - np.linspace(0, 1, n)) * (high - low)
    if schedule == "Beta (ComfyUI)":  # whole timesteps, none twice
        places = _beta_quantiles(1 - np.linspace(0, 1, n, endpoint=False)) * model.last
        whole = np.rint(np.round(places, 9)).astype(int)  # the median lies half way between two of an even number
        return model.sigmas[np.unique(whole)[::-1]]
    if schedule == "Turbo":
        return model.sigmas[np.round(np.arange(n, 0, -1) * count / n - 1).astype(int)]
    if schedule == "Linear Quadratic":
        return high * (1 - linear_quadratic(n))  # type: ignore[no-any-return]
    if schedule in FITTED:
        fitted = FITTED[schedule]
        places = np.linspace(0, len(fitted) - 1, n)
        return np.exp(np.interp(places, np.arange(len(fitted)), np.log(fitted)))  # type: ignore[no-any-return]
    raise KeyError(schedule)


def _beta_quantiles(share: Levels) -> Levels:
    """Of the Beta distribution with α = β = 0.6. scipy is installed with the originals."""
    return import_module("scipy.stats").beta.ppf(share, 0.6, 0.6)  # type: ignore[no-any-return]


def linear_quadratic(n: int, threshold: float = 0.025) -> Levels:
    """How far along each of n steps begins: half of them up to the threshold, the rest on a parabola to 1.

    The parabola goes through the threshold with the slope of the straight part and through 1 at n.
    """
    half = n // 2
    i = np.arange(n)
    slope = threshold / max(half, 1)
    bend = (1 - threshold - slope * (n - half)) / (n - half) ** 2
    after = np.maximum(i - half, 0)
    return slope * i + bend * after**2


def levels(schedule: str, n: int, model: TrainedLevels = SD1, *, discard_penultimate: bool = False) -> Levels:
    """The levels of a run, its end included."""
    above = levels_above_0(schedule, n + discard_penultimate, model)
    whole = above if schedule == "KL Optimal" else np.append(above, 0.0)
    return np.delete(whole, -2) if discard_penultimate else whole
