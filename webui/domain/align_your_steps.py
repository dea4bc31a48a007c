"""Schedules that were not derived but optimised for a model, and published as tables of noise levels.

Another number of steps than the table's is had by interpolation: log σ is linear between two entries. The tables are for
Stable Diffusion 1.5 (2.x takes them too) and for SDXL, which begin with the same noise but spend it differently.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log

from webui.domain.descent import Descent, Levels, line, then_zero

# Sabour et al., "Align Your Steps", arXiv 2404.14507, as its project page gives them; A1111 "Align Your Steps"
AYS_SD1 = (14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029)
AYS_SDXL = (14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.029)

# The same for 32 levels, which end at less noise; Forge "Align Your Steps 32"
# fmt: off
AYS_32_SD1 = (
    14.615, 11.23951352, 8.64363081, 6.64729424, 5.57250862, 4.71648546, 3.99196065, 3.5195609, 3.13490466, 2.79228788,
    2.48773628, 2.21663865, 1.97508351, 1.77931720, 1.61475335, 1.46540953, 1.314849, 1.16642497, 1.03475547, 0.91573744,
    0.80748169, 0.71202361, 0.621739, 0.53065202, 0.4529096, 0.37491455, 0.27461819, 0.2011529, 0.14105873, 0.06682881,
    0.03166121, 0.015,
)
AYS_32_SDXL = (
    14.615, 11.1491618, 8.50522127, 6.48827151, 5.43707402, 4.60398619, 3.89854704, 3.27407457, 2.74396527, 2.29968659,
    1.95448514, 1.67108715, 1.42878152, 1.23181009, 1.06789649, 0.92579443, 0.80290886, 0.69660121, 0.60436903, 0.52852552,
    0.46773344, 0.41393379, 0.36258186, 0.31008517, 0.26518925, 0.22326461, 0.17653877, 0.13959192, 0.10587381, 0.05519369,
    0.02877334, 0.015,
)
# fmt: on

# Chen et al., "On the Trajectory Regularity of ODE-based Diffusion Sampling" (GITS), arXiv 2405.11326; Forge
GITS_SD1 = (14.615, 4.617, 2.507, 1.236, 0.702, 0.402, 0.240, 0.156, 0.104, 0.094, 0.029)
GITS_SDXL = (14.615, 4.734, 2.567, 1.529, 0.987, 0.652, 0.418, 0.268, 0.179, 0.127, 0.029)


def align_your_steps(descent: Descent) -> Levels:
    """Steps placed so that the solver's error, bounded by a KL divergence, is least."""
    return _fitted(AYS_SDXL if _is_sdxl(descent) else AYS_SD1, descent.n)


def align_your_steps_32(descent: Descent) -> Levels:
    """The same from tables of 32 levels, for runs of many steps."""
    return _fitted(AYS_32_SDXL if _is_sdxl(descent) else AYS_32_SD1, descent.n)


def gits(descent: Descent) -> Levels:
    """Steps placed where the paths of sampling, which resemble each other, bend."""
    return _fitted(GITS_SDXL if _is_sdxl(descent) else GITS_SD1, descent.n)


def _is_sdxl(descent: Descent) -> bool:
    return descent.family.startswith("sdxl")


def _fitted(table: Sequence[float], n: int) -> Levels:
    """``n`` levels along the table, both ends included. One level is the first; A1111's would be the last, nearly no noise."""
    if n == len(table):
        return then_zero(table)
    levels = []
    for place in line(0.0, len(table) - 1.0, n):
        above = min(int(place), len(table) - 2)
        part = place - above
        levels.append(exp((1 - part) * log(table[above]) + part * log(table[above + 1])))
    return then_zero(levels)
