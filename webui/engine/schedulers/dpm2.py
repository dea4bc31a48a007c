"""DPM-Solver-2: the tangent in the middle of a step, as σ halves by ratio, is the tangent of the whole step."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from itertools import pairwise
from math import sqrt

from torch import Tensor

from webui.engine.schedulers.euler import ancestral_step
from webui.engine.schedulers.sigma_space import SigmaScheduler
from webui.engine.schedulers.solver import Algorithm, Noise


class DPM2Scheduler(SigmaScheduler):
    """Lu et al., arXiv 2206.00927, algorithm 1, with the noise of Karras et al. Source: k-diffusion ``sample_dpm_2``."""

    order = 2

    def algorithm(self, x: Tensor, levels: Sequence[float], noise: Noise) -> Algorithm:
        for sigma, sigma_next in pairwise(levels):
            x, sigma_hat = self.churn(x, sigma, len(levels) - 1, noise)
            denoised = yield x, sigma_hat
            x = yield from midpoint_step(x, denoised, sigma_hat, sigma_next)
        return x


class DPM2AncestralScheduler(SigmaScheduler):
    """The same below the next level, and fresh noise back up to it. Source: k-diffusion ``sample_dpm_2_ancestral``."""

    order = 2

    def algorithm(self, x: Tensor, levels: Sequence[float], noise: Noise) -> Algorithm:
        for sigma, sigma_next in pairwise(levels):
            denoised = yield x, sigma
            sigma_down, sigma_up = ancestral_step(sigma, sigma_next, self.eta)
            x = yield from midpoint_step(x, denoised, sigma, sigma_down)
            if sigma_next > 0:
                x = x + noise(sigma, sigma_next) * (self.s_noise * sigma_up)
        return x


def midpoint_step(
    x: Tensor, denoised: Tensor, sigma: float, sigma_next: float
) -> Generator[tuple[Tensor, float], Tensor, Tensor]:
    """From σ to σ_next by the tangent at √(σ·σ_next), where log σ is half way; Euler's step if σ_next is 0."""
    d = (x - denoised) / sigma
    sigma_mid = sqrt(sigma * sigma_next)
    if sigma_mid > 0:
        x_mid = x + d * (sigma_mid - sigma)
        denoised = yield x_mid, sigma_mid
        d = (x_mid - denoised) / sigma_mid
    return x + d * (sigma_next - sigma)
