"""DPM-Solver: exact for the linear part of the diffusion ODE, a Taylor expansion for the noise. Steps of even length in log σ.

Lu et al., arXiv 2206.00927, in sigma space as in k-diffusion's ``DPMSolver``: λ = −log σ, h = λ_next − λ, and a step of
first order, x − σ_next·(exp(h) − 1)·ε, is Euler's.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Generator, Sequence
from itertools import pairwise
from math import atan, exp, expm1, log, sqrt

import torch
from torch import Tensor

from webui.domain.sampler_paths import dpm_fast_orders, dpm_fast_path, dpm_solver_ends
from webui.engine.schedulers.dpm2 import midpoint_step
from webui.engine.schedulers.euler import ancestral_step
from webui.engine.schedulers.sigma_space import SigmaScheduler
from webui.engine.schedulers.solver import Algorithm, Noise
from webui.errors import NumericalFailure


class _DPMSolverScheduler(SigmaScheduler, ABC):
    """Knows where to begin and where to end (``dpm_solver_ends``), and finds its own way between."""

    def ancestral_step_above(self, sigma_end: float, sigma: float, sigma_next: float) -> tuple[float, float]:
        """(σ_down, σ_up) of the ancestral step, going down to σ_end at most."""
        sigma_down = max(sigma_end, ancestral_step(sigma, sigma_next, self.eta)[0])
        return sigma_down, sqrt(max(0.0, sigma_next**2 - sigma_down**2))


class DPMFastScheduler(_DPMSolverScheduler):
    """As many network calls as steps, shared out to steps of third order. The paper's "DPM-Solver-fast", section 3.4.

    With the noise of ancestral samplers, as k-diffusion's ``sample_dpm_fast`` adds it.
    """

    def path(self, levels: tuple[float, ...]) -> Sequence[float]:
        return dpm_fast_path(levels, self.noise_model)

    def algorithm(self, x: Tensor, levels: Sequence[float], noise: Noise) -> Algorithm:
        steps = list(pairwise(levels))
        orders = dpm_fast_orders(self.num_inference_steps)[-len(steps) :]
        for order, (sigma, sigma_next) in zip(orders, steps, strict=True):
            denoised = yield x, sigma
            sigma_down, sigma_up = self.ancestral_step_above(levels[-1], sigma, sigma_next)
            if order == 1:
                x = x + (x - denoised) * ((sigma_down - sigma) / sigma)
            elif order == 2:
                x = yield from midpoint_step(x, denoised, sigma, sigma_down)
            else:
                _, x = yield from dpm_solver_23_step(x, denoised, sigma, sigma_down)
            if sigma_up > 0:
                x = x + noise(sigma, sigma_next) * (self.s_noise * sigma_up)
        return x


class DPMAdaptiveScheduler(_DPMSolverScheduler):
    """Steps as long as second and third order agree. The paper's "DPM-Solver-23", appendix C.

    With k-diffusion's control of the length and its tolerances, of which A1111 changes none, and the noise of ancestral
    samplers as in ``sample_dpm_adaptive``. Takes no heed of the number of steps.
    """

    order = 3
    adaptive = True
    rtol, atol = 0.05, 0.0078
    first_h, least_h = 0.05, 1e-3
    accept_safety = 0.81

    def path(self, levels: tuple[float, ...]) -> Sequence[float]:
        return dpm_solver_ends(levels, self.noise_model)

    def algorithm(self, x: Tensor, levels: Sequence[float], noise: Noise) -> Algorithm:
        sigma, sigma_end = levels
        h, x_low_last = self.first_h, x
        exponent = 1 / (1.5 if self.eta else 3)  # fresh noise costs half the order
        while log(sigma / sigma_end) > 1e-5:
            sigma_next = max(sigma_end, sigma * exp(-h))
            sigma_down, sigma_up = self.ancestral_step_above(sigma_end, sigma, sigma_next)
            denoised = yield x, sigma
            x_low, x_high = yield from dpm_solver_23_step(x, denoised, sigma, sigma_down)
            delta = torch.clamp(torch.maximum(x_low.abs(), x_low_last.abs()) * self.rtol, min=self.atol)
            error = ((x_low - x_high) / delta).square().mean().sqrt().item()
            factor = 1 + atan((error + 1e-8) ** -exponent - 1)
            if factor >= self.accept_safety:
                x, x_low_last = x_high, x_low
                if sigma_up > 0:
                    x = x + noise(sigma, sigma_next) * (self.s_noise * sigma_up)
                sigma = sigma_next
            h *= factor
            if not h >= self.least_h:  # written so that it refuses NaN too
                raise NumericalFailure(
                    "DPM adaptive finds no step short enough: the network's predictions jump from one noise level to "
                    "the next. Try another sampler."
                )
        return x


def dpm_solver_23_step(
    x: Tensor, denoised: Tensor, sigma: float, sigma_next: float
) -> Generator[tuple[Tensor, float], Tensor, tuple[Tensor, Tensor]]:
    """From σ to σ_next > 0 with two more network calls: (by second order, by third). Algorithm 2, r1 = 1/3, r2 = 2/3."""
    h = log(sigma / sigma_next)
    r1, r2 = 1 / 3, 2 / 3
    sigma_1, sigma_2 = sigma * exp(-r1 * h), sigma * exp(-r2 * h)
    eps = (x - denoised) / sigma
    u_1 = x + eps * (sigma_1 - sigma)
    denoised = yield u_1, sigma_1
    D_1 = (u_1 - denoised) / sigma_1 - eps
    u_2 = x + eps * (sigma_2 - sigma) - D_1 * (sigma_2 * r2 / r1 * (expm1(r2 * h) / (r2 * h) - 1))
    denoised = yield u_2, sigma_2
    D_2 = (u_2 - denoised) / sigma_2 - eps
    euler = x + eps * (sigma_next - sigma)
    second_order = euler - D_1 * (sigma_next / (2 * r1) * expm1(h))
    third_order = euler - D_2 * (sigma_next / r2 * (expm1(h) / h - 1))
    return second_order, third_order
