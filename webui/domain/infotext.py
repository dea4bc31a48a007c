"""A request as the text that is stored in its pictures, and back.

    a cat on a mat
    Negative prompt: blurry
    Steps: 20, Sampler: Euler a, Schedule type: Automatic, CFG scale: 7, Seed: 1, Size: 512x768, RNG: NV

The spelling is in :mod:`webui.domain.infotext_grammar`, the order of the fields in :mod:`webui.domain.infotext_fields`.
Which field a parameter is written to stands in its declaration (``Parameter.infotext``). For every request r of names
that exist, ``to_request(parse(write(r)))`` gives r, but for the pictures that it starts from, which no text can hold, and
for what means nothing in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from webui.domain.hires_options import HIRES_OPTIONS
from webui.domain.infotext_grammar import NOTES, ParsedInfotext, compose, parse
from webui.domain.infotext_history import hypernetwork_tag, implied_by_version, updated
from webui.domain.network_hashes import EMBEDDING, LORA, from_resources
from webui.domain.picture_options import PICTURE_OPTIONS
from webui.domain.refiner_options import REFINER_OPTIONS
from webui.domain.request import PARAMETERS, GenerationRequest, Parameter
from webui.domain.sampler_names import split_sampler_name
from webui.domain.sampling_options import SAMPLING_OPTIONS
from webui.domain.schedules import find_schedule
from webui.errors import InvalidRequest

__all__ = ["ParsedInfotext", "compose", "parse", "to_request", "write"]

PROGRAM = "Lucid"

_KEPT = ("init_image", "mask", "denoising_strength")  # a text that does not name them says nothing about them
# What a picture means that does not name the field. These are A1111's defaults, which need not be ours: it draws noise
# on the GPU unless the picture says otherwise. A parameter that is not here keeps its value.
ABSENT: Mapping[str, Any] = MappingProxyType(
    {
        "schedule": "Automatic",
        "vae": "Automatic",
        "vae_hash": "",
        "lora_hashes": "",
        "ti_hashes": "",
        "variation_seed": -1,
        "variation_strength": 0.0,
        "clip_skip": 1,
        "emphasis": "Original",
        "old_timelines": False,
        "ensd": 0,
        "rng": "GPU",
        **{
            name: PARAMETERS[name].default
            for name in (*HIRES_OPTIONS, *REFINER_OPTIONS, *PICTURE_OPTIONS, *SAMPLING_OPTIONS)
            if name not in _KEPT
        },
    }
)
_SOFT = tuple(name for name in PICTURE_OPTIONS if name.startswith("soft_") and name != "soft_inpainting")
_ALWAYS_WRITTEN = (
    "schedule",
    "denoising_strength",
    "mask_padding",
    "hires_upscaler",
    "hires_scale",
    "final_denoising_strength",
    "denoising_curve",
    "sd_upscale_upscaler",
    "sd_upscale_by",
    "sd_upscale_overlap",
    *_SOFT,
)  # where they mean something
_TEMPLATES = (*NOTES, "Hires Template", "Hires Negative Template")
_HOLDS_BRACKETS = re.compile(r"[(\[]")
_HOLDS_SIGNS = re.compile(r"[(\[\\]|BREAK")
_UNLESS_EMPTY = ("checkpoint", "checkpoint_hash")
_SIZES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {"Size": ("width", "height"), "Seed resize from": ("seed_resize_width", "seed_resize_height")}
)
# A1111 keeps two etas, and these samplers have one of their own.
_ETA_DDIM: Mapping[str, str] = MappingProxyType({"DDIM": "Eta DDIM", "DDIM CFG++": "Eta DDIM"})
# Two parameters under one key. Blur: "4" where both are the same, as A1111 writes it, else "4x6".
_BLUR, _MASK_BLUR = "Mask blur", ("mask_blur_x", "mask_blur_y")
_TILING, _TILES = "Tiling", {(True, True): "True", (True, False): "x", (False, True): "y"}
_HIRES_RESIZE, _HIRES_KEYS = "Hires resize", ("Hires upscale", "Hires resize", "Hires upscaler")
_SD_UPSCALE_KEYS = ("SD upscale upscaler", "SD upscale overlap")
_SAME_AS_FIRST = re.compile("Use same (sampler|scheduler|checkpoint)")  # what A1111's form says, and some pictures
_BATCHES: Mapping[str, str] = MappingProxyType({"batch_size": "Batch size", "batch_count": "Batch count"})
_SOURCES: Mapping[str, str] = MappingProxyType(
    {"init_image": "Init image hash", "mask": "Mask hash", "depth_map": "Depth map hash"}
)
_LOOP = "Loop"  # which of how many, in pictures of loopback
_ORIGIN = ("Version", "User", "App", _LOOP, *_SOURCES.values())  # about the program and the pictures, nothing to set


def write(request: GenerationRequest, *, version: str, extra: Mapping[str, Any] | None = None) -> str:
    """The infotext of the picture that ``request`` draws.

    ``extra`` holds further fields (what was found out while drawing: hashes, a hires pass); each goes to its place, and
    one that is None is left out. ``version`` is the number of this program's release; "" leaves it out. A request of
    several pictures also gets the fields "Batch size" and "Batch count", which no single picture has.
    """
    fields = {
        _key(parameter, request.sampler): _text(parameter, getattr(request, name))
        for name, parameter in PARAMETERS.items()
        if parameter.infotext is not None and _is_written(name, request)
    }
    for key, names in _SIZES.items():
        width, height = (getattr(request, name) for name in names)
        if width or height:
            fields[key] = f"{width}x{height}"
    fields |= {key: str(getattr(request, name)) for name, key in _BATCHES.items() if getattr(request, name) > 1}
    fields |= _of_pictures(request)
    if version:
        fields["Version"] = f"{PROGRAM} {version}"
    for key, value in (extra or {}).items():
        if key in fields:
            raise ValueError(f"{key!r} is written from the request")
        if value is not None:
            fields[key] = _number_text(value)
    return compose(ParsedInfotext(request.prompt, request.negative_prompt, fields))


def _of_pictures(request: GenerationRequest) -> dict[str, str]:
    """The fields that are no parameter's own: two parameters share them, or they tell which pictures it started from."""
    acting = request.acting_picture_options()
    fields = {
        key: getattr(request, name) for name, key in _SOURCES.items() if name in acting and getattr(request, name)
    }
    if acting.issuperset(_MASK_BLUR):
        across, down = (_number_text(getattr(request, name)) for name in _MASK_BLUR)
        fields[_BLUR] = across if across == down else f"{across}x{down}"
    if request.draws_twice and any(request.resizes_to):
        fields[_HIRES_RESIZE] = "{}x{}".format(*request.resizes_to)
    if request.tile_x or request.tile_y:
        fields[_TILING] = _TILES[request.tile_x, request.tile_y]
    return fields


def _is_written(name: str, request: GenerationRequest) -> bool:
    value = getattr(request, name)
    if name in HIRES_OPTIONS and (not request.draws_twice or (name == "hires_scale" and any(request.resizes_to))):
        return False
    if name == "refiner_switch_at" and request.refiner_checkpoint:
        return True
    if name == "denoising_strength" and request.draws_twice:
        return True
    if name in PICTURE_OPTIONS and name not in request.acting_picture_options():
        return False
    if name in _UNLESS_EMPTY:
        return bool(value)
    if name == "emphasis":  # A1111 leaves it out where it means nothing
        means_something = _HOLDS_SIGNS if value == "None" else _HOLDS_BRACKETS
        return value != ABSENT[name] and bool(means_something.search(request.prompt + request.negative_prompt))
    return name in _ALWAYS_WRITTEN or name not in ABSENT or bool(value != ABSENT[name])


def _text(parameter: Parameter, value: Any) -> str:
    return parameter.spelled[value] if parameter.type is bool else _number_text(value)


def _number_text(value: Any) -> str:
    """7.0 as "7", as the form's sliders give it; other numbers in as many digits as bring them back."""
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)


def _key(parameter: Parameter, sampler: str) -> str:
    """Under which key a parameter is written for this sampler."""
    key = str(parameter.infotext)
    return _ETA_DDIM.get(sampler, key) if parameter.name == "eta" else key


def to_request(
    parsed: ParsedInfotext, base: GenerationRequest | None = None
) -> tuple[GenerationRequest, dict[str, str], tuple[str, ...]]:
    """The request that a picture tells of: its fields over those of ``base`` (the form as it stands).

    Also returns the fields that no parameter takes, with those that the picture's version implies, and remarks: a
    sentence for each value that could not be used, in which case ``base`` keeps its own. A text without parameters
    changes the prompts alone.
    """
    base = base or GenerationRequest()
    prompt = parsed.prompt + hypernetwork_tag(parsed.fields)
    request = replace(base, prompt=prompt, negative_prompt=parsed.negative_prompt, styles=())  # they are in the prompts
    if not parsed.fields:
        return request, {}, ()

    fields = _Fields(updated(parsed.fields) | _implied(parsed))
    changes, remarks = _sampling(fields)
    for key, names in _SIZES.items():
        changes.append(_size(names, fields.take(key)))
    changes += [_checkpoint(fields), _blur(fields.take(_BLUR)), _tiles(fields.take(_TILING)), _hires(fields)]
    changes.append({"sd_upscale": any(key in fields for key in _SD_UPSCALE_KEYS)})
    if "Batch pos" not in fields:  # A1111 of 2022 wrote a batch's size into each of its pictures
        changes += [{name: text} for name, key in _BATCHES.items() if (text := fields.take(key))]
    resources = fields.take("Hashes") or ""
    changes += [
        {"lora_hashes": from_resources(resources, LORA)},
        {"ti_hashes": from_resources(resources, EMBEDDING)},
    ]
    sampler = next((change["sampler"] for change in changes if "sampler" in change), request.sampler)
    for name, parameter in PARAMETERS.items():
        if parameter.infotext is not None and name not in ("sampler", "schedule", *_UNLESS_EMPTY):
            text = fields.take(_key(parameter, sampler))
            if text is not None:
                is_same = name in HIRES_OPTIONS and _SAME_AS_FIRST.fullmatch(text)
                changes.append({name: "" if is_same else text})
            elif name in ABSENT and not (resources and name in ("lora_hashes", "ti_hashes")):
                changes.append({name: ABSENT[name]})

    for change in changes:
        try:
            request = replace(request, **{name: _value(PARAMETERS[name], text) for name, text in change.items()})
        except InvalidRequest as error:
            kept = " x ".join(str(getattr(request, name)) for name in change)
            remarks.append(f"{error} Kept {kept}.")
    old_hash = re.fullmatch("[0-9a-f]{8}", request.checkpoint_hash)
    if old_hash:
        remarks.append(f"{old_hash[0]} is a checkpoint hash of 2022, which is not taken of the whole file.")

    remarks += [
        f"The seed chose this out of the {key.lower()} {fields.left[key]}" for key in _TEMPLATES if key in fields.left
    ]
    unused = {key: value for key, value in fields.left.items() if key not in (*_ORIGIN, *_TEMPLATES)}
    return request, unused, tuple(remarks)


def _implied(parsed: ParsedInfotext) -> dict[str, str]:
    is_a1111 = parsed.source == "AUTOMATIC1111"
    return implied_by_version(parsed.fields, parsed.prompt + parsed.negative_prompt) if is_a1111 else {}


class _Fields:
    """Fields from which one after the other is taken, whatever the case of its key; ``left`` are the others."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self.left = dict(fields)
        self._keys = {key.casefold(): key for key in reversed(self.left)}

    def __contains__(self, key: str) -> bool:
        return key.casefold() in self._keys

    def take(self, key: str) -> str | None:
        spelled = self._keys.pop(key.casefold(), None)
        return None if spelled is None else self.left.pop(spelled)


def _value(parameter: Parameter, text: Any) -> Any:
    """The number, or the truth, that a text spells; what spells none stays text and is refused by the request."""
    if not isinstance(text, str) or parameter.type is str:
        return text
    if parameter.type is bool:
        spelled = [word.casefold() for word in parameter.spelled]
        return bool(spelled.index(text.casefold())) if text.casefold() in spelled else text
    if parameter.type is int and re.fullmatch(r"[+-]?\d{1,30}", text):
        return int(text)
    try:
        return float(text)
    except ValueError:
        return text


def _size(names: tuple[str, str], text: str | None) -> dict[str, Any]:
    if text is None:
        return {name: 0 for name in names if name.startswith("seed_resize")}
    sides = re.fullmatch(r"(\d+)\s*x\s*(\d+)", text)
    return dict(zip(names, sides.groups() if sides else (text, text), strict=True))


def _blur(text: str | None) -> dict[str, Any]:
    """A picture that does not say has A1111's default, one blur in both directions unless it names two."""
    if text is None:
        return {name: ABSENT[name] for name in _MASK_BLUR}
    sides = re.fullmatch(r"([\d.e+-]+)\s*x\s*([\d.e+-]+)", text)
    return dict(zip(_MASK_BLUR, sides.groups() if sides else (text, text), strict=True))


def _hires(fields: _Fields) -> dict[str, Any]:
    """A picture was drawn twice if it says how it was enlarged."""
    if not any(key in fields for key in _HIRES_KEYS):
        return {"hires": False, "hires_width": 0, "hires_height": 0}
    text = fields.take(_HIRES_RESIZE)
    return {"hires": True, **_size(("hires_width", "hires_height"), text or "0x0")}


def _tiles(text: str | None) -> dict[str, Any]:
    """A1111 says "True", for both directions; ours may name one of them."""
    named = {spelled.casefold(): tiles for tiles, spelled in _TILES.items()} | {"tiling": (True, True)}
    across, down = named.get((text or "").casefold(), (False, False))
    return {"tile_x": across, "tile_y": down}


def _checkpoint(fields: _Fields) -> dict[str, Any]:
    """Name and hash belong together: a picture that gives one must not be drawn with the other of ``base``."""
    name, hash_ = fields.take("Model"), fields.take("Model hash")
    return {} if name is None and hash_ is None else {"checkpoint": name or "", "checkpoint_hash": hash_ or ""}


def _sampling(fields: _Fields) -> tuple[list[dict[str, Any]], list[str]]:
    """Sampler and schedule as changes, and remarks on what there is none of."""
    changes: list[dict[str, Any]] = []
    remarks: list[str] = []
    name, schedule = fields.take("Sampler"), fields.take("Schedule type")
    sampler = None
    if name is not None:
        try:
            sampler, within = split_sampler_name(name)
        except InvalidRequest as error:
            remarks.append(f"{error} Kept the sampler that was chosen.")
        else:
            changes.append({"sampler": sampler.name})
            schedule = schedule or within
    if schedule is not None:
        try:
            changes.append({"schedule": find_schedule(schedule).name})
        except InvalidRequest as error:
            remarks.append(f"{error} Kept the schedule type that was chosen.")
    elif name is None or sampler is not None:
        changes.append({"schedule": ABSENT["schedule"]})
        if sampler is not None and sampler.default_schedule not in (None, "Uniform"):
            remarks.append(
                f"The picture names no schedule type. A1111 before 1.9 then drew {sampler.name} on Uniform; "
                f"Automatic is {sampler.default_schedule}."
            )
    return changes, remarks
