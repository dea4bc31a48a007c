"""ER-SDE: one family of reverse-time SDEs with the noise as a choice, solved with a Taylor expansion of third order."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import exp, sqrt

from torch import Tensor

from webui.engine.schedulers.sigma_space import SigmaScheduler
from webui.engine.schedulers.solver import Algorithm, Noise


class ERSDEScheduler(SigmaScheduler):
    """ER-SDE-Solver-3. Cui et al., arXiv 2309.06169. Source of the settings: ComfyUI ``er_sde``.

    φ(σ) is the noise scale function: φ(σ) = σ would be the ODE, σ² the SDE of DDPM. A step to σ_t, with s the level now::

        x = r·x + (1 − r)·D + (σ_t − σ_s + φ(σ_t)·∫1/φ)·D' + ((σ_t − σ_s)²/2 + φ(σ_t)·∫(σ − σ_s)/φ)·D'' + noise

    where r = φ(σ_t) / φ(σ_s), D', D'' are the differences of the last predictions over σ, and both integrals go from
    σ_t to σ_s. In sigma space the paper's VE and VP solvers are the same.
    """

    points = 200  # of the integrals

    def phi(self, sigma: float) -> float:
        """The authors' choice for few steps ("SDE 5")."""
        return sigma * (exp(sigma**0.3) + 10)

    def algorithm(self, x: Tensor, levels: Sequence[float], noise: Noise) -> Algorithm:
        history: list[tuple[float, Tensor]] = []  # (σ, D), the newest first
        slope_last: Tensor | None = None
        for s, t in pairwise(levels):
            denoised = yield x, s
            if t == 0:
                return denoised
            r = self.phi(t) / self.phi(s)
            x = x * r + denoised * (1 - r)
            if history:
                grid = [t + (s - t) * i / self.points for i in range(self.points)]
                width = (s - t) / self.points
                integral = sum(width / self.phi(sigma) for sigma in grid)
                slope = (denoised - history[0][1]) / (s - history[0][0])
                x = x + slope * (t - s + self.phi(t) * integral)
                if slope_last is not None:
                    integral = sum(width * (sigma - s) / self.phi(sigma) for sigma in grid)
                    bend = (slope - slope_last) / ((s - history[1][0]) / 2)
                    x = x + bend * ((t - s) ** 2 / 2 + self.phi(t) * integral)
                slope_last = slope
            x = x + noise(s, t) * (self.s_noise * sqrt(max(t**2 - (r * s) ** 2, 0.0)))
            history = [(s, denoised), *history[:1]]
        return x
