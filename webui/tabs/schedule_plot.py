"""A small plot of the noise levels that a run visits: where a schedule spends its steps.

Drawn here as SVG, in the classes of ``assets/sampling.css``, so that it follows the page's colours; the browser
(``assets/sampling.js``) asks for it when something changes, and tells the numbers of the step that is pointed at.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

from webui.domain.request import PARAMETERS, GenerationRequest
from webui.domain.samplers import find_sampler
from webui.errors import WebUIError
from webui.runtime import Runtime
from webui.tabs.components import typed

PLOTTED = (  # the parameters that the noise levels depend on
    "checkpoint",
    "sampler",
    "schedule",
    "steps",
    "sigma_min",
    "sigma_max",
    "rho",
    "beta_alpha",
    "beta_beta",
    "discard_penultimate",
    "custom_sigmas",
    "zero_terminal_snr",
)

_WIDTH, _HEIGHT = 260, 120
_LEFT, _RIGHT, _TOP, _BOTTOM = 26, 228, 8, 104  # the area of the curves
_DOTTED = 40  # with more steps the dots would run together
_SIGMA_RANGE = (0.02, 20.0)  # shown at least, so that schedules can be compared at sight
_LEAST_SIGMA = 1e-3  # what is typed in may be as small as one likes; it is drawn at the bottom
_T_MAX = 999.0

Visited = Sequence[tuple[float, float]]
"""(sigma, timestep) at the beginning of each step and, last, where the run ends: mostly at 0, which is no step."""


def plotted(runtime: Runtime, asked: Mapping[str, Any]) -> dict[str, Any]:
    """What the browser shows of a form that holds ``asked``, by the names in ``PLOTTED``.

    ``svg``, its ``summary`` and the ``numbers`` of each step; or the ``summary`` alone where there is nothing to draw; or
    the ``problem``, a sentence.
    """
    try:
        request = GenerationRequest(**{name: typed(PARAMETERS[name], asked[name]) for name in PLOTTED if name in asked})
        sampler = find_sampler(request.sampler)
        visited = runtime.visited_levels(request)
    except WebUIError as error:
        return {"problem": str(error)}
    if sampler.adaptive:
        (start, _), (end, _) = visited[0], visited[-1]
        return {"summary": f"{sampler.name} chooses its own steps, from σ {start:.3g} to {end:.2g}."}
    return {"svg": draw(visited), "summary": summary(visited), "numbers": numbers(visited)}


def draw(visited: Visited) -> str:
    """The plot as an ``<svg>``: noise level (logarithmic, left axis) and timestep (right axis) over the steps."""
    steps = visited[:-1]
    low = max(_LEAST_SIGMA, min(_SIGMA_RANGE[0], *(sigma for sigma, _ in steps)))
    high = max(_SIGMA_RANGE[1], *(sigma for sigma, _ in steps))
    t_max = max(_T_MAX, *(t for _, t in steps))

    def x(step: int) -> float:
        return _LEFT + 5 + (_RIGHT - _LEFT - 10) * (step / (len(steps) - 1) if len(steps) > 1 else 0.5)

    def y_of_sigma(sigma: float) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * math.log(max(sigma, low) / low) / math.log(high / low)

    def y_of_t(t: float) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * t / t_max

    sigmas = [(x(step), y_of_sigma(sigma)) for step, (sigma, _) in enumerate(steps)]
    timesteps = [(x(step), y_of_t(t)) for step, (_, t) in enumerate(steps)]
    decades = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
    return "".join(
        [
            f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}">',
            *(_level_line(10.0**decade, y_of_sigma(10.0**decade)) for decade in decades),
            *(_text("timestep", _RIGHT + 5, y_of_t(t) + 3, "start", f"{t:g}") for t in (0, 500, t_max)),
            *(_text("axis", x(step), _HEIGHT - 4, "middle", str(step + 1)) for step in _marked(len(steps))),
            _text("axis", (_LEFT + _RIGHT) / 2, _HEIGHT - 4, "middle", "step") if len(steps) > 3 else "",
            _text("sigma", _LEFT + 5, _BOTTOM - 15, "start", "noise level σ"),  # curves fall: this corner stays free
            _text("timestep", _LEFT + 5, _BOTTOM - 4, "start", "timestep"),
            _curve("timestep", timesteps),
            _curve("sigma", sigmas),
            '<circle class="pointed" r="4" visibility="hidden"/>',
            "</svg>",
        ]
    )


def summary(visited: Visited) -> str:
    """What the plot shows, in words: how many of the steps are spent on details, and whether noise is left in the picture.

    >>> summary([(14.6, 999), (3.1, 700), (0.65, 350), (0.14, 90), (0.0, 0)])
    '2 of 4 steps below σ 1: details'
    """
    steps, (end, _) = visited[:-1], visited[-1]
    few = sum(sigma < 1 for sigma, _ in steps)
    left = f". Leaves σ {end:.2g}" if end > 0 else ""
    return f"{few} of {len(steps)} {'step' if len(steps) == 1 else 'steps'} below σ 1: details{left}"


def numbers(visited: Visited) -> list[str]:
    """What each step visits, in words.

    >>> numbers([(14.6146, 999.0), (0.02917, 0.0), (0.0, 0.0)])
    ['Step 1 of 2: σ 14.61, timestep 999', 'Step 2 of 2: σ 0.02917, timestep 0']
    """
    steps = visited[:-1]
    return [
        f"Step {step} of {len(steps)}: σ {sigma:.4g}, timestep {t:.4g}"
        for step, (sigma, t) in enumerate(steps, start=1)
    ]


def _marked(count: int) -> tuple[int, ...]:
    return (0,) if count == 1 else (0, count - 1)


def _level_line(sigma: float, y: float) -> str:
    """A grid line. At σ = 1 there is as much noise as picture, so that one is stronger."""
    strength = "even" if sigma == 1 else "grid"
    line = f'<line class="{strength}" x1="{_LEFT}" y1="{y:.1f}" x2="{_RIGHT}" y2="{y:.1f}"/>'
    return line + _text("sigma", _LEFT - 4, y + 3, "end", f"{sigma:g}")


def _curve(of: str, points: Sequence[tuple[float, float]]) -> str:
    line = f'<polyline class="{of}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>'
    if len(points) > _DOTTED:
        return line
    radius = 2.2 if of == "sigma" else 1.2
    return line + "".join(f'<circle class="{of}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}"/>' for x, y in points)


def _text(of: str, x: float, y: float, anchor: str, text: str) -> str:
    return f'<text class="{of}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(text)}</text>'
