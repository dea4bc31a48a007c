"""What every noise schedule is asked: in so many steps, from so much noise down to so little."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from webui.domain.noise_levels import NoiseModel

Levels = tuple[float, ...]


@dataclass(frozen=True)
class Descent:
    """``n`` >= 1 steps from ``sigma_max`` to ``sigma_min`` > 0, after which comes the step to no noise at all.

    ``model`` holds the trained noise levels, ``family`` is the model's ("sd1", "sdxl", ...). ``rho`` (None: the schedule's
    own), ``alpha`` and ``beta`` bend those schedules that have them.
    """

    n: int
    model: NoiseModel
    sigma_max: float
    sigma_min: float
    rho: float | None = None
    alpha: float = 0.6
    beta: float = 0.6
    family: str = "sd1"


def line(start: float, end: float, count: int) -> Levels:
    """``count`` numbers from start to end, both included; only the start when one is asked for."""
    if count == 1:
        return (start,)
    between = (start + (end - start) * i / (count - 1) for i in range(count - 1))
    return (*between, end)


def then_zero(levels: Sequence[float]) -> Levels:
    """The levels, and 0 after them: the last step takes what noise there is left."""
    return (*levels, 0.0)
