"""RES against the order conditions of arXiv 2308.02157, and ComfyUI's way to take ancestral steps with it."""

from itertools import pairwise
from math import exp, expm1, log, sqrt

import pytest
from references.mixture import posterior_mean
from references.mixture_run import SCHEDULES, STEPS, drawn, error, fresh, ready, run

from webui.engine.schedulers.res_multistep import RESMultistepAncestralScheduler, RESMultistepScheduler

each_run = pytest.mark.parametrize(
    ("steps", "schedule"), [(steps, schedule) for steps in STEPS for schedule in SCHEDULES]
)


@each_run
def test_the_line_through_two_predictions_is_integrated_exactly(steps, schedule):
    """∫ exp(λ)·D(λ) dλ over the step, with D the line in λ through the last two predictions, by parts."""
    scheduler = ready(RESMultistepScheduler(), steps, schedule)
    x, past = drawn(0) * scheduler.levels[0], []
    for s, t in pairwise(scheduler.levels):
        past.append((-log(s), posterior_mean(x, s)))
        if t == 0:
            x = past[-1][1]
            break
        h = log(s / t)
        x = exp(-h) * x - expm1(-h) * past[-1][1]
        if len(past) > 1:
            (before, D_before), (now, D) = past[-2:]
            x = x + (D - D_before) / (now - before) * (h - 1 + exp(-h))
    assert error(run(scheduler), x) <= 1e-4


@each_run
@pytest.mark.parametrize("options", [{}, {"eta": 0.6, "s_noise": 1.02}])
def test_ancestral_steps_lead_below_the_next_level(steps, schedule, options):
    scheduler = ready(RESMultistepAncestralScheduler(**options), steps, schedule)
    eta, s_noise, numbers = options.get("eta", 1.0), options.get("s_noise", 1.0), fresh()
    x, D_before, s_before, down_before = drawn(0) * scheduler.levels[0], None, None, None
    for s, t in pairwise(scheduler.levels):
        D = posterior_mean(x, s)
        if t == 0:
            x = D
            break
        up = min(t, eta * sqrt(t**2 * (s**2 - t**2) / s**2))
        down = sqrt(t**2 - up**2)
        h = log(s / down)
        if D_before is None:
            x = x + (x - D) / s * (down - s)
        else:
            c2 = (log(down_before) - log(s_before)) / h
            phi1 = -expm1(-h) / h
            phi2 = (1 - phi1) / h
            b2 = phi2 / c2
            x = exp(-h) * x + h * ((phi1 - b2) * D + b2 * D_before)
        x = x + next(numbers) * s_noise * up
        D_before, s_before, down_before = D, s, down
    assert error(run(scheduler), x) <= 1e-4


def test_without_noise_both_are_the_same():
    ancestral, plain = (
        run(ready(cls(eta=0.0), 7, "Karras")) for cls in (RESMultistepAncestralScheduler, RESMultistepScheduler)
    )
    assert error(ancestral, plain.double()) <= 1e-6
