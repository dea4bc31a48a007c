"""Restart: where the picture takes shape, go back to more noise and walk the way again, which mends earlier errors."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import sqrt

from torch import Tensor

from webui.domain.sampler_paths import restart_path
from webui.engine.schedulers.heun import heun_step
from webui.engine.schedulers.sigma_space import SigmaScheduler
from webui.engine.schedulers.solver import Algorithm, Noise


class RestartScheduler(SigmaScheduler):
    """Xu et al., arXiv 2306.14878, algorithm 1, with Heun's method.

    Where it goes up again says ``restart_path``; a run of less than 20 steps does not, and is Heun's.
    """

    order = 2

    def path(self, levels: tuple[float, ...]) -> Sequence[float]:
        return restart_path(levels, self.noise_model)

    def algorithm(self, x: Tensor, levels: Sequence[float], noise: Noise) -> Algorithm:
        for sigma, sigma_next in pairwise(levels):
            if sigma_next > sigma:
                x = x + noise(sigma, sigma_next) * (self.s_noise * sqrt(sigma_next**2 - sigma**2))
            else:
                x = yield from heun_step(x, sigma, sigma_next)
        return x
