"""The samplers by name: which scheduler class does the work of each row in ``webui/domain/samplers.py``."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch

from webui.domain.samplers import find_sampler
from webui.engine.schedulers.base import Scheduler
from webui.engine.schedulers.euler import EulerAncestralScheduler, EulerScheduler
from webui.engine.schedulers.sigma_space import SigmaScheduler
from webui.errors import InvalidRequest

SCHEDULER_CLASSES: Mapping[str, type[Scheduler]] = MappingProxyType(
    {
        "Euler a": EulerAncestralScheduler,
        "Euler": EulerScheduler,
    }
)


def build(
    sampler: str,
    config: Mapping[str, Any],
    steps: int,
    sigmas: Sequence[float] | None = None,
    device: str | torch.device | None = None,
    **options: Any,
) -> Scheduler:
    """A scheduler with its noise levels set, ready to ``begin``.

    ``sampler`` is a name or an alias. ``config`` is the model's scheduler configuration in diffusers' terms (beta_start,
    prediction_type, ...); what concerns only diffusers' own classes is passed over. ``sigmas`` are the levels of a
    schedule or the part of one that img2img runs, the closing 0 included; None takes the Uniform schedule with ``steps``
    steps. Samplers without a schedule (``default_schedule`` None) take None only. ``options``: eta, s_churn, s_tmin,
    s_tmax, s_noise.
    """
    name = find_sampler(sampler).name
    cls = SCHEDULER_CLASSES[name]
    known = inspect.signature(cls.__init__).parameters
    scheduler: Any = cls(**{key: value for key, value in config.items() if key in known}, **options)
    if isinstance(scheduler, SigmaScheduler):
        scheduler.set_timesteps(None if sigmas is not None else steps, device=device, sigmas=sigmas)
    elif sigmas is None:
        scheduler.set_timesteps(steps, device=device)
    else:
        raise InvalidRequest(f"{name} has timesteps of its own and takes no schedule.", "schedule")
    built: Scheduler = scheduler
    return built
