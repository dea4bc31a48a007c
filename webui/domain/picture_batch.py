"""The part of a request that draws over several pictures in one job, each with what is different for it.

The list is JSON, as requests are plain values: ``[{"init_image": id}, {"init_image": id, "prompt": "...", "seed": 5}]``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from webui.domain.parameter import parameter
from webui.errors import InvalidRequest

MOST_PICTURES = 1000
OWN = (  # what each picture may have of its own, in the order in which the page offers it; the rest goes along with them
    *("prompt", "negative_prompt", "seed", "sampler", "steps", "cfg_scale", "denoising_strength", "checkpoint"),
    *("schedule", "checkpoint_hash", "lora_hashes", "ti_hashes", "variation_seed"),
)
_ID = re.compile("[0-9a-f]{32}")


@dataclass(frozen=True, kw_only=True)
class PictureBatchOptions:
    """Which pictures."""

    batch_pictures: str = parameter(
        "",
        "Batch",
        "Several pictures to draw over, one after another: a JSON list of objects, each with the id of its init_image and what "
        "is different for it.",
    )

    @property
    def batch_entries(self) -> tuple[Mapping[str, Any], ...]:
        """What is different for each picture; empty where there is but one. Raises ``InvalidRequest``."""
        return _entries(self.batch_pictures) if self.batch_pictures else ()


@lru_cache(maxsize=32)
def _entries(text: str) -> tuple[Mapping[str, Any], ...]:
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError):
        entries = None
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise InvalidRequest("Batch must be a JSON list of objects, one for each picture.", "batch_pictures")
    if len(entries) > MOST_PICTURES:
        raise InvalidRequest(
            f"{len(entries)} pictures are too many for one job; {MOST_PICTURES} are allowed.", "batch_pictures"
        )
    for entry in entries:
        if unknown := sorted(set(entry) - {"init_image", *OWN}):
            raise InvalidRequest(f"Batch: a picture cannot have a {unknown[0]} of its own.", "batch_pictures")
        if not _ID.fullmatch(str(entry.get("init_image"))):
            raise InvalidRequest("Batch: each picture needs the id of its init_image.", "batch_pictures")
    return tuple(MappingProxyType(entry) for entry in entries)
