"""What other programs call the things that an infotext names, and how a record of theirs becomes one.

Names are translated to A1111's, also those of samplers and schedules that we do not have (yet): it is for the reader of
the infotext to say so. A name that is not known here stays as it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from webui.domain.infotext_fields import in_order
from webui.domain.infotext_grammar import ParsedInfotext

Chunks = Mapping[str, str]  # what a picture carries: text chunks by keyword, EXIF values by the names of their tags

# k-diffusion's function names, and what ComfyUI, SwarmUI, Fooocus, InvokeAI, Easy Diffusion and NovelAI made of them
SAMPLERS: Mapping[str, str] = MappingProxyType(
    {
        "euler": "Euler",
        "euler_ancestral": "Euler a",
        "euler_a": "Euler a",
        "heun": "Heun",
        "heunpp2": "HeunPP2",
        "dpm_2": "DPM2",
        "dpm2": "DPM2",
        "kdpm_2": "DPM2",
        "dpm_2_ancestral": "DPM2 a",
        "dpm_2_a": "DPM2 a",
        "dpm2_a": "DPM2 a",
        "kdpm_2_a": "DPM2 a",
        "lms": "LMS",
        "dpm_fast": "DPM fast",
        "dpm_adaptive": "DPM adaptive",
        "dpmpp_2s_ancestral": "DPM++ 2S a",
        "dpmpp_2s_a": "DPM++ 2S a",
        "dpmpp_sde": "DPM++ SDE",
        "dpmpp_2m": "DPM++ 2M",
        "dpmpp_2": "DPM++ 2M",
        "dpmpp_2m_sde": "DPM++ 2M SDE",
        "dpmpp_2m_sde_heun": "DPM++ 2M SDE Heun",
        "dpmpp_3m_sde": "DPM++ 3M SDE",
        "ddpm": "DDPM",
        "lcm": "LCM",
        "ipndm": "IPNDM",
        "ipndm_v": "IPNDM_V",
        "deis": "DEIS",
        "ddim": "DDIM",
        "ddim_v3": "DDIM",
        "plms": "PLMS",
        "pndm": "PLMS",
        "uni_pc": "UniPC",
        "uni_pc_bh2": "UniPC",
        "unipc": "UniPC",
        "restart": "Restart",
        "euler ancestral": "Euler a",  # Draw Things
        "dpm++ sde": "DPM++ SDE",
    }
)

SCHEDULES: Mapping[str, str] = MappingProxyType(
    {
        "normal": "Uniform",
        "native": "Uniform",  # NovelAI
        "karras": "Karras",
        "exponential": "Exponential",
        "polyexponential": "Polyexponential",
        "sgm_uniform": "SGM Uniform",
        "simple": "Simple",
        "ddim_uniform": "DDIM",
        "beta": "Beta",
        "turbo": "Turbo",
        "kl_optimal": "KL Optimal",
        "align_your_steps": "Align Your Steps",
    }
)

_WEIGHTS = re.compile(r"\.(safetensors|sft|ckpt|pth?|bin|gguf)$", re.IGNORECASE)


def sampler_and_schedule(sampler: Any, schedule: Any = None) -> dict[str, Any]:
    """A sampler's name, with or without its schedule, as A1111's two fields.

    >>> sampler_and_schedule("dpmpp_2m_sde_gpu", "karras")
    {'Sampler': 'DPM++ 2M SDE', 'Schedule type': 'Karras'}
    >>> sampler_and_schedule("dpmpp_2m_k")["Schedule type"]  # InvokeAI
    'Karras'
    """
    name, schedule = plain_text(sampler).casefold().removesuffix("_gpu"), plain_text(schedule)
    for prefix in ("k_", "sample_"):  # InvokeAI's and NovelAI's, and that of ComfyUI's first weeks
        name = name.removeprefix(prefix)
    for suffix in ("_karras", "_k"):
        if not schedule and name.endswith(suffix):
            name, schedule = name.removesuffix(suffix), "karras"
    return {"Sampler": SAMPLERS.get(name, sampler), "Schedule type": SCHEDULES.get(schedule.casefold(), schedule)}


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
