"""The SQLite file that jobs and history live in: opening, schema, transactions, and faults as sentences.

Durability: write-ahead logging with ``synchronous=FULL``. With WAL, what a commit has written survives the death of the
process at any synchronous level, because it is then in the operating system's hands; FULL also waits for the disk, so that
a committed job survives a power cut. Readers never block the writer.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from webui.errors import StorageFailure

# One tuple of statements for each schema version; PRAGMA user_version counts those that have run. Only ever append.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE jobs (
            sequence  INTEGER PRIMARY KEY AUTOINCREMENT,  -- order of arrival
            id        TEXT NOT NULL UNIQUE,
            owner     TEXT NOT NULL,
            kind      TEXT NOT NULL,
            request   TEXT NOT NULL,                      -- JSON of domain.request.to_dict; never changed
            state     TEXT NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'stopped', 'failed')),
            resumed   INTEGER NOT NULL DEFAULT 0,         -- 1: was interrupted, goes to the front
            instance  TEXT NOT NULL,                      -- the running program that answers for it
            created   REAL NOT NULL,                      -- unix seconds
            started   REAL,
            finished  REAL,
            notices   TEXT NOT NULL DEFAULT '[]',         -- JSON list of sentences
            error     TEXT NOT NULL DEFAULT ''
        )
        """,
        "CREATE INDEX unfinished_jobs ON jobs (state) WHERE state IN ('waiting', 'running')",
        "CREATE INDEX jobs_by_owner ON jobs (owner, started)",
        """
        CREATE TABLE pictures (
            id        INTEGER PRIMARY KEY,
            job       TEXT NOT NULL REFERENCES jobs (id),
            number    INTEGER NOT NULL,                   -- index within the job
            owner     TEXT NOT NULL,
            seed      INTEGER NOT NULL,
            path      TEXT NOT NULL,                      -- relative to the outputs folder
            infotext  TEXT NOT NULL,
            width     INTEGER NOT NULL,
            height    INTEGER NOT NULL,
            created   REAL NOT NULL,
            indexed   INTEGER NOT NULL DEFAULT 0,         -- 1: is in picture_text
            UNIQUE (job, number)
        )
        """,
        "CREATE INDEX pictures_by_owner ON pictures (owner, id)",
        "CREATE INDEX pictures_by_path ON pictures (path)",
        "CREATE INDEX pictures_not_indexed ON pictures (id) WHERE indexed = 0",
    ),
    # deaths: how often the program died while the job ran, since it last saved a picture
    ("ALTER TABLE jobs ADD COLUMN deaths INTEGER NOT NULL DEFAULT 0",),
)

# Full-text search stands outside the migrations: a file may be opened by turns with and without FTS5.
_CREATE_TEXT_INDEX = (
    "CREATE VIRTUAL TABLE IF NOT EXISTS picture_text USING fts5(infotext, content='pictures', content_rowid='id')"
)
INDEX_PICTURES: tuple[str, ...] = (
    "INSERT INTO picture_text (rowid, infotext) SELECT id, infotext FROM pictures WHERE indexed = 0",
    "UPDATE pictures SET indexed = 1 WHERE indexed = 0",
)

_ADVICE = (  # part of SQLite's message -> what to do about it
    ("locked", "Another program holds it; close that program and try again."),
    ("readonly", "Allow writing to the file and its folder, and try again."),
    ("full", "The disk is full; free some space and try again."),
    ("disk I/O", "See that its disk has room and works."),
    ("unable to open", "See that its folder exists and may be written."),
    ("not a database", "It is damaged; move it away to start with an empty one."),
    ("malformed", "It is damaged; move it away to start with an empty one."),
)


class Database:
    """One connection, opened at first use and again after a fault; may be used from any thread, one at a time.

    ``busy_seconds``: how long to wait for another program's lock. ``full_text=False`` does without FTS5, as an SQLite
    built without it must.
    """

    def __init__(
        self,
        path: Path,
        *,
        busy_seconds: float = 5.0,
        full_text: bool = True,
        migrations: Sequence[Sequence[str]] = MIGRATIONS,
        name: str = "job database",
    ) -> None:
        self.path = path
        self.name = name  # for the sentences about its faults
        self._busy_seconds = busy_seconds
        self.full_text = full_text
        self._migrations = migrations
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._closed = False

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A write transaction: commits at the end, rolls back on any error. SQLite's faults become StorageFailure."""
        with self._translated() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        with self._translated() as connection:
            yield connection

    def close(self) -> None:
        """Close for good; later use raises StorageFailure."""
        with self._lock:
            self._closed = True
            self._disconnect()

    @contextlib.contextmanager
    def _translated(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._connected()
            except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
                raise  # a mistake of ours, not the disk's
            except sqlite3.DatabaseError as error:
                # A connection keeps some faults (a file that was read-only when it was opened): begin anew next time.
                self._disconnect()
                advice = next((advice for part, advice in _ADVICE if part in str(error)), "Check the disk.")
                raise StorageFailure(f"The {self.name} {self.path} cannot be used: {error}. {advice}") from error

    def _connected(self) -> sqlite3.Connection:
        if self._closed:
            raise StorageFailure(f"The {self.name} {self.path} is closed, because Lucid is shutting down.")
        if self._connection is None:
            self._connection = self._open()
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> sqlite3.Connection:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageFailure(
                f"The folder {self.path.parent} for the {self.name} cannot be made: {error.strerror}. "
                "Choose another data folder with --data-dir."
            ) from error
        connection = sqlite3.connect(
            self.path, timeout=self._busy_seconds, isolation_level=None, check_same_thread=False
        )
        try:
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            self._migrate(connection)
            self.full_text = self.full_text and _has_fts5(connection)
            if self.full_text:
                _index_the_rest(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _migrate(self, connection: sqlite3.Connection) -> None:
        version = _schema_version(connection)
        if version == len(self._migrations):
            return
        if version > len(self._migrations):
            raise StorageFailure(
                f"The {self.name} {self.path} was written by a newer Lucid (schema {version}; this one knows "
                f"{len(self._migrations)}). Update Lucid, or choose another data folder with --data-dir."
            )
        if version:
            self._back_up(connection, version)
        connection.execute("BEGIN IMMEDIATE")
        try:
            # asked again: another process may have migrated while this one waited for the lock
            for number in range(_schema_version(connection), len(self._migrations)):
                for statement in self._migrations[number]:
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {len(self._migrations)}")
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise

    def _back_up(self, connection: sqlite3.Connection, version: int) -> None:
        copy = sqlite3.connect(self.path.with_name(f"{self.path.name}.schema-{version}"))
        try:
            connection.backup(copy)
        finally:
            copy.close()


def _schema_version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _index_the_rest(connection: sqlite3.Connection) -> None:
    """Index what was stored without FTS5. Writes only if something is missing, as a write waits for others."""
    exists = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'picture_text'").fetchone()
    if exists and not connection.execute("SELECT 1 FROM pictures WHERE indexed = 0 LIMIT 1").fetchone():
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in (_CREATE_TEXT_INDEX, *INDEX_PICTURES):
            connection.execute(statement)
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _has_fts5(connection: sqlite3.Connection) -> bool:
    try:
        connection.execute("CREATE VIRTUAL TABLE temp.fts5_probe USING fts5(text)")
    except sqlite3.OperationalError:  # no such module
        return False
    connection.execute("DROP TABLE temp.fts5_probe")
    return True
