"""DPM-Solver++ in single steps: a first call tells where the middle of the step lies, a second one how to take it whole.

In sigma space, where log σ is half way at √(σ·σ_next) and the first-order step is exact for a constant clean latent:
x·σ_next/σ + denoised·(1 − σ_next/σ). Two network calls per step, one in the step to sigma 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import sqrt

from torch import Tensor

from webui.engine.schedulers.euler import ancestral_step
from webui.engine.schedulers.sigma_space import SigmaScheduler
from webui.engine.schedulers.solver import Algorithm, Noise


class DPMpp2SAncestralScheduler(SigmaScheduler):
    """Lu et al., arXiv 2211.01095, algorithm 1, below the next level, and noise back up to it.

    Source: k-diffusion ``sample_dpmpp_2s_ancestral``.
    """

    order = 2

    def algorithm(self, x: Tensor, levels: Sequence[float], noise: Noise) -> Algorithm:
        for sigma, sigma_next in pairwise(levels):
            denoised = yield x, sigma
            sigma_down, sigma_up = ancestral_step(sigma, sigma_next, self.eta)
            sigma_mid = sqrt(sigma * sigma_down)
            if sigma_mid > 0:
                denoised = yield blend(x, denoised, sigma_mid / sigma), sigma_mid
            x = blend(x, denoised, sigma_down / sigma)
            if sigma_next > 0:
                x = x + noise(sigma, sigma_next) * (self.s_noise * sigma_up)
        return x


class DPMppSDEScheduler(SigmaScheduler):
    """The same for the diffusion SDE: noise on the way to the middle, too. Source: k-diffusion ``sample_dpmpp_sde``.

    The noise up to the middle is a part of the noise of the whole step: a Brownian path knows.
    """

    order = 2
    brownian = True

    def algorithm(self, x: Tensor, levels: Sequence[float], noise: Noise) -> Algorithm:
        for sigma, sigma_next in pairwise(levels):
            denoised = yield x, sigma
            sigma_mid = sqrt(sigma * sigma_next)
            if sigma_mid > 0:
                denoised = yield self._first_order(x, denoised, sigma, sigma_mid, noise), sigma_mid
            x = self._first_order(x, denoised, sigma, sigma_next, noise)
        return x

    def _first_order(self, x: Tensor, denoised: Tensor, sigma: float, sigma_next: float, noise: Noise) -> Tensor:
        sigma_down, sigma_up = ancestral_step(sigma, sigma_next, self.eta)
        x = blend(x, denoised, sigma_down / sigma)
        return x + noise(sigma, sigma_next) * (self.s_noise * sigma_up) if sigma_up > 0 else x


def blend(x: Tensor, denoised: Tensor, part: float) -> Tensor:
    """Along the line from the clean latent to x; ``part`` of the noise is left."""
    return x * part + denoised * (1 - part)
