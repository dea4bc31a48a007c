"""DDIM: split the state into clean latent and noise, put them together again with less noise."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import sqrt

from torch import Tensor

from webui.engine.schedulers.solver import Algorithm, Noise
from webui.engine.schedulers.timestep_space import TimestepScheduler


class DDIMScheduler(TimestepScheduler):
    """Song et al., arXiv 2010.02502, equations 12 and 16. eta 0 adds no noise, eta 1 is DDPM.

    As in A1111 the run ends at timestep 1 and leaves that little noise in the result.
    """

    def algorithm(self, x: Tensor, levels: Sequence[float], noise: Noise) -> Algorithm:
        for t, t_prev in pairwise(levels):
            denoised = yield x, t
            a, b = self.signal_and_noise(t)  # √ᾱ and √(1 − ᾱ)
            a_prev, b_prev = self.signal_and_noise(t_prev)
            sigma = ddim_sigma((a, b), (a_prev, b_prev), self.eta)
            eps = (x - denoised * a) / b
            x = denoised * a_prev + eps * sqrt(b_prev**2 - sigma**2)
            if sigma > 0:
                x = x + noise(t, t_prev) * sigma
        return x


def ddim_sigma(now: tuple[float, float], before: tuple[float, float], eta: float) -> float:
    """How much of the noise at the timestep before is fresh, from (√ᾱ, √(1 − ᾱ)) of both. The paper's equation 16.

    At most all of it, which an eta above 1 may ask for.
    """
    (a, b), (a_prev, b_prev) = now, before
    return min(b_prev, eta * b_prev / b * sqrt(1 - (a / a_prev) ** 2))
