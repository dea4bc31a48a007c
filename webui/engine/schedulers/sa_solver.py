"""SA-Solver: Adams' predictor and corrector for the SDE, with as much noise as τ says. One network call per step."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import exp, expm1, log, sqrt

import torch
from torch import Tensor

from webui.engine.schedulers.sigma_space import SigmaScheduler
from webui.engine.schedulers.solver import Algorithm, Noise

Predictions = Sequence[tuple[float, Tensor]]
"""(λ, D): the clean latent as predicted at λ = −log σ."""


class SASolverScheduler(SigmaScheduler):
    """Xue et al., arXiv 2309.05019, algorithm 1: predict (equation 14), ask the network there, correct (equation 17).

    Parameters as in ComfyUI ``sa_solver``: predictor of order 3, corrector of order 4, both lowered towards the end.
    (diffusers' class has orders 2 and 2, with simplified weights.) eta is the τ of the middle of the run.
    """

    predictor_order = 3
    corrector_order = 4

    def tau(self, sigma: float) -> float:
        """The noise of the SDE at a level: 0 is the ODE. Only between 20 % and 80 % of the timesteps, the ends are ODE."""
        t = round(self.level_to_timestep(sigma) / self.noise_model.t_max, 6)  # SGM Uniform meets both ends, to rounding
        return self.eta if 0.2 <= t <= 0.8 else 0.0

    def algorithm(self, x: Tensor, levels: Sequence[float], noise: Noise) -> Algorithm:
        predictions: list[tuple[float, Tensor]] = []  # the newest first
        kept = max(self.predictor_order, self.corrector_order)
        start, added = (x, levels[0], 0.0), x
        for i, (sigma, sigma_next) in enumerate(pairwise(levels)):
            denoised = yield x, sigma
            if sigma_next == 0:
                return denoised
            predictions = [(-log(sigma), denoised), *predictions][:kept]
            left = len(levels) - 2 - i if levels[-1] == 0 else kept  # steps between this one and the one to sigma 0
            if i > 0:
                x = adams(*start, sigma, predictions[: min(self.corrector_order, left + 1)]) + added
            tau = self.tau(sigma_next)
            added = torch.zeros_like(x)
            if tau > 0:
                h = log(sigma / sigma_next)
                added = noise(sigma, sigma_next) * (self.s_noise * sigma_next * sqrt(-expm1(-2 * tau**2 * h)))
            start = (x, sigma, tau)
            x = adams(*start, sigma_next, predictions[: min(self.predictor_order, left)]) + added
        return x


def adams(x: Tensor, sigma: float, tau: float, sigma_to: float, predictions: Predictions) -> Tensor:
    """From sigma to sigma_to, without the noise: σ_to/σ·exp(−τ²h)·x + Σ b_j·D_j (equations 14 and 17, α = 1)."""
    h = log(sigma / sigma_to)
    x = x * (sigma_to / sigma * exp(-(tau**2) * h))
    weights = adams_weights([point + log(sigma_to) for point, _ in predictions], h, 1 + tau**2)
    for weight, (_, denoised) in zip(weights, predictions, strict=True):
        x = x + denoised * weight
    return x


def adams_weights(u: Sequence[float], h: float, k: float) -> list[float]:
    """b_j = ∫ k·exp(k·u)·l_j(u) du from −h to 0, with l_j the Lagrange polynomials of the points u (equations 15 and 18).

    u is λ counted from where the step ends. Found by demanding that 1, u, u², ... be integrated exactly.

    >>> adams_weights([-1.0], 1.0, 1.0)  # 1 − 1/e
    [0.6321205588285577]
    """
    moments = [-expm1(-k * h)]  # ∫ k·exp(k·u)·u^n du, by parts
    for n in range(1, len(u)):
        moments.append(-((-h) ** n) * exp(-k * h) - n / k * moments[-1])
    powers = torch.tensor([[point**n for point in u] for n in range(len(u))], dtype=torch.float64)
    weights: list[float] = torch.linalg.solve(powers, torch.tensor(moments, dtype=torch.float64)).tolist()
    return weights
