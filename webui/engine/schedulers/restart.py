"""Restart: where the picture takes shape, go back to more noise and walk the way again, which mends earlier errors."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import sqrt

from torch import Tensor

from webui.engine.schedulers.heun import heun_step
from webui.engine.schedulers.sigma_space import SigmaScheduler
from webui.engine.schedulers.solver import Algorithm, Noise


class RestartScheduler(SigmaScheduler):
    """Xu et al., arXiv 2306.14878, algorithm 1, with Heun's method.

    A1111's plan: a run of 20 steps or more spends 9 of them on one more way from about σ = 2 to 0.1, one of 36 or more half
    of them on two. These runs then go along Karras levels, whatever the schedule; shorter ones are Heun's.
    """

    order = 2
    restart_from, restart_to = 0.1, 2.0

    def path(self, levels: tuple[float, ...]) -> Sequence[float]:
        steps = len(levels) - 1
        if steps < 20:
            return levels
        again, times = (steps // 4, 2) if steps >= 36 else (9, 1)
        main = (*_karras(levels[0], levels[-2], steps - again * times), 0.0)
        low = min(range(len(main)), key=lambda i: abs(main[i] - self.restart_from))
        high = min(range(len(main)), key=lambda i: abs(main[i] - self.restart_to))
        if high >= low:
            return main
        return (*main[: low + 1], *_karras(main[high], main[low], again + 1) * times, *main[low + 1 :])

    def algorithm(self, x: Tensor, levels: Sequence[float], noise: Noise) -> Algorithm:
        for sigma, sigma_next in pairwise(levels):
            if sigma_next > sigma:
                x = x + noise(sigma, sigma_next) * (self.s_noise * sqrt(sigma_next**2 - sigma**2))
            else:
                x = yield from heun_step(x, sigma, sigma_next)
        return x


RHO = 7.0


def _karras(high: float, low: float, count: int) -> tuple[float, ...]:
    """``count`` levels from high to low, both as they are given. Karras et al., arXiv 2206.00364, equation 5."""
    start, end = high ** (1 / RHO), low ** (1 / RHO)
    between = ((start + (end - start) * i / (count - 1)) ** RHO for i in range(1, count - 1))
    return (high, *between, low)
