"""DDPM: the sampler that diffusion models were published with; each step undoes one of training, and adds noise."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import sqrt

from torch import Tensor

from webui.engine.schedulers.sigma_space import SigmaScheduler
from webui.engine.schedulers.solver import Algorithm, Noise


class DDPMScheduler(SigmaScheduler):
    """Draws from q(x_prev | x, x0). Ho et al., arXiv 2006.11239, equations 6 and 7 and algorithm 2, with σ² = β̃.

    Divided by √ᾱ, the posterior of two levels σ > σ_prev with ratio r = (σ_prev / σ)² has the mean x0 + r·(x − x0) and
    the variance σ_prev²·(1 − r). That is what Euler a does at eta 1. Source: ComfyUI and Forge, ``sample_ddpm``.
    """

    def algorithm(self, x: Tensor, levels: Sequence[float], noise: Noise) -> Algorithm:
        for sigma, sigma_prev in pairwise(levels):
            denoised = yield x, sigma
            r = (sigma_prev / sigma) ** 2
            x = denoised + (x - denoised) * r
            if sigma_prev > 0:
                x = x + noise(sigma, sigma_prev) * (sigma_prev * sqrt(1 - r))
        return x
