"""Noise schedules: which noise levels a sampler visits on its way from pure noise to the picture.

A schedule of n steps is n noise levels σ, falling, and a closing 0. All start at the most noise the model knows; they
differ in where they spend their steps. A new one is a function and its row in ``SCHEDULES``.

Calculated in double precision. k-diffusion and AUTOMATIC1111's web UI calculate in float32, so their levels differ from
these by a relative 3e-6 at most, far less than one step of an 8-bit picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from webui.domain.noise_levels import NoiseModel
from webui.domain.samplers import Sampler
from webui.errors import InvalidRequest, did_you_mean

RHO = 7.0  # Karras et al. 2022: 7 gives the best pictures, 3 would equalise the truncation error

Levels = tuple[float, ...]


def _line(start: float, end: float, count: int) -> Levels:
    """``count`` numbers from start to end, both included; only the start when one is asked for."""
    if count == 1:
        return (start,)
    between = (start + (end - start) * i / (count - 1) for i in range(count - 1))
    return (*between, end)


def uniform(n: int, model: NoiseModel) -> Levels:
    """Timesteps evenly spaced, both ends visited. k-diffusion ``get_sigmas``; ComfyUI calls it "normal"."""
    return tuple(model.t_to_sigma(t) for t in _line(model.t_max, 0.0, n))


def karras(n: int, model: NoiseModel) -> Levels:
    """σ^(1/ρ) evenly spaced: many steps where little noise is left. Karras et al., arXiv 2206.00364, equation 5."""
    roots = _line(model.sigma_max ** (1 / RHO), model.sigma_min ** (1 / RHO), n)
    return tuple(root**RHO for root in roots)


def exponential(n: int, model: NoiseModel) -> Levels:
    """log σ evenly spaced. k-diffusion ``get_sigmas_exponential``."""
    return tuple(math.exp(level) for level in _line(math.log(model.sigma_max), math.log(model.sigma_min), n))


def sgm_uniform(n: int, model: NoiseModel) -> Levels:
    """Timesteps evenly spaced, the last one left out, so that no step is spent on nearly no noise.

    Stability AI generative-models, ``LegacyDDPMDiscretization``; wanted by SDXL Turbo, Lightning and LCM models.
    """
    return tuple(model.t_to_sigma(t) for t in _line(model.t_max, 0.0, n + 1)[:-1])


def simple(n: int, model: NoiseModel) -> Levels:
    """Every (1000 / n)-th trained level, counted from the noisy end. ComfyUI ``simple_scheduler``.

    The place is rounded to a whole timestep, except when more steps are asked for than there are timesteps: levels that
    repeat would be steps of length 0.
    """
    stride = len(model.levels) / n
    if stride < 1:
        return tuple(model.t_to_sigma(model.t_max - i * model.t_max / n) for i in range(n))
    return tuple(model.levels[model.t_max - int(i * stride)] for i in range(n))


@dataclass(frozen=True)
class Schedule:
    """One row of the dropdown. ``function`` gives the n noise levels without the closing 0; None in "Automatic"."""

    name: str
    function: Callable[[int, NoiseModel], Levels] | None
    aliases: tuple[str, ...] = ()

    def sigmas(self, n: int, model: NoiseModel) -> Levels:
        """The noise levels of n >= 1 steps, falling strictly, and a closing 0.0."""
        if self.function is None:
            raise ValueError(f"{self.name} stands for the sampler's own schedule: resolve it with schedule_for")
        if n < 1:
            raise InvalidRequest(f"A schedule needs at least 1 step, not {n}.", "steps")
        return (*self.function(n, model), 0.0)


AUTOMATIC = Schedule("Automatic", None, ("auto",))

SCHEDULES: tuple[Schedule, ...] = (  # A1111's order
    AUTOMATIC,
    Schedule("Uniform", uniform, ("normal",)),
    Schedule("Karras", karras),
    Schedule("Exponential", exponential),
    Schedule("SGM Uniform", sgm_uniform, ("sgm_uniform", "sgmuniform")),
    Schedule("Simple", simple),
)

_BY_NAME = {name.casefold(): row for row in SCHEDULES for name in (row.name, *row.aliases)}


def find_schedule(name: str) -> Schedule:
    """The row for a name or an alias, whatever its case; an unknown one raises ``InvalidRequest`` with near matches."""
    try:
        return _BY_NAME[name.strip().casefold()]
    except KeyError:
        hint = did_you_mean(name, [row.name for row in SCHEDULES])
        raise InvalidRequest(f'There is no schedule type "{name}". {hint}', "schedule") from None


def schedule_for(name: str, sampler: Sampler) -> Schedule | None:
    """The schedule that a sampler runs when ``name`` is chosen: "Automatic" is the sampler's own.

    None for a sampler that has timesteps of its own (DDIM) and takes no schedule, whatever is chosen.
    """
    chosen = find_schedule(name)
    if sampler.default_schedule is None:
        return None
    return find_schedule(sampler.default_schedule) if chosen is AUTOMATIC else chosen
