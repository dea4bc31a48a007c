"""UniPC: predict the next state, ask the network there, correct the step with the answer. One call per step."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from math import expm1, factorial, log

import torch
from torch import Tensor

from webui.domain.own_timesteps import evenly_to_zero, unipc_timesteps
from webui.engine.schedulers.solver import Algorithm, Noise
from webui.engine.schedulers.timestep_space import TimestepScheduler


class UniPCScheduler(TimestepScheduler):
    """Zhao et al., arXiv 2302.04867, algorithms 7 and 8 (UniC and UniP for data prediction), order 3, B(h) = h ("bh1").

    A1111's settings: timesteps evenly spaced from the last one to 0, the order lowered towards the end. With fewer
    steps than 3 the order is the number of steps.
    """

    solver_order = 3

    def run_timesteps(self, steps: int) -> Sequence[float]:
        return unipc_timesteps(steps, self.noise_model.t_max)

    def run_below(self, timesteps: Sequence[float]) -> Sequence[float]:
        """Evenly spaced from the first of them to 0, where the run ends, in as many steps as there are."""
        return evenly_to_zero(timesteps[0], len(timesteps))

    def log_snr(self, t: float) -> float:
        """λ_t = log(α_t / σ_t)."""
        a, b = self.signal_and_noise(t)
        return log(a / b)

    def algorithm(self, x: Tensor, levels: Sequence[float], noise: Noise) -> Algorithm:
        steps = len(levels) - 1
        denoised = yield x, levels[0]
        history = deque([(levels[0], denoised)], maxlen=self.solver_order)  # the newest first
        for i, t in enumerate(levels[1:], start=1):
            s, m_0 = history[0]
            p = min(i, self.solver_order, steps + 1 - i)
            a_t, b_t = self.signal_and_noise(t)
            b_s = self.signal_and_noise(s)[1]
            h = self.log_snr(t) - self.log_snr(s)
            past = list(history)[1:p]
            r = [(self.log_snr(earlier) - self.log_snr(s)) / h for earlier, _ in past]
            D = [(m - m_0) / r_k for r_k, (_, m) in zip(r, past, strict=True)]
            first_order = x * (b_t / b_s) - m_0 * (a_t * expm1(-h))
            B = -h
            predicted = first_order
            for rho, D_k in zip(_predictor_weights(r, B), D, strict=True):
                predicted = predicted - D_k * (a_t * B * rho)
            if i == steps:
                return predicted
            denoised = yield predicted, t
            x = first_order
            for rho, D_k in zip(_corrector_weights(r, B), [*D, denoised - m_0], strict=True):
                x = x - D_k * (a_t * B * rho)
            history.appendleft((t, denoised))
        return x


def _predictor_weights(r: Sequence[float], B: float) -> list[float]:
    """ρ of UniP. The paper's equation has a solution for order 2 too, but its authors take 1/2 there, and so did A1111."""
    return [0.5] if len(r) == 1 else _solve(r, B)


def _corrector_weights(r: Sequence[float], B: float) -> list[float]:
    """ρ of UniC, the last one for the new prediction at r = 1; 1/2 for order 1."""
    return _solve([*r, 1.0], B) if r else [0.5]


def _solve(r: Sequence[float], z: float) -> list[float]:
    """ρ from R ρ = b with R_nk = r_k^(n−1) and b_n = n!·φ_{n+1}(z) (the paper's equation 11, B(h) = h)."""
    if not r:
        return []
    R = torch.tensor([[r_k**n for r_k in r] for n in range(len(r))], dtype=torch.float64)
    b = torch.tensor([factorial(n) * _phi(n + 1, z) for n in range(1, len(r) + 1)], dtype=torch.float64)
    weights: list[float] = torch.linalg.solve(R, b).tolist()
    return weights


def _phi(k: int, z: float) -> float:
    """φ_k(z) with φ_1 = (exp(z) − 1) / z and φ_{k+1} = (φ_k − 1/k!) / z."""
    return expm1(z) / z if k == 1 else (_phi(k - 1, z) - 1 / factorial(k - 1)) / z
