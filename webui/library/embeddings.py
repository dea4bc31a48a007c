"""Textual inversion: a file of a few vectors that a word stands for, in the place of its rows in the token table.

Gal et al. 2022 (arXiv 2208.01618) train them; they are published in these layouts:

    string_to_param.*         the paper's code and A1111 (``.pt``, pictures); the word itself is not used
    emb_params                A1111 as safetensors
    <cat-toy>                 diffusers' concepts (``.bin``, ``.safetensors``): one tensor named by its word
    clip_l, clip_g            SDXL: vectors for both of its text encoders

The width of a vector tells which text encoder it is for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from webui.library.formats import Header, TensorInfo

ENCODER_BY_WIDTH = {768: "clip_l", 1024: "clip_h", 1280: "clip_g"}
FAMILY_BY_WIDTHS = {(768,): "sd1", (1024,): "sd2", (1280,): "sdxl", (768, 1280): "sdxl"}

_WORDS = "string_to_param."


def embedding_tensors(tensors: Mapping[str, TensorInfo]) -> dict[str, str]:
    """Text encoder -> the tensor with its vectors; empty if the file is no embedding, or one of several words.

    Shapes are (vectors, width), or (width,) for a single one. A tensor named by its word must have the width of a known
    text encoder, because any model of one tensor looks like that.
    """
    found = {name: name for name in ("clip_l", "clip_g") if name in tensors}
    if not found:
        trained = [name for name in tensors if name.startswith(_WORDS)] or [
            name for name in tensors if name == "emb_params"
        ]
        candidates = trained or list(tensors)
        if len(candidates) != 1:
            return {}
        width = tensors[candidates[0]].shape[-1:]
        encoder = ENCODER_BY_WIDTH.get(width[0] if width else 0, "clip_l" if trained else "")
        found = {encoder: candidates[0]} if encoder else {}
    shapes = [tensors[name].shape for name in found.values()]
    sound = all(1 <= len(shape) <= 2 and min(shape) > 0 for shape in shapes)
    counts = {shape[0] if len(shape) == 2 else 1 for shape in shapes if sound}
    return found if sound and len(counts) == 1 else {}


def holds_several_words(tensors: Mapping[str, TensorInfo]) -> bool:
    return sum(name.startswith(_WORDS) for name in tensors) > 1


def embedding_family(tensors: Mapping[str, TensorInfo]) -> str:
    """By the widths of an embedding's vectors; "unknown" for those of no published text encoder."""
    widths = tuple(tensors[name].shape[-1] for name in embedding_tensors(tensors).values())
    return FAMILY_BY_WIDTHS.get(widths, "unknown")


def embedding_facts(header: Header) -> dict[str, Any]:
    """What ``ModelFile.configs["embedding"]`` says: how many vectors, how wide for which text encoder, and by whom.

    ``stored_name`` is what the trainer called it, which pictures go by; "" where the file does not tell.
    """
    names = embedding_tensors(header.tensors)
    shapes = {encoder: header.tensors[name].shape for encoder, name in names.items()}
    first = next(iter(shapes.values()))
    return {
        "vectors": first[0] if len(first) == 2 else 1,
        "widths": {encoder: shape[-1] for encoder, shape in shapes.items()},
        "stored_name": _shown(header.metadata.get("name", "")),
        "step": _step(header.metadata.get("step", "")),
        "checkpoint": _shown(header.metadata.get("sd_checkpoint_name", "")),
    }


def _shown(text: str) -> str:
    """At most 200 letters that can be shown and stored: half a surrogate pair cannot."""
    return text[:200].encode(errors="replace").decode()


def _step(text: str) -> int:
    """How long it was trained; 0 if that is not told."""
    try:
        step = json.loads(text or "0")
    except (ValueError, RecursionError):
        return 0
    return step if type(step) is int else 0
