"""How a ComfyUI graph samples, beyond its one node for all (KSampler): the nodes that replace a part of it.

Told by their class, since their inputs alone do not say which schedule or sampler they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from webui.domain.foreign_names import plain_text, sampler_and_schedule

SAMPLER_NODES: Mapping[str, str] = MappingProxyType(
    {
        "SamplerEulerAncestral": "euler_ancestral",
        "SamplerEulerAncestralCFGPP": "euler_ancestral_cfg_pp",
        "SamplerLMS": "lms",
        "SamplerDPMPP_2S_Ancestral": "dpmpp_2s_ancestral",
        "SamplerDPMPP_SDE": "dpmpp_sde",
        "SamplerDPMPP_2M_SDE": "dpmpp_2m_sde",
        "SamplerDPMPP_3M_SDE": "dpmpp_3m_sde",
        "SamplerDPMAdaptative": "dpm_adaptive",
        "SamplerER_SDE": "er_sde",
        "SamplerSASolver": "sa_solver",
    }
)
SCHEDULE_NODES: Mapping[str, str] = MappingProxyType(
    {
        "KarrasScheduler": "karras",
        "ExponentialScheduler": "exponential",
        "PolyexponentialScheduler": "polyexponential",
        "BetaSamplingScheduler": "beta",
        "AlignYourStepsScheduler": "align_your_steps",
        "ManualSigmas": "custom",
    }
)
_MODEL_RANGE = {"sigma_min": 0.0291675, "sigma_max": 14.614642}  # what its nodes offer, rounded
_PREDICTIONS = {"eps": "epsilon", "v_prediction": "v_prediction", "x0": "sample"}

Find = Callable[..., Any]  # the value of the first of these inputs that any node has


def sampling_fields(kinds: tuple[str, ...], find: Find, find_above: Find) -> dict[str, Any]:
    """The infotext's fields of sampling.

    ``kinds`` are the classes of the nodes that sample, ``find`` looks among their inputs, and ``find_above`` among those of
    the nodes that the model came through.
    """
    by_node = next((SAMPLER_NODES[kind] for kind in kinds if kind in SAMPLER_NODES), None)
    if by_node == "dpmpp_2m_sde" and find("solver_type") == "heun":
        by_node = "dpmpp_2m_sde_heun"
    kind = next((kind for kind in kinds if kind in SCHEDULE_NODES), "")
    named = sampler_and_schedule(by_node or find("sampler_name"), SCHEDULE_NODES.get(kind) or find("scheduler"))
    return {
        **named,
        **begins_as_comfyui(named["Schedule type"], find("denoise"), find("sigma_max")),
        "Eta": _unless(1.0, find("eta")),
        "Sigma noise": _unless(1.0, find("s_noise")),
        "Schedule min sigma": _unless(_MODEL_RANGE["sigma_min"], find("sigma_min")) if kind else None,
        "Schedule max sigma": _unless(_MODEL_RANGE["sigma_max"], find("sigma_max")) if kind else None,
        "Schedule rho": find("rho") if kind else None,
        "Beta schedule alpha": find("alpha") if kind == "BetaSamplingScheduler" else None,
        "Beta schedule beta": find("beta") if kind == "BetaSamplingScheduler" else None,
        "Custom sigmas": find("sigmas") if kind == "ManualSigmas" else None,
        "CFG rescale": find_above("multiplier"),  # RescaleCFG's
        "Noise Schedule": "Zero Terminal SNR" if find_above("zsnr") is True else None,
        "Prediction type": _PREDICTIONS.get(plain_text(find_above("sampling"))),
    }


def begins_as_comfyui(schedule: str, denoise: Any = None, sigma_max: Any = None) -> dict[str, str]:
    """What ComfyUI, and programs built on it, do with every picture, as the settings of A1111 that do the same.

    Where it begins with all the noise that the model knows, it begins with √(1 + σ²) of it; and its Align Your Steps are
    the table of one step more, ending at 0 instead of at the last level.
    """
    fields = {}
    from_noise = denoise in (None, "") or plain_text(denoise) == "1"
    if from_noise and schedule != "DDIM" and not _below(sigma_max, _MODEL_RANGE["sigma_max"]):
        fields["SGM noise multiplier"] = "True"
    if schedule == "Align Your Steps":
        fields["Discard penultimate sigma"] = "True"
    return fields


def _unless(default: float, value: Any) -> Any:
    number = _number(value)
    return None if number is not None and math.isclose(number, default, rel_tol=1e-6) else value


def _below(value: Any, limit: float) -> bool:
    number = _number(value)
    return number is not None and number < limit * (1 - 1e-5)


def _number(value: Any) -> float | None:
    """A number, also where it is written as text."""
    try:
        return float(plain_text(value))
    except ValueError:
        return None
