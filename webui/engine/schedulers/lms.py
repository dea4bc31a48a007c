"""Linear multistep: the curve through the last four tangents, integrated. One network call per step."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import pairwise
from math import prod, sqrt

from torch import Tensor

from webui.engine.schedulers.sigma_space import SigmaScheduler
from webui.engine.schedulers.solver import Algorithm, Noise


class LMSScheduler(SigmaScheduler):
    """Adams-Bashforth with steps of unequal length, up to order 4. Source: k-diffusion ``sample_lms``."""

    tangents = 4

    def algorithm(self, x: Tensor, levels: Sequence[float], noise: Noise) -> Algorithm:
        history: deque[tuple[float, Tensor]] = deque(maxlen=self.tangents)  # (σ, dx/dσ), the newest first
        for sigma, sigma_next in pairwise(levels):
            denoised = yield x, sigma
            history.appendleft((sigma, (x - denoised) / sigma))
            weights = multistep_weights([past for past, _ in history], sigma, sigma_next)
            for weight, (_, d) in zip(weights, history, strict=True):
                x = x + d * weight
        return x


def multistep_weights(sigmas: Sequence[float], start: float, end: float) -> list[float]:
    """∫ from start to end of each Lagrange polynomial l_j, where l_j is 1 at sigmas[j] and 0 at the others.

    Two Gauss-Legendre nodes are exact for polynomials up to degree 3, that is for up to four sigmas.

    >>> [round(weight, 6) for weight in multistep_weights([1.0, 2.0], 1.0, 0.0)]  # Adams-Bashforth: 3/2 and -1/2
    [-1.5, 0.5]
    """
    middle, half = (start + end) / 2, (end - start) / 2
    nodes = (middle - half / sqrt(3), middle + half / sqrt(3))
    return [
        half * sum(prod((tau - s) / (sigma - s) for s in sigmas if s != sigma) for tau in nodes) for sigma in sigmas
    ]
