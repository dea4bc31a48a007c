"""The part of a request that draws a picture over again and again: each loop begins with what the one before has drawn.

The words, the defaults and the curves are those of the "Loopback" script of A1111's web UI.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from webui.domain.parameter import parameter

LINEAR, AGGRESSIVE, LAZY = CURVES = ("Linear", "Aggressive", "Lazy")


@dataclass(frozen=True, kw_only=True)
class LoopbackOptions:
    """How often, and how the denoising strength changes on the way."""

    loops: int = parameter(
        1,
        "Loops",
        "Draw over the result again, so often in all. Each time the seed grows by 1, and each picture is kept.",
        infotext="Loops",
        minimum=1,
        maximum=1000,
        step=1,
        slider_maximum=32,
    )
    final_denoising_strength: float = parameter(
        0.5,
        "Final denoising strength",
        "The denoising strength of the last loop; the first has the one above.",
        infotext="Final denoising strength",
        minimum=0.0,
        maximum=1.0,
        step=0.01,
    )
    denoising_curve: str = parameter(
        LINEAR,
        "Denoising strength curve",
        "How it goes from one to the other: evenly, soon at first, or late.",
        infotext="Denoising curve",
        choices=CURVES,
    )


LOOPBACK_OPTIONS = ("loops", "final_denoising_strength", "denoising_curve")


def strength_of_loop(first: float, final: float, loop: int, loops: int, curve: str) -> float:
    """The denoising strength of ``loop`` (0 ... loops - 1).

    >>> [strength_of_loop(0.8, 0.4, loop, 3, LINEAR) for loop in range(3)]
    [0.8, 0.6000000000000001, 0.4]
    """
    if loop == 0:
        return first
    progress = loop / (loops - 1)
    if curve == AGGRESSIVE:
        progress = math.sin(progress * math.pi / 2)
    elif curve == LAZY:
        progress = 1 - math.cos(progress * math.pi / 2)
    return min(1.0, max(0.0, first + (final - first) * progress))
