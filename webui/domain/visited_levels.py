"""Which noise levels a run visits, before anything is drawn: for the plot on the page, and to refuse early what cannot be.

What the engine runs is calculated from the same functions; a test holds both together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from webui.domain.descent import Levels
from webui.domain.noise_levels import NoiseModel
from webui.domain.own_timesteps import ddim_timesteps, unipc_timesteps
from webui.domain.sampler_names import find_sampler_and_schedule
from webui.domain.sampler_paths import dpm_fast_path, dpm_solver_ends, restart_path
from webui.domain.sampling_options import SamplingOptions
from webui.domain.schedules import find_schedule, run_sigmas, schedule_for

# Samplers that count in timesteps: (steps, last timestep) -> those that a run visits
TIMESTEPS: Mapping[str, Callable[[int, int], Sequence[float]]] = MappingProxyType(
    {
        "DDIM": ddim_timesteps,
        "DDIM CFG++": ddim_timesteps,
        "PLMS": ddim_timesteps,
        "UniPC": unipc_timesteps,
    }
)

# Samplers that make a way of their own of a schedule's levels
PATHS: Mapping[str, Callable[[Levels, NoiseModel], Levels]] = MappingProxyType(
    {
        "DPM fast": dpm_fast_path,
        "DPM adaptive": dpm_solver_ends,
        "Restart": restart_path,
    }
)


def visited_levels(
    sampler: str,
    schedule: str,
    steps: int,
    model: NoiseModel,
    options: SamplingOptions | None = None,
    family: str = "sd1",
) -> tuple[tuple[float, float], ...]:
    """(σ, timestep) at the beginning of each step of a run from noise, and where the run ends.

    ``sampler`` and ``schedule`` are names or aliases. Falling, except where Restart goes up again; of DPM adaptive, which
    finds its steps on the way, only the two ends. What cannot be run raises ``InvalidRequest``.
    """
    row, choice = find_sampler_and_schedule(sampler, schedule)
    chosen = schedule_for(choice.name, row)
    own = TIMESTEPS.get(row.name)
    if own is not None:
        weights = ((t, *model.signal_and_noise(t)) for t in own(steps, model.t_max))
        return tuple((b / a, float(t)) for t, a, b in weights)
    known = row.known_levels(model)
    if chosen is None:
        sigmas = find_schedule("Uniform").sigmas(steps, known)
    else:
        sigmas = run_sigmas(chosen, row, steps, known, options or SamplingOptions(), family)
    path = PATHS.get(row.name)
    levels = sigmas if path is None else path(sigmas, model)
    return tuple((sigma, row.timestep_told(sigma, model)) for sigma in levels)
