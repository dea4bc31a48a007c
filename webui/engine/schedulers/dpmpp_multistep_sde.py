"""DPM-Solver++ for the diffusion SDE, in multisteps: one network call per step, the calls before tell how D curves.

Lu et al., arXiv 2211.01095, "SDE-DPM-Solver++", in sigma space: λ = −log σ, h = λ_next − λ, D the clean latent. ``eta`` 0 is
the diffusion ODE, 1 the SDE. Without correction a step loses noise as if it were z = (1 + eta)·h long, and is
given back what it lost too much::

    x_next = exp(−z)·x + (1 − exp(−z))·D + σ_next·√(1 − exp(−2·eta·h))·noise

The step to sigma 0, where h is infinite, takes D as it is.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Sequence
from itertools import pairwise
from math import exp, expm1, log, sqrt

from torch import Tensor

from webui.engine.schedulers.sigma_space import SigmaScheduler
from webui.engine.schedulers.solver import Algorithm, Noise

Past = Sequence[tuple[float, Tensor]]
"""(h, ΔD / h) of the step before and of the one before that, where there were any."""


class _MultistepSDEScheduler(SigmaScheduler):
    brownian = True

    @abstractmethod
    def correction(self, h: float, z: float, past: Past) -> Tensor:
        """What the change of D within the step adds to x; ``past`` is not empty."""

    def algorithm(self, x: Tensor, levels: Sequence[float], noise: Noise) -> Algorithm:
        past: deque[tuple[float, Tensor]] = deque(maxlen=2)
        h_last, D_last = 0.0, x
        for i, (sigma, sigma_next) in enumerate(pairwise(levels)):
            D = yield x, sigma
            if sigma_next == 0:
                return D
            if i > 0:
                past.appendleft((h_last, (D - D_last) / h_last))
            h = log(sigma / sigma_next)
            z = (1 + self.eta) * h
            x = D + (x - D) * exp(-z)
            if past:
                x = x + self.correction(h, z, past)
            if self.eta > 0:
                x = x + noise(sigma, sigma_next) * (self.s_noise * sigma_next * sqrt(-expm1(-2 * self.eta * h)))
            h_last, D_last = h, D
        return x


class DPMpp2MSDEScheduler(_MultistepSDEScheduler):
    """Second order, D taken as in the middle of the step. Source: k-diffusion ``sample_dpmpp_2m_sde``, "midpoint"."""

    def correction(self, h: float, z: float, past: Past) -> Tensor:
        _, slope = past[0]
        return slope * (-expm1(-z) * h / 2)


class DPMpp2MSDEHeunScheduler(_MultistepSDEScheduler):
    """Second order, D taken as a straight line. Source: k-diffusion ``sample_dpmpp_2m_sde``, "heun"."""

    def correction(self, h: float, z: float, past: Past) -> Tensor:
        _, slope = past[0]
        return slope * (_phi_2(z) * h)


class DPMpp3MSDEScheduler(_MultistepSDEScheduler):
    """Third order, D taken as a parabola; second order in its second step. Source: k-diffusion ``sample_dpmpp_3m_sde``."""

    def correction(self, h: float, z: float, past: Past) -> Tensor:
        h_1, slope = past[0]
        if len(past) == 1:
            return slope * (_phi_2(z) * h)
        h_2, slope_before = past[1]
        curve = (slope - slope_before) / (h_1 + h_2)
        phi_3 = _phi_2(z) / z - 0.5
        return (slope + curve * h_1) * (_phi_2(z) * h) - curve * (phi_3 * h**2)


def _phi_2(z: float) -> float:
    """∫₀¹ u·z·exp(−z·(1 − u)) du = 1 − (1 − exp(−z)) / z: how much a slope counts that begins with the step."""
    return expm1(-z) / z + 1
