"""DDPM against the equations of its paper, which count in ᾱ, and against Euler a, which does the same."""

from itertools import pairwise
from math import sqrt

import pytest
from references.mixture import posterior_mean
from references.mixture_run import SCHEDULES, STEPS, drawn, error, fresh, ready, run

from webui.engine.schedulers.ddpm import DDPMScheduler
from webui.engine.schedulers.euler import EulerAncestralScheduler

each_run = pytest.mark.parametrize(
    ("steps", "schedule"), [(steps, schedule) for steps in STEPS for schedule in SCHEDULES]
)


@each_run
def test_draws_from_the_posterior(steps, schedule):
    """Ho et al., arXiv 2006.11239, equation 7: the mean and the variance of q(x_prev | x, x0)."""
    scheduler, numbers = ready(DDPMScheduler(), steps, schedule), fresh()
    bars = [1 / (1 + sigma**2) for sigma in scheduler.levels]
    x = drawn(0) * scheduler.levels[0] * sqrt(bars[0])
    for bar, bar_prev in pairwise(bars):
        alpha = bar / bar_prev
        beta = 1 - alpha
        x0 = posterior_mean(x / sqrt(bar), sqrt((1 - bar) / bar))
        x = (sqrt(bar_prev) * beta * x0 + sqrt(alpha) * (1 - bar_prev) * x) / (1 - bar)
        if bar_prev < 1:
            x = x + sqrt((1 - bar_prev) / (1 - bar) * beta) * next(numbers)
    assert error(run(scheduler), x) <= 1e-5


@each_run
def test_is_euler_a_at_eta_1(steps, schedule):
    euler_a = run(ready(EulerAncestralScheduler(eta=1.0), steps, schedule))
    assert error(run(ready(DDPMScheduler(), steps, schedule)), euler_a.double()) <= 1e-5
