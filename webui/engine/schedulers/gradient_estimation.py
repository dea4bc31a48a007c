"""Gradient estimation: Euler's method that overshoots, by as much as the tangent has turned since the last step."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor

from webui.engine.schedulers.sigma_space import SigmaScheduler
from webui.engine.schedulers.solver import Algorithm, Noise


class GradientEstimationScheduler(SigmaScheduler):
    """Permenter and Yuan, arXiv 2306.04848, equation 12: ε̄ = γ·ε + (1 − γ)·ε_last, with the paper's γ = 2.

    As in ComfyUI ``gradient_estimation`` the step to sigma 0 is Euler's.
    """

    gamma = 2.0

    def algorithm(self, x: Tensor, levels: Sequence[float], noise: Noise) -> Algorithm:
        eps_last = x
        for i, (sigma, sigma_next) in enumerate(pairwise(levels)):
            denoised = yield x, sigma
            eps = eps_bar = (x - denoised) / sigma
            if i > 0 and sigma_next > 0:
                eps_bar = eps * self.gamma + eps_last * (1 - self.gamma)
            x = x + eps_bar * (sigma_next - sigma)
            eps_last = eps
        return x
