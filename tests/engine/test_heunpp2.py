"""HeunPP2 against ComfyUI's ``sample_heunpp2``, its three kinds of steps written out."""

import pytest
from references.mixture import posterior_mean
from references.mixture_run import SCHEDULES, STEPS, drawn, error, fresh, ready, run

from webui.engine.schedulers.heunpp2 import HeunPP2Scheduler


def slope(x, sigma):
    return (x - posterior_mean(x, sigma)) / sigma


def written_out(levels, s_churn=0.0, s_noise=1.0):
    numbers = fresh()
    x, first, steps = drawn(0) * levels[0], levels[0], len(levels) - 1
    for i in range(steps):
        s0, s1 = levels[i], levels[i + 1]
        if s_churn:
            hat = s0 * (1 + min(s_churn / steps, 2**0.5 - 1))
            x, s0 = x + next(numbers) * s_noise * (hat**2 - s0**2) ** 0.5, hat
        d1 = slope(x, s0)
        if i == steps - 1:
            d = d1
        else:
            x2 = x + d1 * (s1 - s0)
            d2 = slope(x2, s1)
            if i == steps - 2:
                share = s1 / (2 * first)
                d = (1 - share) * d1 + share * d2
            else:
                s2 = levels[i + 2]
                d3 = slope(x2 + d2 * (s2 - s1), s2)
                share2, share3 = s1 / (3 * first), s2 / (3 * first)
                d = (1 - share2 - share3) * d1 + share2 * d2 + share3 * d3
        x = x + d * (s1 - s0)
    return x


@pytest.mark.parametrize("options", [{}, {"s_churn": 6.0, "s_noise": 1.02}], ids=["plain", "churn"])
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("steps", (1, 2, *STEPS))
def test_looks_one_step_further_ahead_than_heun(steps, schedule, options):
    scheduler = ready(HeunPP2Scheduler(**options), steps, schedule)
    assert error(run(scheduler), written_out(scheduler.levels, **options)) <= 1e-5
    assert len(scheduler.timesteps) == max(1, 3 * steps - 3)
