"""What a model file tells people, beside what it tells the engine: words to use it with, a description, who made it.

Four places are read, as far as they are there; what stands first goes before what stands after it:

    name.json                 what a user wrote beside the file, with A1111's keys ("activation text", "preferred weight" ...)
    name.civitai.info         what Civitai says of it ("trainedWords", "baseModel"), saved by helpers of other web UIs
    modelspec.* metadata      the common standard of trainers and the Stability Matrix
    ss_* metadata             kohya's trainer: its name at training, and how often each tag stood in the captions
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from webui.errors import UnreadableModel
from webui.library.formats import read_json
from webui.library.scan import Found

# A1111's keys in name.json, and what they are called here
NOTE_KEYS: Mapping[str, str] = {
    "description": "description",
    "sd version": "base",
    "activation text": "activation_text",
    "negative text": "negative_text",
    "preferred weight": "preferred_weight",
    "notes": "notes",
}
_MOST_TAGS, _MOST_WORDS, _LONGEST_LINE, _LONGEST_TEXT = 24, 40, 200, 4000
_KOHYA_SILENT = ("", "None", "last")  # names that say nothing


def about(found: Found, metadata: Mapping[str, str]) -> dict[str, Any]:
    """What is there of: ``alias`` (its name at training), ``tensor_hash`` (as the trainer computed it), ``title``, ``author``,
    ``base`` (the model it was made for, in the words of its source), ``words`` (that trigger it), ``tags`` (of its training
    pictures, with their counts), ``civitai_version`` (its number there), ``description``, and the user's
    ``activation_text``, ``negative_text``, ``preferred_weight`` and ``notes``.
    """
    told = {**_from_metadata(metadata)}
    for path, _ in reversed(found.notes):
        told |= from_notes(path)
    return {key: value for key, value in told.items() if value}


def from_notes(path: Path) -> dict[str, Any]:
    """What a file beside the model says, whichever program wrote it; one that cannot be read says nothing."""
    try:
        content = read_json(path)
    except UnreadableModel:
        return {}
    told: dict[str, Any] = {"words": _words(content.get("trainedWords") or content.get("TrainedWords"))}
    for key in ("baseModel", "BaseModel", *(key for key, name in NOTE_KEYS.items() if name == "base")):
        told["base"] = _line(content.get(key)) or told.get("base", "")
    version = content.get("id") if "modelId" in content else content.get("VersionId")
    told["civitai_version"] = version if type(version) is int else 0
    told["title"] = _line(_inner(content, "model").get("name") or content.get("ModelName"))
    for key, name in NOTE_KEYS.items():
        if name == "preferred_weight":
            told[name] = _number(content.get(key))
        elif name != "base":
            told[name] = _text(content.get(key))
    if not told["description"]:
        told["description"] = _text(
            re.sub(r"<[^>]{0,500}>", " ", str(_inner(content, "model").get("description") or ""))
        )
    return {key: value for key, value in told.items() if value}


def _from_metadata(metadata: Mapping[str, str]) -> dict[str, Any]:
    digest = metadata.get("sshs_model_hash", "")
    name = _line(metadata.get("ss_output_name"))
    return {
        "alias": "" if name in _KOHYA_SILENT else name,
        "tensor_hash": digest.lower() if re.fullmatch(r"[0-9a-fA-F]{64}", digest) else "",
        "title": _line(metadata.get("modelspec.title")),
        "author": _line(metadata.get("modelspec.author")),
        "base": _line(metadata.get("modelspec.architecture") or metadata.get("ss_base_model_version")),
        "words": _words(metadata.get("modelspec.trigger_phrase")),
        "tags": _tags(metadata.get("ss_tag_frequency", "")),
        "description": _text(metadata.get("modelspec.description")),
    }


def _tags(text: str) -> list[list[Any]]:
    """The most frequent tags of all the trainer's folders: {"10_castle": {"castle": 20, "sky": 12}}."""
    try:
        folders = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return []
    counts: Counter[str] = Counter()
    for tags in folders.values() if isinstance(folders, dict) else ():
        for tag, count in tags.items() if isinstance(tags, dict) else ():
            if type(count) is int and 0 < count < 2**31 and _line(tag):
                counts[_line(tag)] += count
    return [[tag, count] for tag, count in counts.most_common(_MOST_TAGS)]


def _words(value: Any) -> list[str]:
    """Trigger words as a list, from a list or from one text with commas."""
    parts: Iterable[Any] = value if isinstance(value, list) else [value]
    return list(dict.fromkeys(_lines(parts)))[:_MOST_WORDS]


def _lines(parts: Iterable[Any]) -> Iterator[str]:
    for part in parts:
        line = _line(part).strip(" ,")
        if line:
            yield line


def _inner(content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = content.get(key)
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> float:
    """A weight; 0 is A1111's for none."""
    return float(value) if type(value) in (int, float) and -100 < value < 100 else 0.0


def _line(value: Any) -> str:
    return " ".join(value[:_LONGEST_LINE].split()).encode(errors="replace").decode() if isinstance(value, str) else ""


def _text(value: Any) -> str:
    """As it stands, cut, and without what cannot be shown or stored (half a surrogate pair)."""
    return value[:_LONGEST_TEXT].strip().encode(errors="replace").decode() if isinstance(value, str) else ""
