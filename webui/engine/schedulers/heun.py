"""Heun's method: look where the tangent leads, then go along the mean of both tangents. Two network calls per step."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from itertools import pairwise

from torch import Tensor

from webui.engine.schedulers.sigma_space import SigmaScheduler
from webui.engine.schedulers.solver import Algorithm, Noise


class HeunScheduler(SigmaScheduler):
    """Second order. Karras et al., arXiv 2206.00364, algorithm 2; the step to sigma 0 has no second call."""

    order = 2

    def algorithm(self, x: Tensor, levels: Sequence[float], noise: Noise) -> Algorithm:
        for sigma, sigma_next in pairwise(levels):
            x, sigma_hat = self.churn(x, sigma, len(levels) - 1, noise)
            x = yield from heun_step(x, sigma_hat, sigma_next)
        return x


def heun_step(x: Tensor, sigma: float, sigma_next: float) -> Generator[tuple[Tensor, float], Tensor, Tensor]:
    """One step from σ to σ_next with its network calls; Euler's step if σ_next is 0."""
    denoised = yield x, sigma
    d = (x - denoised) / sigma
    x_next = x + d * (sigma_next - sigma)
    if sigma_next > 0:
        denoised = yield x_next, sigma_next
        d_next = (x_next - denoised) / sigma_next
        x_next = x + (d + d_next) * ((sigma_next - sigma) / 2)
    return x_next
