"""What OpenAPI is told of bodies, out of the same tables that they are read by."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from webui.api.fields import FIELDS, NOT_HERE, Field, others_of
from webui.domain.parameter import Parameter
from webui.domain.request import PARAMETERS

_TYPES: Mapping[type, dict[str, Any]] = MappingProxyType(
    {
        int: {"type": "integer"},
        float: {"type": "number"},
        str: {"type": "string"},
        bool: {"type": "boolean"},
        tuple: {"type": "array", "items": {"type": "string"}},
    }
)

EXAMPLES: Mapping[str, dict[str, Any]] = MappingProxyType(
    {
        "txt2img": {
            "prompt": "a red apple on a table",
            "negative_prompt": "blurry",
            "steps": 20,
            "width": 512,
            "height": 512,
            "seed": 1,
            "sampler_name": "DPM++ 2M",
            "scheduler": "karras",
            "override_settings": {"CLIP_stop_at_last_layers": 1},
        },
        "img2img": {
            "init_images": ["iVBORw0KGgoAAAANSUhEUgAA..."],
            "prompt": "a green apple on a table",
            "denoising_strength": 0.6,
            "steps": 20,
        },
        "job": {"prompt": "a red apple on a table", "steps": 20, "width": 512, "height": 512, "seed": 1},
    }
)


def parameter_schema(parameter: Parameter) -> dict[str, Any]:
    schema: dict[str, Any] = {**_TYPES[parameter.type], "title": parameter.label, "description": parameter.help}
    for key, bound in (("minimum", parameter.minimum), ("maximum", parameter.maximum)):
        if bound is not None:
            schema[key] = bound
    if parameter.choices is not None:
        schema["enum"] = list(parameter.choices)
    schema["default"] = list(parameter.default) if isinstance(parameter.default, tuple) else parameter.default
    return schema


def _field_schema(field: Field) -> dict[str, Any]:
    parameter = PARAMETERS[field.parameters[0]]
    schema = parameter_schema(parameter)
    if field.name != parameter.name:
        schema["description"] += f" ({' and '.join(field.parameters)} in Lucid's own words)"
    if field.choices:
        schema = {"type": "integer", "minimum": 0, "maximum": len(field.choices) - 1, "title": parameter.label}
        schema["description"] = f"{parameter.help} {', '.join(f'{n} {name}' for n, name in enumerate(field.choices))}."
    elif field.read is not None and "enum" in schema:
        schema = {"type": "boolean", "title": parameter.label, "description": parameter.help}
    if field.name.startswith("seed_resize"):
        schema["minimum"] = -1
    if field.default is None:
        schema.pop("default", None)
    else:
        schema["default"] = field.default
    return schema


def body_schema(kind: str) -> dict[str, Any]:
    """Of ``txt2img`` and ``img2img``."""
    properties = {name: _field_schema(field) for name, field in FIELDS[kind].items()}
    picture = {"type": "string", "description": "A picture file in base64, or a data: URL of one."}
    for name, default in others_of(kind).items():
        schema: dict[str, Any] = {"description": NOT_HERE[name]} if name in NOT_HERE else {}
        if name not in properties:
            properties[name] = {**schema, **_TYPES.get(type(default), {})}
    properties["override_settings"] = {"type": "object", "description": "Options for this job alone."}
    properties["alwayson_scripts"] = {"type": "object", "description": "Soft inpainting, in img2img."}
    properties["send_images"] = {"type": "boolean", "default": True, "description": "Whether to answer with pictures."}
    properties["infotext"] = {"type": "string", "description": "What a picture says of itself; fields go before it."}
    properties["force_task_id"] = {"type": "string", "description": "What /internal/progress asks for."}
    if kind == "img2img":
        properties["init_images"] = {"type": "array", "items": picture, "minItems": 1, "maxItems": 1}
        properties["mask"] = properties["latent_mask"] = properties["depth_map"] = picture
    properties["script_args"] = {"type": "array", "items": {}}
    return {
        "type": "object",
        "properties": properties,
        **({"required": ["init_images"]} if kind == "img2img" else {}),
    }


def job_schema() -> dict[str, Any]:
    """Of a job under Lucid's own names; what is not declared is refused."""
    properties = {name: parameter_schema(parameter) for name, parameter in PARAMETERS.items()}
    return {"type": "object", "properties": properties, "additionalProperties": False}
