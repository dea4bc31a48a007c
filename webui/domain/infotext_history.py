"""What infotexts of older versions of AUTOMATIC1111's web UI meant.

The same words have been drawn differently over the years. A1111 reads an old picture by the rules below; we name them,
so that nobody wonders why a picture comes out otherwise.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

Version = tuple[int, int, int, int]  # the last number counts commits after the release

_VERSION = re.compile(r"v?(\d{1,4})\.(\d{1,4})\.(\d{1,4})(?:-(\d{1,6})(?=-|$))?")
_SIZE = re.compile(r"(\d{1,6})x(\d{1,6})")


def parse_version(text: str) -> Version | None:
    """A1111's version: "v1.10.1", "1.6.0", or "v1.7.0-225-gabc123" between releases. None for another program's.

    >>> parse_version("v1.7.0-225-gabc123"), parse_version("f2.0.1v1.10.1-previous-661-g0b261213")
    ((1, 7, 0, 225), None)
    """
    match = _VERSION.match(text)
    if match is None:
        return None
    major, minor, patch, commits = (int(number or 0) for number in match.groups())
    return major, minor, patch, commits


def implied_by_version(fields: Mapping[str, str], prompts: str) -> dict[str, str]:
    """The settings that A1111 switches on to draw an old picture as its version did, under their infotext keys."""
    version = parse_version(fields.get("Version", ""))
    if version is None:
        return {}
    implied = {}
    if version < (1, 6, 0, 0) and "[" in prompts:
        implied["Old prompt editing timelines"] = "True"
    if version < (1, 6, 0, 0) and fields.get("Sampler") in ("DDIM", "PLMS"):
        implied["Pad conds v0"] = "True"
    if version < (1, 7, 0, 225):
        implied["Downcast alphas_cumprod"] = "True"
    if version < (1, 8, 0, 0) and "Refiner" in fields:
        implied["Refiner switch by sampling steps"] = "True"
    return {key: value for key, value in implied.items() if key not in fields}


def updated(fields: Mapping[str, str]) -> dict[str, str]:
    """The fields as a picture of today would write them.

    Before 2023 "Size" was what came out of the hires pass, and "First pass size" what went in; 0x0 meant about as many
    pixels as 512 x 512, each side a multiple of 64.
    """
    new = dict(fields)
    size, first = _size(fields.get("Size")), _size(fields.get("First pass size"))
    if size and first and all(size):
        if not all(first):
            scale = 512 / math.sqrt(size[0] * size[1])
            first = (math.ceil(scale * size[0] / 64) * 64, math.ceil(scale * size[1] / 64) * 64)
        del new["First pass size"]
        new["Size"] = f"{first[0]}x{first[1]}"
        new.setdefault("Hires resize", f"{size[0]}x{size[1]}")
    return new


def hypernetwork_tag(fields: Mapping[str, str]) -> str:
    """What stands in the prompt today for the "Hypernet" field of 2022; "" if there is none."""
    name = fields.get("Hypernet")
    return f"<hypernet:{name}:{fields.get('Hypernet strength', '1.0')}>" if name else ""


def _size(text: str | None) -> tuple[int, int] | None:
    match = _SIZE.fullmatch(text or "")
    return (int(match[1]), int(match[2])) if match else None
