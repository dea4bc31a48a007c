"""The noise levels that a model was trained on, and the two ways to name one.

Training mixes a clean latent x0 with noise: x = √ᾱ_t·x0 + √(1 − ᾱ_t)·noise. ᾱ ("alpha bar", the cumulative product of
1 − β) falls from about 1 at timestep 0 to about 0 at the last. Divided by √ᾱ_t the same point reads x0 + σ_t·noise with
σ_t = √((1 − ᾱ_t) / ᾱ_t), the noise level. Samplers calculate in σ; the network wants to be told t.

The noise levels of Stable Diffusion 1.x run from 0.0291675 at timestep 0 to 14.6146 at timestep 999.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from operator import mul

from webui.errors import IncompatibleModel


@dataclass(frozen=True)
class NoiseModel:
    """The trained noise levels, rising: ``levels[t]`` is σ at timestep ``t`` (0 ... 999 in every family so far).

    Between two timesteps log σ is linear, as in k-diffusion's ``DiscreteSchedule`` (diffusers interpolates σ itself,
    which gives other pictures). Timesteps are therefore fractional; nothing is rounded.
    """

    levels: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.levels) < 2 or not 0 < self.levels[0] < math.inf or not math.isfinite(self.levels[-1]):
            raise IncompatibleModel("The checkpoint's noise schedule is empty or holds zero or infinite noise.")
        if any(not low < high for low, high in pairwise(self.levels)):
            raise IncompatibleModel("The checkpoint's noise schedule does not rise from timestep to timestep.")

    @classmethod
    def from_alphas_cumprod(cls, alphas_cumprod: Sequence[float]) -> NoiseModel:
        """From ᾱ by timestep, as checkpoints and diffusers' schedulers hold it.

        They hold it in float32, so it is rounded to that here whatever it came in: 1 − ᾱ_0 cancels most digits, and
        sigma_min from exact numbers would be 0.0291672. A model trained to pure noise (zero terminal SNR) must give its
        last ᾱ as a very small number, not as 0.
        """
        alphas_cumprod = array("f", alphas_cumprod)
        if not all(0 < alpha < 1 for alpha in alphas_cumprod):
            raise IncompatibleModel(
                "The checkpoint's noise schedule has an alphas_cumprod that is not between 0 and 1."
            )
        return cls(tuple(math.sqrt((1 - alpha) / alpha) for alpha in alphas_cumprod))

    def thinned(self, count: int) -> NoiseModel:
        """``count`` of the levels, evenly spaced from the last downwards: all that a network distilled to them knows.

        >>> NoiseModel((0.1, 0.2, 0.3, 0.4)).thinned(2).levels
        (0.2, 0.4)
        """
        return NoiseModel(self.levels[:: -(len(self.levels) // count)][:count][::-1])

    @property
    def sigma_min(self) -> float:
        return self.levels[0]

    @property
    def sigma_max(self) -> float:
        return self.levels[-1]

    @property
    def t_max(self) -> int:
        """The last timestep."""
        return len(self.levels) - 1

    @cached_property
    def _logarithms(self) -> tuple[float, ...]:
        return tuple(math.log(sigma) for sigma in self.levels)

    @cached_property
    def _log_alphas(self) -> tuple[float, ...]:
        return tuple(-0.5 * math.log1p(sigma * sigma) for sigma in self.levels)

    def signal_and_noise(self, t: float) -> tuple[float, float]:
        """(α_t, σ_t) with α_t² + σ_t² = 1: the weights of picture and noise at a timestep, as in DDPM.

        log α is linear between two timesteps: Lu et al., DPM-Solver, arXiv 2206.00927, appendix D.4.
        """
        below = min(int(t), self.t_max - 1)
        part = t - below
        log_alpha = (1 - part) * self._log_alphas[below] + part * self._log_alphas[below + 1]
        return math.exp(log_alpha), math.sqrt(-math.expm1(2 * log_alpha))

    def t_to_sigma(self, t: float) -> float:
        """The noise level at a timestep, which may be fractional; one beyond the ends counts as the end."""
        t = min(max(t, 0.0), float(self.t_max))
        below = int(t)
        part = t - below
        if part == 0:
            return self.levels[below]
        return math.exp((1 - part) * self._logarithms[below] + part * self._logarithms[below + 1])

    def sigma_to_t(self, sigma: float) -> float:
        """The (fractional) timestep of a noise level; one beyond the ends counts as the end, so 0 gives 0."""
        if sigma <= self.sigma_min:
            return 0.0
        if sigma >= self.sigma_max:
            return float(self.t_max)
        above = bisect_right(self.levels, sigma)
        low, high = self._logarithms[above - 1], self._logarithms[above]
        return above - 1 + (math.log(sigma) - low) / (high - low)


def scaled_linear_alphas_cumprod(
    beta_start: float = 0.00085, beta_end: float = 0.012, timesteps: int = 1000
) -> tuple[float, ...]:
    """ᾱ of the schedule that Stable Diffusion was trained with: √β rises linearly over the timesteps.

    Source: CompVis latent-diffusion, ``make_beta_schedule("linear")``; diffusers calls it "scaled_linear".
    """
    first, last = math.sqrt(beta_start), math.sqrt(beta_end)
    betas = ((first + (last - first) * t / (timesteps - 1)) ** 2 for t in range(timesteps))
    return tuple(accumulate((1 - beta for beta in betas), mul))
