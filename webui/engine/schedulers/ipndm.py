"""iPNDM: the last four tangents with the weights of the Adams-Bashforth method. One network call per step."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor

from webui.engine.schedulers.sigma_space import SigmaScheduler
from webui.engine.schedulers.solver import Algorithm, Noise

ADAMS_BASHFORTH = (
    (1.0,),
    (3 / 2, -1 / 2),
    (23 / 12, -16 / 12, 5 / 12),
    (55 / 24, -59 / 24, 37 / 24, -9 / 24),
)


class WeightedTangentsScheduler(SigmaScheduler):
    """Goes along a weighted sum of the last tangents; to sigma 0 along the newest alone, which leads to the clean latent."""

    tangents = 4

    @abstractmethod
    def weights(self, sigmas: Sequence[float], sigma_next: float) -> Sequence[float]:
        """Of the tangents at ``sigmas``, the newest first, for the step from sigmas[0] to ``sigma_next`` > 0."""

    def algorithm(self, x: Tensor, levels: Sequence[float], noise: Noise) -> Algorithm:
        history: deque[tuple[float, Tensor]] = deque(maxlen=self.tangents)
        for sigma, sigma_next in pairwise(levels):
            denoised = yield x, sigma
            if sigma_next == 0:
                return denoised
            history.appendleft((sigma, (x - denoised) / sigma))
            weights = self.weights([past for past, _ in history], sigma_next)
            for weight, (_, d) in zip(weights, history, strict=True):
                x = x + d * (weight * (sigma_next - sigma))
        return x


class IPNDMScheduler(WeightedTangentsScheduler):
    """Takes all steps to be of equal length, whatever they are. Zhang and Chen, arXiv 2204.13902, section 3.3 ("iPNDM").

    Source of the sigma-space form: ComfyUI and Forge, ``sample_ipndm``.
    """

    def weights(self, sigmas: Sequence[float], sigma_next: float) -> Sequence[float]:
        return ADAMS_BASHFORTH[len(sigmas) - 1]


class IPNDMVScheduler(WeightedTangentsScheduler):
    """The weights follow the lengths of the steps. Source: ComfyUI and Forge, ``sample_ipndm_v``, from zju-pi diff-sampler.

    LMS does it by the exact integral. The formula of these programs has slips in its terms of third and fourth order; they
    are kept, since the pictures that people know by this name are made so.
    """

    def weights(self, sigmas: Sequence[float], sigma_next: float) -> Sequence[float]:
        h, *past = (later - earlier for later, earlier in pairwise((sigma_next, *sigmas)))
        terms: list[tuple[float, tuple[float, ...]]] = [(1.0, (1.0,))]  # (factor, divided difference of the tangents)
        if past:
            h_1 = past[0]
            terms.append((h / h_1 / 2, (1, -1)))
        if len(past) > 1:
            h_2 = past[1]
            q_1 = h_1 / h_2
            # a slip: exact is (1 - h / (3 * (h + h_1))) / 2 * h * (h + h_1) / (h_1 * (h_1 + h_2))
            factor = (1 - h**2 / (3 * h_1 * (h_1 + h_2))) / 2
            terms.append((factor, (1, -1 - q_1, q_1)))
        if len(past) > 2:
            h_3 = past[2]
            q_2 = h_1 * (h_1 + h_2) / (h_2 * (h_2 + h_3))
            # two slips: exact are "-" between these terms and h_2 / h_3 instead of the last q_1
            factor = (1 - h / (3 * (h + h_1))) / 2 + (1 - h / (2 * (h + h_1))) * h / (6 * (h + h_1 + h_2))
            factor *= h * (h + h_1) * (h + h_1 + h_2) / (h_1 * (h_1 + h_2) * (h_1 + h_2 + h_3))
            terms.append((factor, (1, -1 - q_1 - q_2, q_1 + q_2 * (1 + h_2 / h_3), -q_2 * q_1)))
        return [sum(factor * form[k] for factor, form in terms if k < len(form)) for k in range(len(sigmas))]
