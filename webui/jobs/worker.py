"""One thread for each device: it loads the engine, then takes jobs and pulls them through, one after another."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Literal

from webui.domain.events import JobEvent, Saved
from webui.errors import WebUIError
from webui.jobs.job import Assignment
from webui.jobs.queue import JobQueue

INTERNAL_ERROR = "Internal error, which is a fault of Lucid and not yours: see the log for what happened."

Run = Callable[[Assignment], Generator[JobEvent, None, None]]
"""Runs a job: yields what happens, and is closed to stop it."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WorkerStatus:
    """``text`` is for the user: what it is doing, or why it cannot start."""

    state: Literal["starting", "ready", "failed", "closed"]
    text: str


class Worker:
    """``make_run`` is called in the thread: whatever takes long to import or to load is loaded there."""

    def __init__(
        self,
        name: str,
        queue: JobQueue,
        make_run: Callable[[], Run],
        starting: str = "Loading torch and diffusers",
    ) -> None:
        self.name = name
        self._queue = queue
        self._make_run = make_run
        self._run: Run | None = None
        self._status = WorkerStatus("starting", starting)
        self._closing = threading.Event()
        self._errands: SimpleQueue[Callable[[], None]] = SimpleQueue()
        # Not a daemon: at exit it must put its job back and let go of the database.
        self._thread = threading.Thread(target=self._work, name=f"worker-{name}")

    @property
    def status(self) -> WorkerStatus:
        return self._status

    def start(self) -> None:
        self._queue.join(self.name)
        self._thread.start()

    def ask(self, errand: Callable[[], None]) -> None:
        """Have the thread do something before its next job: what it has loaded is its own, and no other thread's."""
        self._errands.put(errand)
        self._queue.wake()

    def ask_to_close(self) -> None:
        """Begin to close: the running job is parked after its current step, to be run again later."""
        self._closing.set()
        self._queue.wake()

    def close(self) -> None:
        """Close, and wait until the thread has ended."""
        self.ask_to_close()
        if self._thread.ident is not None:
            self._thread.join()
        self._status = WorkerStatus("closed", "Closed")

    def _work(self) -> None:
        if error := self._failure(self._load):
            self._status = WorkerStatus("failed", error)
            self._queue.give_up(self.name, error)
            return
        self._status = WorkerStatus("ready", "Ready")
        while (assignment := self._next()) is not None:
            self._serve(assignment)

    def _next(self) -> Assignment | None:
        """The next job, after all errands; None when there will be none."""
        while True:
            while not self._errands.empty():
                self._failure(self._errands.get())
            assignment = self._queue.take(self.name, lambda: self._closing.is_set() or not self._errands.empty())
            if assignment is not None or self._closing.is_set() or self._errands.empty():
                return assignment

    def _load(self) -> None:
        self._run = self._make_run()

    def _serve(self, assignment: Assignment) -> None:
        saved = set(assignment.done)
        error = self._failure(lambda: self._pull(assignment, saved))
        if error:
            self._queue.finish(assignment.id, "failed", error)
        elif assignment.stop.is_set() and len(saved) < assignment.request.picture_count:
            self._queue.finish(assignment.id, "stopped")
        elif self._closing.is_set() and len(saved) < assignment.request.picture_count:
            self._queue.park(assignment.id)
        else:
            self._queue.finish(assignment.id, "done")

    def _pull(self, assignment: Assignment, saved: set[int]) -> None:
        """Run the job until it ends, or until its owner or the program wants it to stop."""
        assert self._run is not None
        with contextlib.closing(self._run(assignment)) as events:
            while not assignment.stop.is_set() and not self._closing.is_set():
                event = next(events, None)
                if event is None:
                    return
                if isinstance(event, Saved):
                    saved.add(event.index)
                self._queue.report(assignment.id, event)

    def _failure(self, action: Callable[[], None]) -> str:
        """Do it; the sentence for the user if it failed, else nothing."""
        try:
            action()
        except WebUIError as error:
            return str(error)
        except Exception:  # noqa: BLE001 - the one place: a bug in one job must not take the others with it
            _log.exception("Worker %s: internal error", self.name)
            return INTERNAL_ERROR
        return ""
