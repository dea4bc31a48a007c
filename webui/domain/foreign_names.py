"""What other programs call the things that an infotext names, and how a record of theirs becomes one.

Names are translated to ours, which are A1111's. One that is not known stays as it is: it is for the reader of the infotext
to say so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from webui.domain.infotext_fields import in_order
from webui.domain.infotext_grammar import ParsedInfotext
from webui.domain.sampler_names import split_sampler_name
from webui.domain.schedules import find_schedule
from webui.errors import InvalidRequest

Chunks = Mapping[str, str]  # what a picture carries: text chunks by keyword, EXIF values by the names of their tags

# ComfyUI's, SwarmUI's, Fooocus' and NovelAI's, where they mean something else than an alias of ours
SCHEDULES: Mapping[str, str] = MappingProxyType({"native": "Uniform", "beta": "Beta (ComfyUI)"})

_WEIGHTS = re.compile(r"\.(safetensors|sft|ckpt|pth?|bin|gguf)$", re.IGNORECASE)


def sampler_and_schedule(sampler: Any, schedule: Any = None) -> dict[str, Any]:
    """A sampler's name, with or without its schedule, as A1111's two fields.

    >>> sampler_and_schedule("dpmpp_2m_sde_gpu", "karras")
    {'Sampler': 'DPM++ 2M SDE', 'Schedule type': 'Karras'}
    >>> sampler_and_schedule("dpmpp_2m_k")["Schedule type"]  # InvokeAI
    'Karras'
    """
    try:
        row, within = split_sampler_name(plain_text(sampler))
    except InvalidRequest:
        return {"Sampler": sampler, "Schedule type": _schedule(plain_text(schedule))}
    return {"Sampler": row.name, "Schedule type": _schedule(plain_text(schedule)) or within or ""}


def _schedule(name: str) -> str:
    try:
        return SCHEDULES.get(name.casefold()) or find_schedule(name).name
    except InvalidRequest:
        return name


def file_stem(name: Any) -> str | None:
    r"""A model file's name as A1111 writes it: without folder and ending.

    >>> file_stem("SDXL\\dream.v2.safetensors")
    'dream.v2'
    """
    return _WEIGHTS.sub("", re.split(r"[\\/]", name)[-1]) if isinstance(name, str) and name else None


def size(width: Any, height: Any) -> str | None:
    width, height = plain_text(width), plain_text(height)
    return f"{width}x{height}" if width and height else None


def lora_tag(name: Any, *strengths: Any) -> str:
    """``<lora:name:0.8>``, by which A1111 puts a LoRA into the prompt; with two strengths, text encoder before U-Net."""
    stem = file_stem(name)
    shown = list(dict.fromkeys(map(plain_text, strengths))) or ["1"]
    return f"<lora:{stem}:{':'.join(shown)}>" if stem else ""


def with_tags(prompt: Any, tags: Iterable[str]) -> str:
    return " ".join(part for part in (plain_text(prompt), *tags) if part)


def load_object(text: str | None) -> dict[str, Any] | None:
    """The JSON object that a text spells, or None if it spells none."""
    if text is None or not text.lstrip().startswith("{"):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def mapping(value: Any) -> Mapping[str, Any]:
    """A part of a foreign record that should be an object: itself, or an empty one."""
    return value if isinstance(value, Mapping) else {}


def items(value: Any) -> list[Any]:
    """A part of a foreign record that should be a list: itself, or an empty one."""
    return value if isinstance(value, list) else []


def summary(source: str, prompt: Any, negative: Any, fields: Mapping[str, Any]) -> ParsedInfotext:
    """An infotext of what was found. Values that are empty, or neither text nor number, are left out."""
    texts = {key: plain_text(value) for key, value in fields.items()}
    return ParsedInfotext(
        prompt=plain_text(prompt),
        negative_prompt=plain_text(negative),
        fields=in_order({key: text for key, text in texts.items() if text}),
        source=source,
    )


def plain_text(value: Any) -> str:
    """Text or number as text, 7.0 as "7" since JSON does not tell whole numbers from others; "" for all else."""
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    return str(value).strip() if isinstance(value, (str, int)) else ""


def whole_number(value: Any) -> int | None:
    """A whole number, also where it is written as text."""
    return int(plain_text(value)) if re.fullmatch(r"-?\d{1,9}", plain_text(value)) else None


def signed(program: str, version: Any) -> str | None:
    """The "Version" field, so that no other program's number is taken for A1111's."""
    number = plain_text(version).removeprefix(program).strip()
    return f"{program} {number}" if number else None
