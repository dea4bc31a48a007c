"""RES: like DPM-Solver++, an exponential integrator, but with weights that meet every order condition."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import expm1, log

from torch import Tensor

from webui.engine.schedulers.euler import ancestral_step
from webui.engine.schedulers.sigma_space import SigmaScheduler
from webui.engine.schedulers.solver import Algorithm, Noise


class RESMultistepScheduler(SigmaScheduler):
    """Second order from this prediction and the one before. Zhang et al., arXiv 2308.02157. Source: ComfyUI ``res_multistep``.

    x_next = exp(−h)·x + h·(b1·D + b2·D_last), h = λ_next − λ, λ = −log σ, with b2 = φ2(−h) / c2 and b1 = φ1(−h) − b2,
    where c2 = (λ_last − λ) / h says how far back the last prediction lies. The first and the last step are Euler's.
    """

    def step_to(self, sigma: float, sigma_next: float) -> tuple[float, float]:
        """(σ_down, σ_up): where the step leads, and the noise added then."""
        return sigma_next, 0.0

    def algorithm(self, x: Tensor, levels: Sequence[float], noise: Noise) -> Algorithm:
        denoised_last, sigma_last, down_last = x, 0.0, 0.0
        for i, (sigma, sigma_next) in enumerate(pairwise(levels)):
            denoised = yield x, sigma
            down, up = self.step_to(sigma, sigma_next)
            if i == 0 or down == 0:
                x = denoised + (x - denoised) * (down / sigma)
            else:
                h = log(sigma / down)
                c2 = (
                    log(down_last / sigma_last) / h
                )  # ComfyUI counts back from where the last step led, before its noise
                b2 = phi_2(-h) / c2
                b1 = phi_1(-h) - b2
                x = x * (down / sigma) + denoised * (h * b1) + denoised_last * (h * b2)
            if up > 0:
                x = x + noise(sigma, sigma_next) * (self.s_noise * up)
            denoised_last, sigma_last, down_last = denoised, sigma, down
        return x


class RESMultistepAncestralScheduler(RESMultistepScheduler):
    """Below the next level, and fresh noise back up to it, as Euler a does. Source: ComfyUI ``res_multistep_ancestral``."""

    def step_to(self, sigma: float, sigma_next: float) -> tuple[float, float]:
        return ancestral_step(sigma, sigma_next, self.eta)


def phi_1(z: float) -> float:
    """φ1(z) = (exp(z) − 1) / z."""
    return expm1(z) / z


def phi_2(z: float) -> float:
    """φ2(z) = (φ1(z) − 1) / z."""
    return (phi_1(z) - 1) / z
