"""DEIS: linear multistep like LMS, but the curve through the last tangents is a polynomial in time rather than in σ."""

from __future__ import annotations

from collections.abc import Sequence
from math import log, prod, sqrt

import numpy as np

from webui.engine.schedulers.ipndm import WeightedTangentsScheduler

_NODES, _NODE_WEIGHTS = np.polynomial.legendre.leggauss(12)


class DEISScheduler(WeightedTangentsScheduler):
    """Zhang and Chen, arXiv 2204.13902, "tAB-DEIS" of order 3. Source: ComfyUI and Forge, ``sample_deis``.

    Those programs sum up 10,000 rectangles for each weight, so that their pictures differ by less than one part in 10,000.
    """

    tangents = 3

    def weights(self, sigmas: Sequence[float], sigma_next: float) -> Sequence[float]:
        """The mean over the step of each Lagrange polynomial l_j(t(σ)), where l_j is 1 at t(sigmas[j]) and 0 at the others."""
        times = [vp_time(sigma) for sigma in sigmas]
        middle, half = (sigma_next + sigmas[0]) / 2, (sigma_next - sigmas[0]) / 2
        nodes = [vp_time(middle + half * node) for node in _NODES]
        return [
            sum(
                weight / 2 * prod((t - other) / (time - other) for other in times if other != time)
                for t, weight in zip(nodes, _NODE_WEIGHTS, strict=True)
            )
            for time in times
        ]


def vp_time(sigma: float) -> float:
    """t with σ(t)² + 1 = exp(β_d·t²/2 + β_min·t): time as in the variance-preserving SDE. Karras et al., arXiv 2206.00364, table 1.

    β_d and β_min are such that σ = 0.002 is at t = 0.001 and σ = 80 at t = 1, as in the programs that use this sampler.
    """
    return (sqrt(_BETA_MIN**2 + 2 * _BETA_D * log(sigma**2 + 1)) - _BETA_MIN) / _BETA_D


_LOG_FIRST, _LOG_LAST, _T_FIRST = log(0.002**2 + 1), log(80.0**2 + 1), 0.001
_BETA_D = 2 * (_LOG_FIRST / _T_FIRST - _LOG_LAST) / (_T_FIRST - 1)
_BETA_MIN = _LOG_LAST - _BETA_D / 2
