"""From what a program sends to a ``GenerationRequest``.

What counts, the later before the earlier: A1111's defaults, the caller's options, the ``infotext``, ``override_settings``, the
fields themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from webui.api.bodies import input_picture
from webui.api.fields import FIELDS, PICTURES, refused
from webui.api.options import OPTIONS, CallerOptions, option_value
from webui.api.soft_inpainting import SCRIPT, script_parameters
from webui.api.upscalers import check_upscaler
from webui.api.values import checked
from webui.domain.infotext import parse, to_request
from webui.domain.request import PARAMETERS, GenerationRequest
from webui.domain.sampler_names import split_sampler_name
from webui.domain.schedules import find_schedule
from webui.errors import InvalidRequest, did_you_mean
from webui.runtime import Runtime


@dataclass(frozen=True)
class Prepared:
    """What to draw, and sentences on what of the request had to be left out."""

    request: GenerationRequest
    notices: tuple[str, ...]


def prepare(runtime: Runtime, options: CallerOptions, body: Mapping[str, Any], kind: str, owner: str) -> Prepared:
    """Read the body of ``txt2img`` or ``img2img``. Raises ``InvalidRequest`` with the field as A1111 calls it."""
    if refusal := refused(body):
        raise refusal
    fields, notices = FIELDS[kind], list[str]()
    values = _defaults(kind) | options.parameters(owner)
    if body.get("infotext"):
        values, said = _with_infotext(values, body["infotext"])
        notices += said
    overridden, remarks = _overridden(runtime, body.get("override_settings"))
    notices += remarks
    values |= overridden
    for name, field in fields.items():
        sent = body.get(name)
        if sent is None or (sent := field.value(sent)) is None:
            continue
        values |= {parameter: checked(PARAMETERS[parameter], sent, name) for parameter in field.parameters}
    values |= _first_phase(body, values) if kind == "txt2img" else {}
    values |= _scripts(body.get("alwayson_scripts"), kind)
    values |= _pictures(runtime, body, owner) if kind == "img2img" else {}
    notices += _fit_schedule(values)
    if values.get("hires"):
        upscaler = values.get("hires_upscaler", PARAMETERS["hires_upscaler"].default)
        check_upscaler(runtime, upscaler, "hr_upscaler", latent=True)
    _check_styles(runtime, values.get("styles", ()), owner)
    return Prepared(GenerationRequest(**values), tuple(notices))


def _defaults(kind: str) -> dict[str, Any]:
    return {
        parameter: checked(PARAMETERS[parameter], field.value(field.default), field.name)
        for field in FIELDS[kind].values()
        if field.default is not None
        for parameter in field.parameters
    }


def _with_infotext(values: dict[str, Any], text: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    if not isinstance(text, str):
        raise InvalidRequest("infotext must be text.", "infotext")
    request, unused, remarks = to_request(parse(text), GenerationRequest(**values))
    left = (f"infotext: nothing here takes {', '.join(unused)}.",) if unused else ()
    return {name: getattr(request, name) for name in PARAMETERS}, (*remarks, *left)


def _overridden(runtime: Runtime, overrides: Any) -> tuple[dict[str, Any], list[str]]:
    """``override_settings``: for this job alone."""
    if overrides is None:
        return {}, []
    if not isinstance(overrides, Mapping):
        raise InvalidRequest("override_settings must be an object: {name: value}.", "override_settings")
    values = {
        OPTIONS[name]: option_value(runtime, name, value)
        for name, value in overrides.items()
        if name in OPTIONS and value is not None
    }
    others = [name for name in overrides if name not in OPTIONS]
    return values, [f"override_settings: nothing here takes {', '.join(others)}."] if others else []


def _first_phase(body: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """How hires fix was asked for before 2023: width and height are what comes out, these what goes in."""
    first = {
        name: checked(PARAMETERS[name], body[field], field)
        for name, field in (("width", "firstphase_width"), ("height", "firstphase_height"))
        if body.get(field) not in (None, 0, "0")
    }
    if not first or not values.get("hires"):
        return {}
    return {"hires_width": values["width"], "hires_height": values["height"], **first}


def _scripts(scripts: Any, kind: str) -> dict[str, Any]:
    """``alwayson_scripts``: soft inpainting is built in, and others there are none."""
    if not scripts:
        return {}
    if not isinstance(scripts, Mapping):
        raise InvalidRequest("alwayson_scripts must be an object: {name: {args: [...]}}.", "alwayson_scripts")
    values: dict[str, Any] = {}
    for name, script in scripts.items():
        if name.casefold() != SCRIPT or kind != "img2img":
            raise InvalidRequest(f"always on script {name} not found", "alwayson_scripts")
        values |= script_parameters(script.get("args", []) if isinstance(script, Mapping) else script)
    return values


def _pictures(runtime: Runtime, body: Mapping[str, Any], owner: str) -> dict[str, str]:
    pictures = body.get("init_images")
    if isinstance(pictures, str):
        pictures = [pictures]
    if not pictures:
        raise InvalidRequest("Init image not found: send one in init_images, in base64.", "init_images")
    if not isinstance(pictures, list) or len(pictures) != 1:
        raise InvalidRequest("init_images must hold one picture. Send a request for each.", "init_images")
    mask = body.get("mask") or body.get("latent_mask")
    sent = zip(PICTURES, ("init_images", "mask", "depth_map"), (pictures[0], mask, body.get("depth_map")), strict=True)
    return {name: input_picture(runtime, value, field, owner) for name, field, value in sent if value}


def _fit_schedule(values: dict[str, Any]) -> list[str]:
    """A1111's timestep samplers pay no heed to the scheduler, and clients send one with every sampler."""
    try:
        sampler, _ = split_sampler_name(values["sampler"])
        schedule = find_schedule(values.get("schedule", "Automatic"))
    except InvalidRequest as error:
        field = "scheduler" if error.field == "schedule" else "sampler_name"
        raise InvalidRequest(f"{field}: {error}", field) from error
    if sampler.default_schedule is None and not sampler.accepts(schedule.name):
        values["schedule"] = "Automatic"
        return [f"{sampler.name} has timesteps of its own, so the scheduler {schedule.name} means nothing to it."]
    return []


def _check_styles(runtime: Runtime, names: tuple[str, ...], owner: str) -> None:
    _, missing = runtime.styles.named(owner, names)
    if missing:
        known = [known.style.name for known in runtime.styles.styles(owner)]
        raise InvalidRequest(f'styles: there is no style "{missing[0]}". {did_you_mean(missing[0], known)}', "styles")
