"""Heun's method: look where the tangent leads, then go along the mean of both tangents. Two network calls per step."""

from __future__ import annotations

from collections.abc import Sequence
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
            denoised = yield x, sigma_hat
            d = (x - denoised) / sigma_hat
            x_next = x + d * (sigma_next - sigma_hat)
            if sigma_next > 0:
                denoised = yield x_next, sigma_next
                d_next = (x_next - denoised) / sigma_next
                x_next = x + (d + d_next) * ((sigma_next - sigma_hat) / 2)
            x = x_next
        return x
