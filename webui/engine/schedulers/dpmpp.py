"""DPM-Solver++: exact for the linear part of the diffusion ODE, a Taylor expansion for the clean latent."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import log

from torch import Tensor

from webui.engine.schedulers.sigma_space import SigmaScheduler
from webui.engine.schedulers.solver import Algorithm, Noise


class DPMpp2MScheduler(SigmaScheduler):
    """Second order from two calls, the one before and this. Lu et al., arXiv 2211.01095, algorithm 2.

    In sigma space, as k-diffusion's ``sample_dpmpp_2m``: λ = −log σ, h = λ_next − λ, so exp(−h) = σ_next / σ. The first
    step, and one to sigma 0 (where h is infinite), are of first order.
    """

    def algorithm(self, x: Tensor, levels: Sequence[float], noise: Noise) -> Algorithm:
        denoised_last, h_last = x, 0.0
        for i, (sigma, sigma_next) in enumerate(pairwise(levels)):
            denoised = yield x, sigma
            ratio = sigma_next / sigma
            D = denoised
            if sigma_next > 0:
                h = -log(ratio)
                if i > 0:
                    r = h_last / h
                    D = denoised * (1 + 1 / (2 * r)) - denoised_last * (1 / (2 * r))
                denoised_last, h_last = denoised, h
            x = x * ratio + D * (1 - ratio)
        return x
