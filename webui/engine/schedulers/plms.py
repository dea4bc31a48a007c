"""PLMS: DDIM's step with the noise extrapolated from the last four predictions. One network call per step."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor

from webui.engine.schedulers.solver import Algorithm, Noise
from webui.engine.schedulers.timestep_space import TimestepScheduler

ADAMS_BASHFORTH = (  # for steps of equal length, the newest prediction first
    (1.0,),
    (3 / 2, -1 / 2),
    (23 / 12, -16 / 12, 5 / 12),
    (55 / 24, -59 / 24, 37 / 24, -9 / 24),
)


class PLMSScheduler(TimestepScheduler):
    """The pseudo linear multi-step method of Liu et al., "PNDM", arXiv 2202.09778, equations 9 and 12.

    As in latent-diffusion and A1111 the first step has no Runge-Kutta phase but the mean of two predictions, at its
    beginning and where they lead, which costs one call more; the run ends at timestep 1.
    """

    def algorithm(self, x: Tensor, levels: Sequence[float], noise: Noise) -> Algorithm:
        predictions: deque[Tensor] = deque(maxlen=4)  # of the noise, the newest first
        for t, t_prev in pairwise(levels):
            eps = self.noise_in(x, (yield x, t), t)
            predictions.appendleft(eps)
            if len(predictions) == 1:
                x_prev = self.transfer(x, eps, t, t_prev)
                eps = (eps + self.noise_in(x_prev, (yield x_prev, t_prev), t_prev)) / 2
            else:
                newest, *weights = ADAMS_BASHFORTH[len(predictions) - 1]
                eps = eps * newest
                for weight, past in zip(weights, list(predictions)[1:], strict=True):
                    eps = eps + past * weight
            x = self.transfer(x, eps, t, t_prev)
        return x

    def noise_in(self, x: Tensor, denoised: Tensor, t: float) -> Tensor:
        """ε such that x = √ᾱ·x0 + √(1 − ᾱ)·ε."""
        a, b = self.signal_and_noise(t)
        return (x - denoised * a) / b

    def transfer(self, x: Tensor, eps: Tensor, t: float, t_prev: float) -> Tensor:
        """DDIM's step from t to t_prev along ``eps``: the paper's equation 9, less entangled."""
        a, b = self.signal_and_noise(t)
        a_prev, b_prev = self.signal_and_noise(t_prev)
        return (x - eps * b) * (a_prev / a) + eps * b_prev
