"""ER-SDE-Solver-3 against arXiv 2309.06169, in the coordinates of its VP solver."""

from itertools import pairwise

import numpy as np
import pytest
from references.mixture import posterior_mean
from references.mixture_run import SCHEDULES, STEPS, drawn, error, fresh, ready, run

from webui.engine.schedulers.er_sde import ERSDEScheduler
from webui.engine.schedulers.euler import EulerScheduler


def phi(x):
    return x * (np.exp(x**0.3) + 10)


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("s_noise", [1.0, 0.9])
def test_is_the_third_solver_of_the_paper(steps, schedule, s_noise):
    scheduler = ready(ERSDEScheduler(s_noise=s_noise), steps, schedule)
    sigmas, numbers = scheduler.levels, fresh()
    alphas = [1 / np.sqrt(1 + sigma**2) for sigma in sigmas]  # the VP state is alpha times ours
    x, clean, slopes = drawn(0) * sigmas[0] * alphas[0], [], []
    for i, (s, t) in enumerate(pairwise(sigmas)):
        clean.append(posterior_mean(x / alphas[i], s))
        if t == 0:
            x = clean[-1]
            break
        r = phi(t) / phi(s)
        step = alphas[i + 1] / alphas[i] * r * x + alphas[i + 1] * (1 - r) * clean[-1]
        points = np.linspace(t, s, 200, endpoint=False)
        if i >= 1:
            slopes.append((clean[-1] - clean[-2]) / (s - sigmas[i - 1]))
            weight = t - s + np.mean(1 / phi(points)) * (s - t) * phi(t)
            step = step + alphas[i + 1] * weight * slopes[-1]
        if i >= 2:
            weight = (t - s) ** 2 / 2 + np.mean((points - s) / phi(points)) * (s - t) * phi(t)
            step = step + alphas[i + 1] * weight * 2 * (slopes[-1] - slopes[-2]) / (s - sigmas[i - 2])
        x = step + alphas[i + 1] * np.sqrt(t**2 - (r * s) ** 2) * s_noise * next(numbers)
    assert error(run(scheduler), x) <= 1e-4


def test_with_phi_the_identity_and_no_second_order_it_is_euler():
    """φ(σ) = σ is the ODE: no noise. A straight path has no slopes, so there the higher orders are nothing."""

    class ODE(ERSDEScheduler):
        def phi(self, sigma):
            return sigma

    def straight(scheduler):
        x = scheduler.begin(drawn(0), lambda level_from, level_to: drawn(1).float())
        while not scheduler.done:
            x = scheduler.advance(drawn(2).float())
        return x

    ours, eulers = (straight(ready(cls(), 7, "Karras")) for cls in (ODE, EulerScheduler))
    assert error(ours, eulers.double()) <= 1e-5
