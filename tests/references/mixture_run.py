"""Runs of our samplers and of their papers' formulas, on the same mixture, levels and random numbers.

The formulas are in float64 and, where a paper's are, in its own coordinates rather than ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

import torch
from references.mixture import posterior_mean
from torch import Tensor

from webui.domain.schedules import find_schedule
from webui.engine.schedulers.base import Scheduler

SHAPE = (2, 4, 3, 3)
STEPS = (4, 7, 20)
SCHEDULES = ("Karras", "Uniform")
CFG = 1.6

Denoiser = Callable[[Tensor, float], Tensor]


def drawn(k: int) -> Tensor:
    """The k-th random numbers of a run; 0 is the noise that it starts from."""
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(k), dtype=torch.float64)


def fresh() -> Iterator[Tensor]:
    """The random numbers in the order in which they are asked for."""
    return (drawn(k) for k in count(1))


def without_prompt(x: Tensor, sigma: float) -> Tensor:
    """Another mixture, the first one mirrored, for what is predicted without the prompt."""
    return -posterior_mean(-x, sigma)


def guided(x: Tensor, sigma: float, scale: float = CFG) -> Tensor:
    uncond = without_prompt(x, sigma)
    return uncond + scale * (posterior_mean(x, sigma) - uncond)


def ready(scheduler: Scheduler, steps: int, schedule: str | None = None) -> Scheduler:
    scheduler.set_run(steps, find_schedule(schedule) if schedule else None)
    return scheduler


def run(scheduler: Scheduler, x: Tensor | None = None) -> Tensor:
    """Our sampler's final latent, float32."""
    numbers = fresh()
    start = drawn(0) * scheduler.init_noise_sigma if x is None else x
    x = scheduler.begin(start, lambda level_from, level_to: next(numbers).float())
    while not scheduler.done:
        a, b = scheduler.signal_and_noise(scheduler.level)
        if scheduler.needs_uncond:
            scale = CFG * scheduler.cfg_factor
            x = scheduler.advance(guided(x / a, b / a, scale), without_prompt(x / a, b / a))
        else:
            x = scheduler.advance(posterior_mean(x / a, b / a))
    return x


def error(ours: Tensor, exact: Tensor) -> float:
    """Relative to the exact latent."""
    return ((ours.double() - exact).norm() / exact.norm()).item()
