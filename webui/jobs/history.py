"""What was made: pictures of finished and running jobs, searchable by words of their infotext."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from webui.domain.any_request import AnyRequest, from_values
from webui.domain.events import Saved
from webui.errors import InvalidRequest
from webui.jobs.database import Database
from webui.jobs.outputs import Outputs
from webui.jobs.store import saved_from_row

# Scripts that put no space between words: FTS5 takes a whole run of them for one word, so they are looked for as text.
_SPACELESS = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")

_MOST_WORDS = 50  # of a search; SQLite bounds how deep an expression may be


@dataclass(frozen=True)
class MadePicture:
    """A picture of the past.

    ``request`` draws this picture alone; it is None when it was stored by another version of Lucid whose parameters this
    one cannot read (the infotext remains). ``missing``: its file has been moved or removed. ``created`` is in unix seconds.
    """

    saved: Saved
    request: AnyRequest | None
    job: str
    owner: str
    kind: str
    created: float
    missing: bool


class History:
    """Reads the database of the queue over a connection of its own. ``full_text=False``: see ``Database``."""

    def __init__(self, database_path: Path, outputs: Outputs, *, full_text: bool = True) -> None:
        self._database = Database(database_path, full_text=full_text)
        self._outputs = outputs

    def search(
        self,
        owner: str | None,
        text: str = "",
        limit: int = 50,
        offset: int = 0,
        since: float | None = None,
        until: float | None = None,
    ) -> list[MadePicture]:
        """Pictures of the owner (None: of all), newest first, whose infotext holds every word of ``text``.

        Words match beginnings of words, in any case and order; only the first 50 count. ``since`` <= created < ``until``,
        in unix seconds.
        """
        with self._database.reading() as connection:
            condition, values = self._condition(owner, text, since, until)
            rows = connection.execute(
                "SELECT pictures.*, jobs.request, jobs.kind FROM pictures JOIN jobs ON jobs.id = pictures.job "
                f"WHERE {condition} ORDER BY pictures.id DESC LIMIT ? OFFSET ?",
                (*values, limit, offset),
            ).fetchall()
        return [self._made(row) for row in rows]

    def count(self, owner: str | None, text: str = "", since: float | None = None, until: float | None = None) -> int:
        """How many pictures :meth:`search` would find without a limit."""
        with self._database.reading() as connection:
            condition, values = self._condition(owner, text, since, until)
            found = connection.execute(f"SELECT count(*) FROM pictures WHERE {condition}", values)
            return int(found.fetchone()[0])

    def made(self, owner: str, path: str) -> bool:
        """Whether the owner made the picture of that path (relative to outputs)."""
        question = "SELECT 1 FROM pictures WHERE path = ? AND owner = ?"
        with self._database.reading() as connection:
            return connection.execute(question, (path, owner)).fetchone() is not None

    def close(self) -> None:
        self._database.close()

    def _condition(
        self, owner: str | None, text: str, since: float | None, until: float | None
    ) -> tuple[str, Sequence[Any]]:
        """An SQL condition on ``pictures`` and its values. Call while connected: whether there is FTS5 is known then."""
        conditions: list[tuple[str, Any]] = []
        if owner is not None:
            conditions.append(("pictures.owner = ?", owner))
        if since is not None:
            conditions.append(("pictures.created >= ?", since))
        if until is not None:
            conditions.append(("pictures.created < ?", until))
        indexed = []
        for word in text.encode("utf-8", "replace").decode("utf-8").replace("\0", " ").split()[:_MOST_WORDS]:
            # punctuation alone is no word to FTS5
            if self._database.full_text and re.search(r"\w", word) and not _SPACELESS.search(word):
                indexed.append('"{}"*'.format(word.replace('"', '""')))
            else:
                escaped = re.sub(r"([\\%_])", r"\\\1", word)
                conditions.append((r"pictures.infotext LIKE ? ESCAPE '\'", f"%{escaped}%"))
        if indexed:
            match = "pictures.id IN (SELECT rowid FROM picture_text WHERE picture_text MATCH ?)"
            conditions.append((match, " ".join(indexed)))
        if not conditions:
            return "true", ()
        texts, values = zip(*conditions, strict=True)
        return " AND ".join(texts), values

    def _made(self, row: Any) -> MadePicture:
        saved = saved_from_row(row)
        try:
            request: AnyRequest | None = from_values(row["kind"], json.loads(row["request"])).picture(saved.index)
        except InvalidRequest:
            request = None
        return MadePicture(
            saved=saved,
            request=request,
            job=row["job"],
            owner=row["owner"],
            kind=row["kind"],
            created=row["created"],
            missing=not self._outputs.holds(saved.path),
        )
