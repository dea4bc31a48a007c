"""How infotexts tell which files a prompt's networks and embeddings were.

    Lora hashes: "castle: 60129e9d06ab, my film: 7437f7a09915"
    Hashes: {"model": "6ce0161689", "lora:castle": "a1b2c3d4e5", "embed:easynegative": "c74b4e810b"}

The first is A1111's, which has "TI hashes" alike; the second is what Civitai reads. Names are as the prompt has them, without
the commas and colons that would break the list.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping

_HASH = re.compile(r"[0-9a-f]{8,64}", re.IGNORECASE)
LORA, EMBEDDING = "lora", "embed"  # the beginnings of keys in "Hashes"


def plain(name: str) -> str:
    """The name as it stands in a list."""
    return name.replace(":", "").replace(",", "").strip()


def write_hashes(hashes: Iterable[tuple[str, str]]) -> str:
    """Names and hashes as one text; what comes twice stands once."""
    return ", ".join(f"{plain(name)}: {hash_}" for name, hash_ in dict.fromkeys(hashes))


def read_hashes(text: str) -> dict[str, str]:
    """Plain names and their hashes. What is no hash is passed over.

    >>> read_hashes("Castle: 60129e9d06ab, My film: none, x: 7437F7A09915")
    {'Castle': '60129e9d06ab', 'x': '7437f7a09915'}
    """
    pairs = (pair.rpartition(":") for pair in text.split(","))
    return {
        name.strip(): hash_.strip().lower()
        for name, _, hash_ in pairs
        if name.strip() and _HASH.fullmatch(hash_.strip())
    }


def from_resources(text: str, kind: str) -> str:
    """What the JSON of "Hashes" says of ``kind`` (LORA, EMBEDDING), as :func:`write_hashes` spells it; "" for anything else."""
    try:
        resources = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(resources, Mapping):
        return ""
    found = [(key.partition(":"), hash_) for key, hash_ in resources.items() if isinstance(hash_, str)]
    return write_hashes(
        (name, hash_) for (prefix, _, name), hash_ in found if prefix == kind and _HASH.fullmatch(hash_)
    )
