"""Euler's method, and its ancestral variant: one network call per step, no memory."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor

from webui.engine.schedulers.sigma_space import SigmaScheduler
from webui.engine.schedulers.solver import Algorithm, Noise


class EulerScheduler(SigmaScheduler):
    """Follows the tangent. Karras et al., arXiv 2206.00364, algorithm 2 without the correction (lines 6 to 8)."""

    def algorithm(self, x: Tensor, levels: Sequence[float], noise: Noise) -> Algorithm:
        for sigma, sigma_next in pairwise(levels):
            x, sigma_hat = self.churn(x, sigma, len(levels) - 1, noise)
            denoised = yield x, sigma_hat
            d = (x - denoised) / sigma_hat
            x = x + d * (sigma_next - sigma_hat)
        return x


class EulerAncestralScheduler(SigmaScheduler):
    """Goes below the next level and adds fresh noise back up to it. Source: k-diffusion ``sample_euler_ancestral``.

    With eta = 1 each step has the variance of the DDPM posterior (Song et al., arXiv 2010.02502, equation 16).
    """

    def algorithm(self, x: Tensor, levels: Sequence[float], noise: Noise) -> Algorithm:
        for sigma, sigma_next in pairwise(levels):
            denoised = yield x, sigma
            sigma_down, sigma_up = ancestral_step(sigma, sigma_next, self.eta)
            d = (x - denoised) / sigma
            x = x + d * (sigma_down - sigma)
            if sigma_next > 0:
                x = x + noise(sigma, sigma_next) * (self.s_noise * sigma_up)
        return x


def ancestral_step(sigma_from: float, sigma_to: float, eta: float) -> tuple[float, float]:
    """(σ_down, σ_up) with σ_down² + σ_up² = σ_to²: how far to step down, and how much noise to add then.

    >>> [round(part, 6) for part in ancestral_step(1.0, 0.5, eta=1.0)]
    [0.25, 0.433013]
    >>> ancestral_step(1.0, 0.5, eta=0.0)
    (0.5, 0.0)
    """
    sigma_up = min(sigma_to, eta * (sigma_to**2 * (sigma_from**2 - sigma_to**2) / sigma_from**2) ** 0.5)
    return (sigma_to**2 - sigma_up**2) ** 0.5, sigma_up
