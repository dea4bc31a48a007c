"""The rows of jobs and their pictures.

A write that fails because of the disk is remembered and tried again before the next one, so that a full disk or a lock
held elsewhere costs nothing once its cause has gone. Only :meth:`JobStore.add` is refused outright: a job that is not
durable is not accepted.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from webui.domain.any_request import AnyRequest, from_values, to_values
from webui.domain.events import Saved
from webui.errors import InvalidRequest, StorageFailure
from webui.jobs.database import INDEX_PICTURES, Database
from webui.jobs.job import State

_MOST_DEATHS = 8
_DEADLY = (
    "Lucid died {} times in a row while it drew this job, so it is not run again. Perhaps the system ended it because "
    "memory ran out: try a smaller size or batch."
)

_log = logging.getLogger(__name__)

Statement = tuple[str, Sequence[Any]]


@dataclass(frozen=True)
class StoredJob:
    """A row of the table, with its pictures."""

    id: str
    sequence: int
    owner: str
    kind: str
    request: AnyRequest
    state: State
    resumed: bool
    deaths: int
    created: float
    started: float | None
    finished: float | None
    notices: tuple[str, ...]
    error: str
    pictures: tuple[Saved, ...]


def change_owner(database: Database, owner: str, new_owner: str) -> int:
    """Give all jobs and pictures of ``owner`` to ``new_owner``; returns how many jobs.

    A server that is running keeps the old owner of what it has in memory until it is started again.
    """
    with database.transaction() as connection:
        connection.execute("UPDATE pictures SET owner = ? WHERE owner = ?", (new_owner, owner))
        return connection.execute("UPDATE jobs SET owner = ? WHERE owner = ?", (new_owner, owner)).rowcount


class JobStore:
    """All writing of jobs and pictures goes through here. ``instance`` is the id of the running program."""

    def __init__(self, database: Database, instance: str) -> None:
        self._database = database
        self._instance = instance
        self._lock = threading.Lock()
        self._unwritten: list[Statement] = []

    @property
    def has_unwritten(self) -> bool:
        return bool(self._unwritten)

    def add(self, job_id: str, owner: str, kind: str, request: AnyRequest, created: float) -> StoredJob:
        """Store a waiting job; returns when the disk has it. Raises StorageFailure."""
        insert = (
            "INSERT INTO jobs (id, owner, kind, request, state, instance, created) VALUES (?, ?, ?, ?, 'waiting', ?, ?)"
        )
        values = (job_id, owner, kind, json.dumps(to_values(request)), self._instance, created)
        with self._lock:
            with self._database.transaction() as connection:
                self._catch_up(connection)
                connection.execute(insert, values)
                stored = _stored(connection, job_id)
            self._unwritten = []
        return stored

    def set_started(self, job_id: str, started: float) -> None:
        self._write([("UPDATE jobs SET state = 'running', started = ? WHERE id = ?", (started, job_id))])

    def set_waiting(self, job_id: str) -> None:
        """Back to the front of the queue, to be run again."""
        self._write([("UPDATE jobs SET state = 'waiting', resumed = 1 WHERE id = ?", (job_id,))])

    def set_finished(self, job_ids: Iterable[str], state: State, error: str, finished: float) -> None:
        update = "UPDATE jobs SET state = ?, error = ?, finished = ? WHERE id = ?"
        self._write([(update, (state, error, finished, job_id)) for job_id in job_ids])

    def set_notices(self, job_id: str, notices: Sequence[str]) -> None:
        self._write([("UPDATE jobs SET notices = ? WHERE id = ?", (json.dumps(notices), job_id))])

    def add_picture(self, job_id: str, owner: str, saved: Saved, created: float) -> None:
        insert = (
            "INSERT INTO pictures (job, number, owner, seed, path, infotext, width, height, created) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
        )
        row = (saved.index, owner, saved.seed, saved.path, saved.infotext, saved.width, saved.height, created)
        statements: list[Statement] = [
            (insert, (job_id, *row)),
            ("UPDATE jobs SET deaths = 0 WHERE id = ? AND deaths > 0", (job_id,)),
        ]
        if self._database.full_text:
            statements += [(statement, ()) for statement in INDEX_PICTURES]
        self._write(statements)

    def adopt(self, is_alive: Callable[[str], bool], now: float) -> list[StoredJob]:
        """Take over the unfinished jobs of programs that died: the running ones will be resumed at the front.

        A job fails with a sentence if this version cannot read its request, or if the program died of it too often.
        """
        unfinished = "SELECT id, instance FROM jobs WHERE state IN ('waiting', 'running') ORDER BY sequence"
        take_over = (
            "UPDATE jobs SET instance = ?, resumed = max(resumed, state = 'running'), "
            "deaths = deaths + (state = 'running'), state = 'waiting' WHERE id = ?"
        )
        fail = "UPDATE jobs SET state = 'failed', error = ?, finished = ? WHERE id = ?"
        adopted = []
        with self._lock, self._database.transaction() as connection:
            for job_id, instance in connection.execute(unfinished).fetchall():
                if is_alive(instance):
                    continue
                connection.execute(take_over, (self._instance, job_id))
                try:
                    stored = _stored(connection, job_id)
                except (InvalidRequest, ValueError) as error:
                    sentence = f"The job was stored by another version of Lucid, and this one cannot read it: {error}"
                    connection.execute(fail, (sentence, now, job_id))
                    continue
                if stored.deaths >= _MOST_DEATHS:
                    connection.execute(fail, (_DEADLY.format(stored.deaths), now, job_id))
                else:
                    adopted.append(stored)
        return adopted

    def load(self, job_id: str) -> StoredJob | None:
        """The job of that id, whosesoever; None when there is none."""
        with self._database.reading() as connection:
            exists = connection.execute("SELECT 1 FROM jobs WHERE id = ?", (job_id,)).fetchone()
            return _stored(connection, job_id) if exists else None

    def last_started(self, owners: Iterable[str]) -> Mapping[str, float]:
        """When each of the owners was last served, in unix seconds; who never was is missing."""
        question = "SELECT max(started) FROM jobs WHERE owner = ?"
        with self._database.reading() as connection:
            found = {owner: connection.execute(question, (owner,)).fetchone()[0] for owner in owners}
        return {owner: started for owner, started in found.items() if started is not None}

    def flush(self) -> None:
        """Write what could not be written before."""
        if self._unwritten:
            self._write([])

    def _write(self, statements: Sequence[Statement]) -> None:
        with self._lock:
            try:
                with self._database.transaction() as connection:
                    self._catch_up(connection)
                    for statement, values in statements:
                        connection.execute(statement, values)
            except StorageFailure:
                self._unwritten += statements
                raise
            self._unwritten = []

    def _catch_up(self, connection: sqlite3.Connection) -> None:
        for statement, values in self._unwritten:
            try:
                connection.execute(statement, values)
            except sqlite3.IntegrityError:  # the file was exchanged for another in the meantime
                _log.exception("A late write no longer fits the job database and is dropped: %s", statement)


def _stored(connection: sqlite3.Connection, job_id: str) -> StoredJob:
    row = connection.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone()
    pictures = connection.execute("SELECT * FROM pictures WHERE job = ? ORDER BY number", (job_id,))
    return StoredJob(
        id=row["id"],
        sequence=row["sequence"],
        owner=row["owner"],
        kind=row["kind"],
        request=from_values(row["kind"], json.loads(row["request"])),
        state=row["state"],
        resumed=bool(row["resumed"]),
        deaths=row["deaths"],
        created=row["created"],
        started=row["started"],
        finished=row["finished"],
        notices=tuple(json.loads(row["notices"])),
        error=row["error"],
        pictures=tuple(saved_from_row(picture) for picture in pictures),
    )


def saved_from_row(row: sqlite3.Row) -> Saved:
    """A row of ``pictures`` as the event that made it."""
    return Saved(
        index=row["number"],
        seed=row["seed"],
        path=row["path"],
        infotext=row["infotext"],
        width=row["width"],
        height=row["height"],
    )
