"""IPNDM, IPNDM_V and DEIS against their weights as ComfyUI and Forge calculate them, and all three along whole runs."""

from itertools import pairwise

import numpy as np
import pytest
from references.mixture import posterior_mean
from references.mixture_run import SCHEDULES, STEPS, drawn, error, ready, run

from webui.engine.schedulers.deis import DEISScheduler, vp_time
from webui.engine.schedulers.ipndm import IPNDMScheduler, IPNDMVScheduler
from webui.engine.schedulers.lms import multistep_weights

UNEVEN = [1.2741, 4.7965, 9.1029, 14.6146]  # the newest first, then to 0.4469
ADAMS_BASHFORTH = [[1], [1.5, -0.5], [23 / 12, -16 / 12, 5 / 12], [55 / 24, -59 / 24, 37 / 24, -9 / 24]]
# recorded from ComfyUI's sample_ipndm_v in float64
IPNDM_V = [
    [1.0],
    [1.1174199409493526, -0.1174199409493527],
    [1.6132843656737332, -1.0188743827759903, 0.40559001710225684],
    [1.6541504617352663, -1.1198202722511108, 0.4864947620896105, -0.021801155372208465],
]
ALL = (DEISScheduler, IPNDMScheduler, IPNDMVScheduler)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_ipndm_takes_all_steps_to_be_even(count):
    for sigmas, sigma_next in (([4.0, 5.0, 6.0, 7.0], 3.0), (UNEVEN, 0.4469)):
        assert IPNDMScheduler().weights(sigmas[:count], sigma_next) == pytest.approx(ADAMS_BASHFORTH[count - 1])


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_ipndm_v_has_comfyuis_weights(count):
    assert IPNDMVScheduler().weights(UNEVEN[:count], 0.4469) == pytest.approx(IPNDM_V[count - 1], rel=1e-9)


def test_ipndm_v_has_the_exact_weights_of_two_tangents_and_of_three_on_even_steps():
    assert IPNDMVScheduler().weights([4.0, 5.0, 6.0], 3.0) == pytest.approx(ADAMS_BASHFORTH[2])
    exact = [weight / (0.4469 - 1.2741) for weight in multistep_weights(UNEVEN[:2], 1.2741, 0.4469)]
    assert IPNDMVScheduler().weights(UNEVEN[:2], 0.4469) == pytest.approx(exact)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_deis_integrates_polynomials_in_time(count):
    """By 10,000 rectangles in t, as ComfyUI does, with dσ/dt by differences."""
    sigmas, sigma_next = UNEVEN[:count], 0.4469
    edges = np.linspace(vp_time(sigmas[0]), vp_time(sigma_next), 10_001)
    t, beta_d, beta_min = (edges[1:] + edges[:-1]) / 2, 17.537957, -0.004768986
    levels = np.sqrt(np.expm1(beta_d * edges**2 / 2 + beta_min * edges))
    assert levels[[0, -1]].tolist() == pytest.approx([sigmas[0], sigma_next], rel=1e-5)
    times = [vp_time(sigma) for sigma in sigmas]
    for j, weight in enumerate(DEISScheduler().weights(sigmas, sigma_next)):
        others = [time for k, time in enumerate(times) if k != j]
        polynomial = np.prod([(t - other) / (times[j] - other) for other in others], axis=0)
        assert weight == pytest.approx((polynomial * np.diff(levels)).sum() / (sigma_next - sigmas[0]), rel=1e-5)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)
def test_a_run_goes_along_the_weighted_tangents(cls, steps, schedule):
    scheduler = ready(cls(), steps, schedule)
    x, sigmas, tangents = drawn(0) * scheduler.levels[0], [], []
    for sigma, sigma_next in pairwise(scheduler.levels):
        sigmas.insert(0, sigma)
        tangents.insert(0, (x - posterior_mean(x, sigma)) / sigma)
        kept = cls.tangents if sigma_next > 0 else 1
        weights = scheduler.weights(sigmas[:kept], sigma_next) if sigma_next > 0 else [1.0]
        x = x + (sigma_next - sigma) * sum(w * d for w, d in zip(weights, tangents[:kept], strict=True))
    assert error(run(scheduler), x) <= 1e-5
