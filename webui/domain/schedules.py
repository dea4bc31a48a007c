"""Noise schedules: which noise levels a sampler visits on its way from pure noise to the picture.

A schedule of n steps is n noise levels σ, falling, and a closing 0. They differ in where they spend their steps. A new one
is a function in one of the modules that are imported here, and its row in ``SCHEDULES``.

Calculated in double precision. k-diffusion and AUTOMATIC1111's web UI calculate in float32, so their levels differ from
these by a relative 3e-6 at most, far less than one step of an 8-bit picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from webui.domain.align_your_steps import align_your_steps, align_your_steps_32, gits
from webui.domain.custom_sigmas import parse_sigmas
from webui.domain.descent import Descent, Levels
from webui.domain.noise_levels import NoiseModel
from webui.domain.samplers import Sampler
from webui.domain.sampling_options import SamplingOptions
from webui.domain.sigma_schedules import beta, exponential, karras, kl_optimal, linear_quadratic, polyexponential
from webui.domain.timestep_schedules import beta_of_timesteps, ddim, normal, sgm_uniform, simple, turbo, uniform
from webui.errors import InvalidRequest, did_you_mean

RANGE = ("sigma_min", "sigma_max")
BETA = ("beta_alpha", "beta_beta")


@dataclass(frozen=True)
class Schedule:
    """One row of the dropdown.

    ``function`` gives the levels, the closing 0 included; None in "Automatic" and "Custom". ``options`` are the request
    parameters that it obeys besides the steps; others mean nothing to it.
    """

    name: str
    function: Callable[[Descent], Levels] | None
    aliases: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    def sigmas(
        self,
        n: int,
        model: NoiseModel,
        *,
        sigma_min: float | None = None,
        sigma_max: float | None = None,
        rho: float | None = None,
        beta_alpha: float = 0.6,
        beta_beta: float = 0.6,
        family: str = "sd1",
    ) -> Levels:
        """The noise levels of n >= 1 steps, falling strictly, and where the run ends: 0.0, except in KL Optimal.

        None or 0 stands for the model's own (``sigma_min``, ``sigma_max``) or the schedule's own (``rho``). What cannot be
        done raises ``InvalidRequest``: no steps, no range between the ends, or numbers so extreme that levels coincide.
        """
        if self.function is None:
            raise ValueError(f"{self.name} has no levels of its own: see run_sigmas")
        if n < 1:
            raise InvalidRequest(f"A schedule needs at least 1 step, not {n}.", "steps")
        high, low = sigma_max or model.sigma_max, sigma_min or model.sigma_min
        if not high > low and set(RANGE) <= set(self.options):
            raise InvalidRequest(
                f"Schedule min sigma ({low:g}) must be below schedule max sigma ({high:g}).",
                "sigma_min" if sigma_min else "sigma_max",
            )
        levels = self.function(Descent(n, model, high, low, rho, beta_alpha, beta_beta, family))
        if not all(math.inf > before > level >= 0 for before, level in pairwise(levels)):
            raise InvalidRequest(
                f"{self.name} of {n} steps would visit a noise level twice. Take fewer steps, or values that are nearer to "
                "the defaults.",
                next((name for name in ("rho", "beta_alpha", "sigma_max") if name in self.options), "steps"),
            )
        return levels


AUTOMATIC = Schedule("Automatic", None, ("auto",))
CUSTOM = Schedule("Custom", None, ("custom_sigmas", "manual"), ("custom_sigmas",))

_DISCARD = ("discard_penultimate",)

SCHEDULES: tuple[Schedule, ...] = (  # A1111's, in its order; then those of Forge and ComfyUI
    AUTOMATIC,
    Schedule("Uniform", uniform, ("linspace", "discrete"), _DISCARD),
    Schedule("Karras", karras, ("use_karras_sigmas",), (*RANGE, "rho", *_DISCARD)),
    Schedule("Exponential", exponential, ("use_exponential_sigmas",), (*RANGE, *_DISCARD)),
    Schedule("Polyexponential", polyexponential, (), (*RANGE, "rho", *_DISCARD)),
    Schedule("SGM Uniform", sgm_uniform, ("sgm_uniform", "sgmuniform"), (*RANGE, *_DISCARD)),
    Schedule("KL Optimal", kl_optimal, ("kl_optimal",), (*RANGE, *_DISCARD)),
    Schedule(
        "Align Your Steps",
        align_your_steps,
        ("align_your_steps", "ays", "align your steps 11", "align_your_steps_11"),
        _DISCARD,
    ),
    Schedule("Simple", simple, (), _DISCARD),
    Schedule("Normal", normal, (), (*RANGE, *_DISCARD)),
    Schedule("DDIM", ddim, ("ddim_uniform", "leading"), _DISCARD),
    Schedule("Beta", beta, ("use_beta_sigmas",), (*RANGE, *BETA, *_DISCARD)),
    Schedule("Turbo", turbo, ("trailing",), _DISCARD),
    Schedule("Align Your Steps GITS", gits, ("align_your_steps_gits", "gits", "ays_gits"), _DISCARD),
    Schedule("Align Your Steps 32", align_your_steps_32, ("align_your_steps_32", "ays_32"), _DISCARD),
    Schedule("Beta (ComfyUI)", beta_of_timesteps, ("beta_comfyui", "comfyui_beta"), (*BETA, *_DISCARD)),
    Schedule("Linear Quadratic", linear_quadratic, ("linear_quadratic",), ("sigma_max", *_DISCARD)),
    CUSTOM,
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

    None for a sampler that has timesteps of its own (DDIM). One that does not accept the schedule raises
    ``InvalidRequest``.
    """
    chosen = find_schedule(name)
    if chosen is AUTOMATIC:
        return None if sampler.default_schedule is None else find_schedule(sampler.default_schedule)
    if not sampler.accepts(chosen.name):
        if sampler.default_schedule is None:
            reason = f'has timesteps of its own and takes no schedule. Choose "{AUTOMATIC.name}" with it.'
        else:
            accepted = [row.name for row in SCHEDULES if sampler.accepts(row.name)]
            reason = f'does not work along "{chosen.name}". Choose one of: {", ".join(accepted)}.'
        raise InvalidRequest(f"{sampler.name} {reason}", "schedule")
    return chosen


def run_sigmas(
    schedule: Schedule, sampler: Sampler, steps: int, model: NoiseModel, options: SamplingOptions, family: str = "sd1"
) -> Levels:
    """The noise levels of a run, where it ends included: the schedule, and what the sampler and the request make of it.

    Levels that were typed in are run as they are, however many steps were asked for.
    """
    if schedule is CUSTOM:
        return parse_sigmas(options.custom_sigmas)
    discards = sampler.discards_penultimate or options.discard_penultimate
    chosen = {name: getattr(options, name) for name in schedule.options if name not in _DISCARD}
    levels = schedule.sigmas(steps + discards, model, family=family, **chosen)
    return (*levels[:-2], levels[-1]) if discards else levels
