"""A finished picture, on its way from the engine to whoever keeps it. Importing this loads no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from PIL import Image


@dataclass(frozen=True)
class Drawn:
    """Picture ``index`` (0 ... picture_count - 1) of a request, decoded.

    ``seed`` is the seed that its noise came from. ``facts`` are what only drawing it could tell: further pairs for its
    infotext, and values for fields of the request that were still open ("checkpoint_hash").
    """

    index: int
    seed: int
    image: Image.Image
    facts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
