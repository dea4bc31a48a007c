"""LCM: a network that was taught to see the finished picture at once; each step looks, and adds noise to look again."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import hypot

from torch import Tensor

from webui.domain.samplers import find_sampler
from webui.engine.schedulers.distilled import DistilledScheduler
from webui.engine.schedulers.solver import Algorithm, Noise


class LCMScheduler(DistilledScheduler):
    """Latent consistency models: Luo et al., arXiv 2310.04378, algorithm 3. Source: A1111's ``sample_lcm``."""

    sampler = find_sampler("LCM")
    sigma_data, timestep_scaling = 0.5, 10.0

    def algorithm(self, x: Tensor, levels: Sequence[float], noise: Noise) -> Algorithm:
        for sigma, sigma_next in pairwise(levels):
            denoised = yield x, sigma
            t = self.timestep_scaling * self.level_to_timestep(sigma)
            c_skip = self.sigma_data**2 / (t**2 + self.sigma_data**2)
            c_out = t / hypot(t, self.sigma_data)
            x = x * c_skip + denoised * c_out
            if sigma_next > 0:
                x = x + noise(sigma, sigma_next) * sigma_next
        return x
