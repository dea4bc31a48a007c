"""The ways of samplers that do not simply go down the levels of a schedule: DPM fast, DPM adaptive and Restart."""

from __future__ import annotations

from webui.domain.descent import Descent, Levels
from webui.domain.noise_levels import NoiseModel
from webui.domain.sigma_schedules import karras

RESTART_FROM, RESTART_TO = 0.1, 2.0


def dpm_solver_ends(levels: Levels, model: NoiseModel) -> Levels:
    """(σ_max, σ_min) of a DPM-Solver run: it ends above 0 and leaves that noise, as in A1111 at the last level above 0.

    A run of a single step ends at the least noise that was trained.
    """
    if len(levels) == 2 and levels[1] == 0:
        return levels[0], min(model.sigma_min, levels[0] / 2)
    return levels[0], levels[-1] or levels[-2]


def dpm_fast_orders(calls: int) -> list[int]:
    """The order of each step, which is the number of its network calls: 3, 3, ..., and what is left.

    Lu et al., DPM-Solver, arXiv 2206.00927, section 3.4 ("DPM-Solver-fast").

    >>> dpm_fast_orders(8), dpm_fast_orders(9)
    ([3, 3, 2], [3, 3, 2, 1])
    """
    return [3] * (calls // 3 - 1) + [2, 1] if calls % 3 == 0 else [3] * (calls // 3) + [calls % 3]


def dpm_fast_path(levels: Levels, model: NoiseModel) -> Levels:
    """Evenly spaced in log σ, as many steps as share out the network calls."""
    sigma_max, sigma_min = dpm_solver_ends(levels, model)
    count = len(dpm_fast_orders(len(levels) - 1))
    return (sigma_max, *(sigma_max * (sigma_min / sigma_max) ** (i / count) for i in range(1, count)), sigma_min)


def restart_path(levels: Levels, model: NoiseModel) -> Levels:
    """A1111's plan of restarts: up again from about σ = 0.1 to 2, and down once more. Xu et al., arXiv 2306.14878.

    A run of 20 steps or more spends 9 of them on one more way, one of 36 or more half of them on two. These runs then go
    along Karras levels, whatever the schedule; shorter ones have no restart.
    """
    steps = len(levels) - 1
    if steps < 20:
        return levels
    again, times = (steps // 4, 2) if steps >= 36 else (9, 1)
    main = karras(Descent(steps - again * times, model, levels[0], levels[-2]))
    low = min(range(len(main)), key=lambda i: abs(main[i] - RESTART_FROM))
    high = min(range(len(main)), key=lambda i: abs(main[i] - RESTART_TO))
    if high >= low:
        return main
    once_more = karras(Descent(again + 1, model, main[high], main[low]))[:-1]
    return (*main[: low + 1], *once_more * times, *main[low + 1 :])
