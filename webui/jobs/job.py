"""A job as its owner sees it: a snapshot, and a handle that watches, stops and skips."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from webui.domain.any_request import AnyRequest
from webui.domain.events import Loading, Saved, Step

State = Literal["waiting", "running", "done", "stopped", "failed"]


@dataclass(frozen=True)
class JobSnapshot:
    """One moment of a job.

    ``place`` is 0 while it runs and after, 1 for the next to run, and so on. ``eta`` is in seconds until it is done, None
    while nothing has been measured. Times are unix seconds. ``version`` grows with every change; ``preview_number`` with
    every preview (0 = none yet).
    """

    id: str
    owner: str
    kind: str
    request: AnyRequest
    state: State
    place: int
    eta: float | None
    created: float
    started: float | None
    finished: float | None
    loading: Loading | None
    step: Step | None
    steps_per_second: float
    preview_number: int
    pictures: tuple[Saved, ...]
    notices: tuple[str, ...]
    error: str
    version: int

    @property
    def is_final(self) -> bool:
        return self.state in ("done", "stopped", "failed")


class Keeper(Protocol):
    """Who keeps the jobs: the queue."""

    def snapshot(self, job_id: str) -> JobSnapshot: ...

    def next_change(self, job_id: str, version: int, timeout: float | None) -> JobSnapshot | None:
        """Wait until the job's version differs. None: the queue was closed, and no change will come."""

    def preview(self, job_id: str) -> bytes | None: ...
    def stop(self, job_id: str) -> None: ...
    def skip(self, job_id: str) -> None: ...


class Job:
    """A job by its id. Plain to copy and to hold; several may stand for the same job."""

    def __init__(self, job_id: str, keeper: Keeper) -> None:
        self.id = job_id
        self._keeper = keeper

    def snapshot(self) -> JobSnapshot:
        return self._keeper.snapshot(self.id)

    def events(self, heartbeat: float | None = None) -> Iterator[JobSnapshot]:
        """The current state at once, then the newest state after each change; ends with the final one.

        A watcher who is slow misses what lies between, and delays nobody. With ``heartbeat`` (seconds) the last snapshot
        comes again when nothing has changed for so long, which lets a server notice that its client is gone. Ends early
        when the queue is closed.
        """
        snapshot: JobSnapshot | None = self._keeper.snapshot(self.id)
        while snapshot is not None:
            yield snapshot
            if snapshot.is_final:
                return
            snapshot = self._keeper.next_change(self.id, snapshot.version, heartbeat)

    def wait(self) -> JobSnapshot:
        """The final snapshot (or the last one before the queue was closed)."""
        *_, last = self.events()
        return last

    def preview(self) -> bytes | None:
        """The newest preview as JPEG bytes; None before the first one and after the end."""
        return self._keeper.preview(self.id)

    def stop(self) -> None:
        """Do not go on. Pictures already finished are kept. Stopping a finished job changes nothing."""
        self._keeper.stop(self.id)

    def skip(self) -> None:
        """Leave the batch that is being drawn and go on with the next."""
        self._keeper.skip(self.id)


@dataclass(frozen=True)
class Assignment:
    """A job as its worker sees it. ``done`` are the indexes of pictures that an earlier run has saved.

    ``stop`` and ``skip`` are set by the owner and looked at between two steps; nobody is interrupted.
    """

    id: str
    owner: str
    kind: str
    request: AnyRequest
    done: frozenset[int]
    stop: threading.Event
    skip: threading.Event
