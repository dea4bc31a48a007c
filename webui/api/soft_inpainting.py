"""Soft inpainting, which A1111 calls an always-on script and Lucid has as parameters."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from webui.api.values import checked
from webui.domain.request import PARAMETERS
from webui.errors import InvalidRequest

SCRIPT = "soft inpainting"

# A1111's labels, in the order of its arguments
ARGUMENTS: Mapping[str, str] = MappingProxyType(
    {
        "Soft inpainting": "soft_inpainting",
        "Schedule bias": "soft_schedule_bias",
        "Preservation strength": "soft_preservation_strength",
        "Transition contrast boost": "soft_transition_contrast",
        "Mask influence": "soft_mask_influence",
        "Difference threshold": "soft_difference_threshold",
        "Difference contrast": "soft_difference_contrast",
    }
)


def script_parameters(args: Any) -> dict[str, Any]:
    """``args`` as clients send them: the values in order, or one object with A1111's labels."""
    if not isinstance(args, list):
        raise InvalidRequest("alwayson_scripts: args must be a list.", "alwayson_scripts")
    if len(args) == 1 and isinstance(args[0], Mapping):
        unknown = [name for name in args[0] if name not in ARGUMENTS]
        if unknown:
            raise InvalidRequest(
                f'Soft inpainting takes no "{unknown[0]}", but: {", ".join(ARGUMENTS)}.', "alwayson_scripts"
            )
        named = dict(args[0])
    elif len(args) > len(ARGUMENTS):
        raise InvalidRequest(f"Soft inpainting takes {len(ARGUMENTS)} arguments, not {len(args)}.", "alwayson_scripts")
    else:
        named = dict(zip(ARGUMENTS, args, strict=False))
    return {
        ARGUMENTS[label]: checked(PARAMETERS[ARGUMENTS[label]], value, f"Soft inpainting, {label}")
        for label, value in named.items()
        if value is not None
    }


def script_info() -> dict[str, Any]:
    """As GET /sdapi/v1/script-info tells of it."""
    args = []
    for label, name in ARGUMENTS.items():
        parameter = PARAMETERS[name]
        args.append(
            {
                "label": label,
                "value": parameter.default,
                "minimum": parameter.minimum,
                "maximum": parameter.maximum,
                "step": parameter.step,
                "choices": None,
            }
        )
    return {"name": SCRIPT, "is_alwayson": True, "is_img2img": True, "args": args}
