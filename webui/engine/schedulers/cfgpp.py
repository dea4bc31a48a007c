"""CFG++: guidance moves the clean latent only; the noise that stays is the one predicted without the prompt.

Ordinary guidance pushes both, and at the usual scales away from where the network was trained. CFG++ renoises the guided
latent with the unconditional prediction::

    x_prev = α_prev·x0(guided) + σ_prev·ε(unconditional)

Chung et al., arXiv 2406.08070, algorithm 2. Its guidance scale λ lies between 0 and 1: there is nothing to make up for.
In a diffusers pipeline, which tells one prediction, these are the samplers without the "++" in their guidance.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import log, sqrt

from torch import Tensor

from webui.engine.schedulers.ddim import ddim_sigma
from webui.engine.schedulers.euler import ancestral_step
from webui.engine.schedulers.sigma_space import SigmaScheduler
from webui.engine.schedulers.solver import Noise, PairAlgorithm
from webui.engine.schedulers.timestep_space import TimestepScheduler


class DDIMCFGppScheduler(TimestepScheduler):
    """The paper's own: DDIM with CFG++. As in A1111, λ is the user's CFG scale divided by 12.5 (7 becomes 0.56)."""

    needs_uncond = True
    cfg_factor = 1 / 12.5

    def algorithm(self, x: Tensor, levels: Sequence[float], noise: Noise) -> PairAlgorithm:
        for t, t_prev in pairwise(levels):
            denoised, uncond = yield x, t
            a, b = self.signal_and_noise(t)
            a_prev, b_prev = self.signal_and_noise(t_prev)
            sigma = ddim_sigma((a, b), (a_prev, b_prev), self.eta)
            eps = (x - uncond * a) / b
            x = denoised * a_prev + eps * sqrt(b_prev**2 - sigma**2)
            if sigma > 0:
                x = x + noise(t, t_prev) * sigma
        return x


class EulerCFGppScheduler(SigmaScheduler):
    """DDIM CFG++ in sigma space, where a DDIM step is Euler's. Source: ComfyUI ``euler_cfg_pp``.

    As there, the CFG scale is λ itself: 1 is strong, 7 burns.
    """

    needs_uncond = True

    def algorithm(self, x: Tensor, levels: Sequence[float], noise: Noise) -> PairAlgorithm:
        for sigma, sigma_next in pairwise(levels):
            denoised, uncond = yield x, sigma
            d = (x - uncond) / sigma
            x = denoised + d * sigma_next
        return x


class EulerAncestralCFGppScheduler(SigmaScheduler):
    """Euler a with CFG++: below the next level, and fresh noise back up to it. Source: ComfyUI ``euler_ancestral_cfg_pp``."""

    needs_uncond = True

    def algorithm(self, x: Tensor, levels: Sequence[float], noise: Noise) -> PairAlgorithm:
        for sigma, sigma_next in pairwise(levels):
            denoised, uncond = yield x, sigma
            sigma_down, sigma_up = ancestral_step(sigma, sigma_next, self.eta)
            d = (x - uncond) / sigma
            x = denoised + d * sigma_down
            if sigma_next > 0:
                x = x + noise(sigma, sigma_next) * (self.s_noise * sigma_up)
        return x


class DPMpp2MCFGppScheduler(SigmaScheduler):
    """DPM++ 2M with CFG++, as the paper's authors published it. Source: ComfyUI ``dpmpp_2m_cfg_pp``.

    The second-order term is the change from the last unconditional prediction to this guided one.
    """

    needs_uncond = True

    def algorithm(self, x: Tensor, levels: Sequence[float], noise: Noise) -> PairAlgorithm:
        uncond_last, h_last = x, 0.0
        for i, (sigma, sigma_next) in enumerate(pairwise(levels)):
            denoised, uncond = yield x, sigma
            ratio = sigma_next / sigma
            x = denoised + (x - uncond) * ratio
            if sigma_next > 0:
                h = -log(ratio)
                if i > 0:
                    r = h_last / h
                    x = x + (denoised - uncond_last) * ((1 - ratio) / (2 * r))
                uncond_last, h_last = uncond, h
        return x


class DPMpp2SAncestralCFGppScheduler(SigmaScheduler):
    """DPM++ 2S a without the prompt, and guidance added once, at the end of a step.

    Source: ComfyUI ``dpmpp_2s_ancestral_cfg_pp``. Two network calls per step, the second one halfway in log σ.
    """

    order = 2
    needs_uncond = True

    def algorithm(self, x: Tensor, levels: Sequence[float], noise: Noise) -> PairAlgorithm:
        for sigma, sigma_next in pairwise(levels):
            denoised, uncond = yield x, sigma
            if sigma_next == 0:
                return denoised
            sigma_down, sigma_up = ancestral_step(sigma, sigma_next, self.eta)
            middle = sqrt(sigma * sigma_down)
            x_2 = uncond + (x - uncond) * (middle / sigma)
            _, uncond_2 = yield x_2, middle
            x = uncond_2 + (x - uncond_2) * (sigma_down / sigma)
            x = x + (denoised - uncond) + noise(sigma, sigma_next) * (self.s_noise * sigma_up)
        return x
