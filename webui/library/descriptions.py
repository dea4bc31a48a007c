"""Descriptions of model files, remembered from one start to the next.

Reading a LoRA's header takes milliseconds, but people have ten thousand of them.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from webui.errors import IncompatibleModel, UnreadableModel, UnsafeModel
from webui.library.cache_database import CacheDatabase
from webui.library.describe import describe
from webui.library.model_file import ModelFile
from webui.library.scan import Found

_TABLE = (
    "CREATE TABLE IF NOT EXISTS descriptions (path TEXT PRIMARY KEY, stamp TEXT NOT NULL, description TEXT NOT NULL)"
)
_BREATH = 0.001  # seconds between two files; reading one keeps Python's other threads, and so the page, from running
_REMEMBERED = ("kind", "family", "layout", "prediction_type", "configs", "native_size", "suggested", "about", "problem")
_ERRORS = {"incompatible": IncompatibleModel, "unsafe": UnsafeModel}


class Descriptions:
    """Describes what was found, opening only files that are new or have changed."""

    def __init__(self, db_path: Path) -> None:
        self._database = CacheDatabase(db_path, _TABLE)

    def remembered(self) -> dict[str, tuple[str, str]]:
        """Everything that is remembered: path -> what it depended on, and the description. For :meth:`of`."""
        rows = self._database.rows("SELECT path, stamp, description FROM descriptions")
        return {str(path): (str(stamp), str(description)) for path, stamp, description in rows}

    def of(
        self,
        all_found: Sequence[Found],
        known: Mapping[Found, ModelFile],
        remembered: Mapping[str, tuple[str, str]],
    ) -> dict[Found, ModelFile]:
        """A description for each; ``known`` are those of the last look. What had to be read is remembered from now on.

        A file that could not be read is tried again each time, because the reason may lie outside it (permissions).
        """
        described: dict[Found, ModelFile] = {}
        fresh: list[tuple[str, str, str]] = []
        for found in all_found:
            file = known.get(found) or _restored(found, remembered.get(str(found.path)))
            if file is None or file.error is UnreadableModel:
                file = describe(found)
                time.sleep(_BREATH)
                if file.error is not UnreadableModel:
                    fresh.append((str(found.path), _stamp(found), _to_json(file)))
            described[found] = file
        if fresh:
            self._database.write("INSERT OR REPLACE INTO descriptions VALUES (?, ?, ?)", fresh)
        return described


def _restored(found: Found, row: tuple[str, str] | None) -> ModelFile | None:
    if row is None or row[0] != _stamp(found):
        return None
    fields: dict[str, Any] = json.loads(row[1])
    error = _ERRORS[fields.pop("error")]
    mtime_ns, size = found.stamp
    return ModelFile(
        name=found.path.stem,
        path=found.path,
        size=size,
        mtime_ns=mtime_ns,
        preview=found.preview,
        error=error,
        **fields,
    )


def _to_json(file: ModelFile) -> str:
    fields = {name: getattr(file, name) for name in _REMEMBERED}
    fields["error"] = next(name for name, error in _ERRORS.items() if error is file.error)
    return json.dumps(fields)


def _stamp(found: Found) -> str:
    """Everything that a description depends on."""
    notes = [(str(path), stamp) for path, stamp in found.notes]
    return f"{_edition()} {found.kind} {found.stamp} {found.sidecar} {found.sidecar_stamp} {notes}"


@cache
def _edition() -> str:
    """Changes with every change to this package, so that an update looks at all files anew."""
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()
