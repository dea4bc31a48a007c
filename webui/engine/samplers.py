"""The samplers by name: which scheduler class does the work of each row in ``webui/domain/samplers.py``."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch

from webui.domain.sampler_names import find_sampler_and_schedule
from webui.domain.samplers import Sampler
from webui.domain.sampling_options import OWN_ETA, SamplingOptions
from webui.domain.schedules import run_sigmas, schedule_for
from webui.engine.schedulers.base import Scheduler
from webui.engine.schedulers.cfgpp import (
    DDIMCFGppScheduler,
    DPMpp2MCFGppScheduler,
    DPMpp2SAncestralCFGppScheduler,
    EulerAncestralCFGppScheduler,
    EulerCFGppScheduler,
)
from webui.engine.schedulers.ddim import DDIMScheduler
from webui.engine.schedulers.ddpm import DDPMScheduler
from webui.engine.schedulers.deis import DEISScheduler
from webui.engine.schedulers.dpm2 import DPM2AncestralScheduler, DPM2Scheduler
from webui.engine.schedulers.dpm_solver import DPMAdaptiveScheduler, DPMFastScheduler
from webui.engine.schedulers.dpmpp import DPMpp2MScheduler
from webui.engine.schedulers.dpmpp_multistep_sde import (
    DPMpp2MSDEHeunScheduler,
    DPMpp2MSDEScheduler,
    DPMpp3MSDEScheduler,
)
from webui.engine.schedulers.dpmpp_singlestep import DPMpp2SAncestralScheduler, DPMppSDEScheduler
from webui.engine.schedulers.er_sde import ERSDEScheduler
from webui.engine.schedulers.euler import EulerAncestralScheduler, EulerScheduler
from webui.engine.schedulers.gradient_estimation import GradientEstimationScheduler
from webui.engine.schedulers.heun import HeunScheduler
from webui.engine.schedulers.heunpp2 import HeunPP2Scheduler
from webui.engine.schedulers.ipndm import IPNDMScheduler, IPNDMVScheduler
from webui.engine.schedulers.lcm import LCMScheduler
from webui.engine.schedulers.lms import LMSScheduler
from webui.engine.schedulers.plms import PLMSScheduler
from webui.engine.schedulers.res_multistep import RESMultistepAncestralScheduler, RESMultistepScheduler
from webui.engine.schedulers.restart import RestartScheduler
from webui.engine.schedulers.sa_solver import SASolverScheduler
from webui.engine.schedulers.tcd import TCDScheduler
from webui.engine.schedulers.trained_noise import with_overrides
from webui.engine.schedulers.unipc import UniPCScheduler
from webui.errors import InvalidRequest

SCHEDULER_CLASSES: Mapping[str, type[Scheduler]] = MappingProxyType(
    {
        "DPM++ 2M": DPMpp2MScheduler,
        "DPM++ SDE": DPMppSDEScheduler,
        "DPM++ 2M SDE": DPMpp2MSDEScheduler,
        "DPM++ 2M SDE Heun": DPMpp2MSDEHeunScheduler,
        "DPM++ 2S a": DPMpp2SAncestralScheduler,
        "DPM++ 3M SDE": DPMpp3MSDEScheduler,
        "Euler a": EulerAncestralScheduler,
        "Euler": EulerScheduler,
        "LMS": LMSScheduler,
        "Heun": HeunScheduler,
        "DPM2": DPM2Scheduler,
        "DPM2 a": DPM2AncestralScheduler,
        "DPM fast": DPMFastScheduler,
        "DPM adaptive": DPMAdaptiveScheduler,
        "Restart": RestartScheduler,
        "DDIM": DDIMScheduler,
        "DDIM CFG++": DDIMCFGppScheduler,
        "PLMS": PLMSScheduler,
        "UniPC": UniPCScheduler,
        "LCM": LCMScheduler,
        "HeunPP2": HeunPP2Scheduler,
        "IPNDM": IPNDMScheduler,
        "IPNDM_V": IPNDMVScheduler,
        "DEIS": DEISScheduler,
        "DDPM": DDPMScheduler,
        "TCD": TCDScheduler,
        "SA-Solver": SASolverScheduler,
        "ER SDE": ERSDEScheduler,
        "Res Multistep": RESMultistepScheduler,
        "Res Multistep a": RESMultistepAncestralScheduler,
        "Gradient Estimation": GradientEstimationScheduler,
        "Euler CFG++": EulerCFGppScheduler,
        "Euler a CFG++": EulerAncestralCFGppScheduler,
        "DPM++ 2M CFG++": DPMpp2MCFGppScheduler,
        "DPM++ 2S a CFG++": DPMpp2SAncestralCFGppScheduler,
    }
)


def build(
    sampler: str,
    schedule: str,
    steps: int,
    config: Mapping[str, Any],
    *,
    skip: int | None = None,
    device: str | torch.device | None = None,
    family: str = "sd1",
    **options: Any,
) -> Scheduler:
    """A scheduler with its noise levels set, ready to ``begin``.

    ``sampler`` and ``schedule`` are names or aliases; unknown ones, and a schedule that the sampler does not accept, raise
    ``InvalidRequest``. ``config`` is the model's scheduler configuration in diffusers' terms (beta_start, prediction_type,
    ...); what concerns only diffusers' own classes is passed over. ``skip`` is for a run that starts from a picture, which
    leaves out so many steps at the start, 0 among them; None is for one that starts from noise. ``family`` is the model's.
    ``options`` are those of ``SamplingOptions``, by name; None stands for a default, and those that this sampler or
    schedule does not obey do nothing.

    For other noise levels call ``set_timesteps(sigmas=...)`` of what is returned.
    """
    if skip is not None and not 0 <= skip < steps:
        raise InvalidRequest(f"Of {steps} steps {skip} cannot be left out.", "steps")
    row, choice = find_sampler_and_schedule(sampler, schedule)
    chosen = SamplingOptions(**{name: value for name, value in options.items() if value is not None})
    config = with_overrides(config, chosen) | _of_sampler(row, chosen)
    cls = SCHEDULER_CLASSES[row.name]
    known = inspect.signature(cls.__init__).parameters
    scheduler: Scheduler = cls(**{key: value for key, value in config.items() if key in known})
    resolved = schedule_for(choice.name, row)
    levels = None
    if resolved is not None:
        levels = run_sigmas(resolved, row, steps, row.known_levels(scheduler.noise_model), chosen, family)
    scheduler.set_run(steps, resolved, skip, device, levels)
    return scheduler


def _of_sampler(row: Sampler, options: SamplingOptions) -> dict[str, Any]:
    """What the sampler's class is told of the options that it obeys."""
    values = {
        "eta": None if options.eta == OWN_ETA else options.eta,
        "s_churn": options.s_churn,
        "s_tmin": options.s_tmin,
        "s_tmax": options.s_tmax or None,
        "s_noise": options.s_noise,
    }
    return {name: value for name, value in values.items() if name in row.options}
