"""Heun++: Heun's method with a look one step further ahead, and most trust in the tangent at hand."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor

from webui.engine.schedulers.sigma_space import SigmaScheduler
from webui.engine.schedulers.solver import Algorithm, Noise


class HeunPP2Scheduler(SigmaScheduler):
    """Weighs each tangent ahead by its level, so that they count less and less. Three network calls per step.

    The last step has nothing ahead (Euler's method), the one before a single level (Heun's). There is no paper; source:
    ComfyUI and Forge, ``sample_heunpp2``.
    """

    order = 3

    def algorithm(self, x: Tensor, levels: Sequence[float], noise: Noise) -> Algorithm:
        for i, (sigma, sigma_next) in enumerate(pairwise(levels)):
            x, sigma_hat = self.churn(x, sigma, len(levels) - 1, noise)
            denoised = yield x, sigma_hat
            d = (x - denoised) / sigma_hat
            ahead = levels[i + 1 : -1][:2]
            total = levels[0] * (1 + len(ahead))
            d_mean = d * (1 - sum(ahead) / total)
            x_ahead, level = x, sigma_hat
            for sigma_ahead in ahead:
                x_ahead = x_ahead + d * (sigma_ahead - level)
                denoised = yield x_ahead, sigma_ahead
                d = (x_ahead - denoised) / sigma_ahead
                d_mean = d_mean + d * (sigma_ahead / total)
                level = sigma_ahead
            x = x + d_mean * (sigma_next - sigma_hat)
        return x
