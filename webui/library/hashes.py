"""SHA-256 of model files, remembered, because a file of several gigabytes takes many seconds to hash.

The first ten hex digits are the short hash that stands in pictures ("Model hash: 6ce0161689") and after a name in brackets.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from webui.errors import UnreadableModel

_CHUNK = 1 << 20
_TABLE = """CREATE TABLE IF NOT EXISTS hashes
    (path TEXT PRIMARY KEY, mtime_ns INTEGER NOT NULL, size INTEGER NOT NULL, sha256 TEXT NOT NULL)"""


class HashCache:
    """Hashes by (path, time of change, size), in SQLite. May be used from several threads and processes at once.

    A database that cannot be written or read (read-only disk, locked, damaged) costs time, not the answer: the file is then
    hashed each time.
    """

    def __init__(self, database: Path) -> None:
        self._database = database

    def sha256(self, path: Path) -> str:
        """64 hex digits. A file that cannot be read raises ``UnreadableModel``."""
        try:
            before = path.stat()
            known = self.known(path, before.st_mtime_ns, before.st_size)
            if known:
                return known
            digest = _sha256(path)
            after = path.stat()
        except OSError as error:
            raise UnreadableModel(f"{path.name} cannot be read: {error.strerror or error}.") from error
        if (after.st_mtime_ns, after.st_size) == (before.st_mtime_ns, before.st_size):
            self._remember(path, after, digest)
        return digest

    def known(self, path: Path, mtime_ns: int, size: int) -> str:
        """The hash if it has been computed before for the file as it is now, else ""."""
        rows = self._rows(
            "SELECT sha256 FROM hashes WHERE path = ? AND mtime_ns = ? AND size = ?", (str(path), mtime_ns, size)
        )
        return str(rows[0][0]) if rows else ""

    def paths(self, beginning: str) -> set[tuple[str, int, int]]:
        """(path, mtime_ns, size) of the files known to have a hash that begins so; they may have changed since."""
        return set(self._rows("SELECT path, mtime_ns, size FROM hashes WHERE substr(sha256, 1, ?) = ?",
                              (len(beginning), beginning.lower())))  # fmt: skip

    def _remember(self, path: Path, status: os.stat_result, digest: str) -> None:
        try:
            with self._connection() as connection, connection:
                connection.execute(
                    "INSERT OR REPLACE INTO hashes VALUES (?, ?, ?, ?)",
                    (str(path), status.st_mtime_ns, status.st_size, digest),
                )
        except (sqlite3.Error, OSError):  # see the class: works on without remembering
            return

    def _rows(self, query: str, values: tuple[str | int, ...]) -> list[tuple[str, int, int]]:
        try:
            with self._connection() as connection:
                return connection.execute(query, values).fetchall()
        except (sqlite3.Error, OSError):  # see the class: as if nothing were known
            return []

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """A connection of its own for each use: rare, cheap beside hashing, and needs no lock between threads."""
        self._database.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(self._database, timeout=1.0)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(_TABLE)
            yield connection


def legacy_hash(path: Path) -> str:
    """The 8 digits that pictures of 2022 carry: A1111 then hashed only 64 KiB of the file, from 1 MiB on."""
    try:
        with path.open("rb") as file:
            file.seek(0x100000)
            return hashlib.sha256(file.read(0x10000)).hexdigest()[:8]
    except OSError as error:
        raise UnreadableModel(f"{path.name} cannot be read: {error.strerror or error}.") from error


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
