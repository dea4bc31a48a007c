"""Every sampler against what can be calculated exactly: as steps are added, it gets there at the rate of its order.

Without noise the goal is the solution of the probability flow ODE (Song et al., arXiv 2011.13456) for one and the same
picture; with noise only the distribution is one that is known.
"""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import pytest
import torch
from references.mixture import posterior_mean
from torch import Tensor

from webui.domain.samplers import SAMPLERS, find_sampler
from webui.engine.samplers import SCHEDULER_CLASSES
from webui.engine.schedulers.base import Scheduler
from webui.engine.schedulers.sigma_space import SigmaScheduler


class Order(NamedTuple):
    """Doubling the steps divides the error by 2**order: of a picture on the ODE, of the variance on the SDE.

    None: it does not go there. Multistep samplers start with one step of first order and single-step ones may end with
    one, which leaves 2 of the higher order that they have in between.
    """

    ode: int | None
    sde: int | None = None


ORDERS = {
    "DPM++ 2M": Order(2),
    "DPM++ SDE": Order(2, 2),
    "DPM++ 2M SDE": Order(2, 2),
    "DPM++ 2M SDE Heun": Order(2, 2),
    "DPM++ 2S a": Order(2, 2),
    "DPM++ 3M SDE": Order(2, 2),
    "Euler a": Order(1, 1),
    "Euler": Order(1),
    "LMS": Order(2),
    "Heun": Order(2),
    "DPM2": Order(2),
    "DPM2 a": Order(2, 2),
    "DPM fast": Order(2),
    "DPM adaptive": Order(None),  # has no number of steps: see below
    "Restart": Order(2),  # Heun's steps, as long as there are fewer than 20
    "DDIM": Order(1),
    "DDIM CFG++": Order(1),
    "PLMS": Order(2),
    "UniPC": Order(2),
    "LCM": Order(None),  # trusts the network to see the picture at once: the ideal denoiser sees the mean of many
    "HeunPP2": Order(1),  # by its weights it is no Runge-Kutta method of second order
    "IPNDM": Order(2),
    "IPNDM_V": Order(2),
    "DEIS": Order(2),
    "DDPM": Order(None, 1),
    "TCD": Order(1),  # with its noise, which does not get less with the steps, it trusts as LCM does
    "SA-Solver": Order(2, 2),
    "ER SDE": Order(None, 2),
    "Res Multistep": Order(2),
    "Res Multistep a": Order(2, 2),
    "Euler CFG++": Order(1),
    "Euler a CFG++": Order(1, 1),
    "DPM++ 2M CFG++": Order(2),
    "DPM++ 2S a CFG++": Order(2, 2),
    "Gradient Estimation": Order(1),
}
WITHOUT_NOISE = [name for name, order in ORDERS.items() if order.ode is not None]
WITH_NOISE = [name for name, order in ORDERS.items() if order.sde is not None]

START = torch.randn(4, 4, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_the_order_of_every_sampler_is_stated():
    assert set(ORDERS) == {row.name for row in SAMPLERS}


def prepared(name: str, steps: int, **options: float) -> Scheduler:
    """Part of the way, where the picture takes shape; over the whole, few steps are too long to tell an order."""
    obeyed = find_sampler(name).options
    scheduler = SCHEDULER_CLASSES[name](**{key: value for key, value in options.items() if key in obeyed})
    if isinstance(scheduler, SigmaScheduler):
        scheduler.set_timesteps(sigmas=[2.0 * 0.1 ** (i / steps) for i in range(steps + 1)])
    else:
        scheduler.set_timesteps(timesteps=[600 - 500 * i / steps for i in range(steps + 1)])
    return scheduler


def signal_and_sigma(scheduler: Scheduler, at: int) -> tuple[float, float]:
    a, b = scheduler.signal_and_noise(scheduler.levels[at])
    return a, b / a


@cache
def exact(sigma: float, sigma_end: float, steps: int = 400) -> Tensor:
    """Where the ODE leads from START, noised: dx / d log σ = x − D(x, σ), by Runge and Kutta's method of fourth order."""
    x = START * math.hypot(0.8, sigma)
    h = math.log(sigma_end / sigma) / steps
    for i in range(steps):
        levels = [sigma * math.exp(h * (i + part)) for part in (0, 0.5, 1)]
        k1 = x - posterior_mean(x, levels[0])
        k2 = x + k1 * (h / 2) - posterior_mean(x + k1 * (h / 2), levels[1])
        k3 = x + k2 * (h / 2) - posterior_mean(x + k2 * (h / 2), levels[1])
        k4 = x + k3 * h - posterior_mean(x + k3 * h, levels[2])
        x = x + (k1 + 2 * k2 + 2 * k3 + k4) * (h / 6)
    return x


def picture_error(scheduler: Scheduler) -> float:
    """Relative to the exact picture; without noise."""
    (a, sigma), (a_end, sigma_end) = signal_and_sigma(scheduler, 0), signal_and_sigma(scheduler, -1)
    x = scheduler.begin(START * math.hypot(0.8, sigma) * a, lambda *levels: torch.zeros(START.shape))
    while not scheduler.done:
        c, d = scheduler.signal_and_noise(scheduler.level)
        x = scheduler.advance(posterior_mean(x / c, d / c))
    right = exact(round(sigma, 9), round(sigma_end, 9))
    return ((x / a_end - right).norm() / right.norm()).item()


@pytest.mark.parametrize("name", WITHOUT_NOISE)
def test_a_picture_converges_at_the_rate_of_the_order(name):
    coarse, fine = (picture_error(prepared(name, steps, eta=0.0)) for steps in (9, 18))
    assert fine > 2e-5, "rounding would hide the rate"
    assert math.log2(coarse / fine) > ORDERS[name].ode - 0.35


def test_the_adaptive_sampler_gets_there_by_itself():
    scheduler = SCHEDULER_CLASSES["DPM adaptive"](eta=0.0)
    scheduler.set_timesteps(sigmas=[2.0, 0.2])
    assert picture_error(scheduler) < 0.01


def mean_and_variance_error(name: str, steps: int) -> tuple[float, float]:
    """Of the result for pictures from N(1, 0.5), exactly, without drawing any.

    With their ideal denoiser a sampler is linear: each random number has a weight in the result. One run in which each
    picture of a batch is given one number finds all the weights; the variance is the sum of their squares.
    """
    variance = 0.5
    asked: list[tuple[float, float]] = []
    _weights(name, steps, variance, lambda *levels: asked.append(levels) or torch.zeros(1, 1, 1, 1), 1)
    shares = _independent_shares(asked) if prepared(name, steps).brownian else torch.eye(len(asked))
    pictures = 2 + shares.shape[1]
    numbers = iter(torch.cat([torch.zeros(len(asked), 2), shares], 1).reshape(len(asked), pictures, 1, 1, 1))
    mean, *weights = _weights(name, steps, variance, lambda *levels: next(numbers), pictures).tolist()
    _, sigma_end = signal_and_sigma(prepared(name, steps), -1)
    return mean - 1, sum(weight**2 for weight in weights) / (variance + sigma_end**2) - 1


def _weights(name, steps, variance, noise, pictures):
    """The result of: the mean; the deviation of the start from it; and a random number for each further picture."""
    scheduler = prepared(name, steps)
    (a, sigma), (a_end, _) = signal_and_sigma(scheduler, 0), signal_and_sigma(scheduler, -1)
    x, mean = torch.zeros(pictures, 1, 1, 1), torch.zeros(pictures, 1, 1, 1, dtype=torch.float64)
    x[0], x[1:2] = a, a * math.sqrt(variance + sigma**2)
    mean[0] = 1.0
    x = scheduler.begin(x, noise)
    while not scheduler.done:
        c, d = scheduler.signal_and_noise(scheduler.level)
        s = (d / c) ** 2
        x = scheduler.advance(((x.double() / c * variance + mean * s) / (variance + s)).float())
    return (x.double() / a_end).flatten()


def _independent_shares(asked: list[tuple[float, float]]) -> Tensor:
    """Increments of a Brownian path (n), each as a sum of independent ones (n, m), those between neighbouring levels."""
    points = torch.tensor(sorted({round(level, 9) for pair in asked for level in pair}), dtype=torch.float64)
    ends = torch.tensor(asked, dtype=torch.float64)
    low, high = ends.amin(1, keepdim=True), ends.amax(1, keepdim=True)
    is_part = (points[:-1] > low - 1e-8) & (points[1:] < high + 1e-8)
    sign = torch.sign(ends[:, 1:] - ends[:, :1])
    return (is_part * sign * ((points[1:] - points[:-1]) / (high - low)).sqrt()).float()


@pytest.mark.parametrize("name", WITH_NOISE)
def test_noise_leaves_the_mean_and_the_variance_converges_to_that_of_the_pictures(name):
    (coarse_mean, coarse), (fine_mean, fine) = (mean_and_variance_error(name, steps) for steps in (24, 96))
    assert abs(coarse_mean) < 1e-5
    assert abs(fine_mean) < 1e-5
    assert abs(fine) > 2e-6, "rounding would hide the rate"
    assert math.log2(abs(coarse / fine)) / 2 > ORDERS[name].sde - 0.35
