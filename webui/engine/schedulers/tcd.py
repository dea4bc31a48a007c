"""TCD: for models distilled to jump anywhere along their path. A jump below the next level, and noise back up to it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import floor, sqrt

from torch import Tensor

from webui.domain.samplers import find_sampler
from webui.engine.schedulers.distilled import DistilledScheduler
from webui.engine.schedulers.solver import Algorithm, Noise


class TCDScheduler(DistilledScheduler):
    """Strategic stochastic sampling. Zheng et al., arXiv 2402.19159. eta is the paper's γ: 0 is Euler, 1 all but LCM.

    In sigma space, so that any schedule will do; along "Simple" the same as diffusers' ``TCDScheduler``.
    """

    sampler = find_sampler("TCD")
    default_eta = 0.3

    def algorithm(self, x: Tensor, levels: Sequence[float], noise: Noise) -> Algorithm:
        for sigma, sigma_next in pairwise(levels):
            denoised = yield x, sigma
            if sigma_next == 0:
                return denoised
            sigma_s = self.target(sigma_next)
            x = denoised + (x - denoised) * (sigma_s / sigma)
            if sigma_s < sigma_next:
                x = x + noise(sigma, sigma_next) * (self.s_noise * sqrt(sigma_next**2 - sigma_s**2))
        return x

    def target(self, sigma_next: float) -> float:
        """σ at timestep (1 − γ)·t_next, rounded down to a whole one; without noise the next level itself."""
        if self.eta == 0:
            return sigma_next
        s = floor((1 - self.eta) * self.level_to_timestep(sigma_next))
        return min(self.timestep_to_level(s), sigma_next)
