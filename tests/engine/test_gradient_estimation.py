"""Gradient estimation against arXiv 2306.04848."""

from itertools import pairwise

import pytest
from references.mixture import posterior_mean
from references.mixture_run import SCHEDULES, STEPS, drawn, error, ready, run

from webui.engine.schedulers.euler import EulerScheduler
from webui.engine.schedulers.gradient_estimation import GradientEstimationScheduler


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_is_equation_12_with_gamma_2(steps, schedule):
    scheduler = ready(GradientEstimationScheduler(), steps, schedule)
    x, eps = drawn(0) * scheduler.levels[0], []
    for sigma, sigma_next in pairwise(scheduler.levels):
        eps.append((x - posterior_mean(x, sigma)) / sigma)
        bar = eps[-1] if len(eps) == 1 or sigma_next == 0 else 2 * eps[-1] - eps[-2]
        x = x + (sigma_next - sigma) * bar
    assert error(run(scheduler), x) <= 1e-4


def test_with_gamma_1_it_is_euler():
    class Plain(GradientEstimationScheduler):
        gamma = 1.0

    ours, eulers = (run(ready(cls(), 7, "Karras")) for cls in (Plain, EulerScheduler))
    assert error(ours, eulers.double()) <= 1e-6
