"""A small SQLite file for what can be computed again."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any


class CacheDatabase:
    """May be used from several threads and processes at once.

    It never fails: a database that cannot be written or read (read-only disk, locked, damaged) is as if it were empty, which
    costs its users time but not the answer.
    """

    def __init__(self, path: Path, table: str) -> None:
        self._path = path
        self._table = table

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        try:
            with self._connection() as connection:
                return connection.execute(query, values).fetchall()
        except (sqlite3.Error, OSError):  # see the class
            return []

    def write(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        try:
            with self._connection() as connection, connection:
                connection.executemany(statement, rows)
        except (sqlite3.Error, OSError):  # see the class
            return

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """A connection of its own for each use: rare, cheap beside the work it saves, and needs no lock between threads."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(self._path, timeout=1.0)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(self._table)
            yield connection
