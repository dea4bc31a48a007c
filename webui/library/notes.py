"""What users write about a model file: ``name.json`` beside it, with A1111's keys, so that both programs read the same notes.

{"description": "", "sd version": "SD1", "activation text": "castle", "preferred weight": 0.8, "negative text": "", "notes": ""}
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from webui.errors import InvalidRequest, NotAllowed, StorageFailure, UnreadableModel
from webui.library.about import NOTE_KEYS
from webui.library.formats import read_json
from webui.library.scan import Found

_LONGEST = 20_000  # letters of one note
_HEAVIEST = 10.0


def write_notes(found: Found, values: Mapping[str, Any]) -> Path:
    """Write ``values`` (by the names that ``about`` has for them) into the file's notes; other keys there stay as they are.

    Raises ``InvalidRequest`` for what is no note, ``NotAllowed`` where the file cannot have notes or has some that cannot be
    read, ``StorageFailure`` where they cannot be written.
    """
    path = beside(found, ".json")
    content: dict[str, Any] = {}
    if path.exists():
        try:
            content = read_json(path)
        except UnreadableModel as error:
            raise NotAllowed(f"{error} It is left as it is; mend it or move it away first.") from error
    keys = {name: key for key, name in NOTE_KEYS.items()}
    for name, value in values.items():
        if name not in keys:
            raise InvalidRequest(f'There is no note called "{name}".')
        content[keys[name]] = _weight(value) if name == "preferred_weight" else _text(name, value)
    write_beside(path, json.dumps(content, indent=4, ensure_ascii=False).encode() + b"\n")
    return path


def beside(found: Found, suffix: str) -> Path:
    """The file of that suffix beside a model file, where programs look for it."""
    if found.is_folder:
        raise NotAllowed(
            f"{found.path.name} is a model in diffusers layout; notes and previews lie beside single files only."
        )
    return found.path.with_name(found.path.name.rpartition(".")[0] + suffix)


def write_beside(path: Path, data: bytes) -> None:
    """Write it whole or not at all. A link of that name is replaced, not followed."""
    try:
        handle, unfinished = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(unfinished, 0o644)  # noqa: PTH101  # mkstemp makes it private
            os.replace(unfinished, path)  # noqa: PTH105
        except BaseException:
            Path(unfinished).unlink(missing_ok=True)
            raise
    except OSError as error:
        reason = error.strerror or error
        raise StorageFailure(f"{path.name} cannot be written into the folder {path.parent.name}: {reason}.") from error


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST:
        raise InvalidRequest(f"The {name.replace('_', ' ')} must be a text of at most {_LONGEST:,} letters.")
    return value.strip().encode(errors="replace").decode()


def _weight(value: Any) -> float | int:
    """0 is A1111's for none."""
    try:
        weight = float(str(value).strip().replace(",", ".") or 0)
    except ValueError:
        weight = float("nan")
    if not -_HEAVIEST <= weight <= _HEAVIEST:
        raise InvalidRequest(f"The preferred weight must be a number from {-_HEAVIEST:g} to {_HEAVIEST:g}, or empty.")
    return int(weight) if weight.is_integer() else weight
