"""The durable, fair queue of jobs, and what watchers see of them.

Two places hold the truth, each its part. SQLite holds what must outlive the process: jobs, states, pictures, notices,
errors. Memory holds the order of the waiting and the live progress of the running. The lock guards memory only and is
never held while the disk is waited for, so a slow disk delays no watcher.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from pathlib import Path

from webui.domain.any_request import AnyRequest
from webui.domain.events import JobEvent, Notice, Saved
from webui.errors import JobNotFound, NotAllowed, StorageFailure
from webui.jobs.admission import Admission, Limits
from webui.jobs.database import Database
from webui.jobs.instance import Instance
from webui.jobs.job import Assignment, Job, JobSnapshot, State
from webui.jobs.line import Line
from webui.jobs.record import Record
from webui.jobs.store import JobStore, StoredJob

_FINISHED_KEPT = 200  # finished jobs that stay in memory, to spare their watchers the disk

_log = logging.getLogger(__name__)


class JobQueue:
    """All jobs of one data folder that this program answers for.

    Front ends submit and look up; a :class:`Job` watches and stops through ``snapshot`` ... ``skip``; workers take, report
    and finish. At start the jobs that a dead program left are adopted: what it was running goes to the front and is run
    again from its seed, without the pictures that are saved already. ``adopt=False`` leaves them to another (the command
    line draws only its own). ``busy_seconds`` is how long a write waits while another program locks the database.
    """

    def __init__(
        self,
        database_path: Path,
        *,
        adopt: bool = True,
        limits: Limits | None = None,
        busy_seconds: float = 5.0,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._admission = Admission(limits or Limits(), clock)
        self._now = now
        self._lock = threading.RLock()
        self._work = threading.Condition(self._lock)  # there is something to take, or a reason not to wait for it
        self._clock = clock
        self._line = Line(clock)
        self._records: dict[str, Record] = {}
        self._finished: deque[str] = deque()
        self._tally: Counter[str] = Counter()
        self._broken = ""
        self._closed = False
        self._instance = Instance(database_path.parent / "instances")
        self._database = Database(database_path, busy_seconds=busy_seconds)
        self._store = JobStore(self._database, self._instance.id)
        try:
            if adopt:
                self._adopt()
        except BaseException:
            self.close()
            raise

    def submit(self, request: AnyRequest, owner: str = "local", kind: str = "txt2img") -> Job:
        """A new job, on disk before this returns. Raises StorageFailure, or TooManyRequests when too many wait or come at once."""
        with self._lock:
            if self._closed:
                raise NotAllowed("Lucid is shutting down and takes no more jobs.")
            self._admission.admit(owner, Counter(record.owner for record in self._line.waiting))
        try:
            stored = self._store.add(secrets.token_hex(8), owner, kind, request, self._now())
        finally:
            with self._lock:
                self._admission.arrived(owner)
        self._enqueue([stored])
        if self._broken:
            self._finish_waiting(lambda record: True, "failed", self._broken)
        return Job(stored.id, self)

    def job(self, job_id: str, owner: str | None = None) -> Job:
        """A job of this owner (None: of anybody), however old. Raises JobNotFound."""
        record = self._record(job_id)
        if owner is not None and record.owner != owner:
            raise _not_found(job_id)
        return Job(job_id, self)

    def jobs(self, owner: str | None = None) -> list[Job]:
        """Running and waiting jobs, of this owner or of all: those that run, then the others in turn."""
        with self._lock:
            running = [record for record in self._records.values() if record.state == "running"]
            unfinished = sorted(running, key=lambda record: record.sequence) + self._line.waiting
            return [Job(record.id, self) for record in unfinished if owner is None or record.owner == owner]

    def stop_waiting(self, owner: str | None = None) -> int:
        """Stop all waiting jobs of the owner (None: of all). How many there were."""
        return self._finish_waiting(lambda record: owner is None or record.owner == owner, "stopped")

    def tally(self) -> Counter[str]:
        """How many jobs ended since the start, by state, and how many "pictures" were saved."""
        with self._lock:
            return self._tally.copy()

    def snapshot(self, job_id: str) -> JobSnapshot:
        record = self._record(job_id)
        with self._lock:
            return record.snapshot(self._line.eta(record))

    def next_change(self, job_id: str, version: int, timeout: float | None) -> JobSnapshot | None:
        record = self._record(job_id)
        with self._lock:
            record.changed.wait_for(lambda: self._closed or record.is_final or record.version != version, timeout)
            if self._closed and record.version == version:
                return None
            return record.snapshot(self._line.eta(record))

    def preview(self, job_id: str) -> bytes | None:
        record = self._record(job_id)
        with self._lock:
            return record.progress.preview or None if record.progress is not None else None

    def stop(self, job_id: str) -> None:
        if not self._finish_waiting(lambda record: record.id == job_id, "stopped"):
            self._record(job_id).stop.set()  # harmless once it is final

    def skip(self, job_id: str) -> None:
        self._record(job_id).skip.set()

    def join(self, worker: str) -> None:
        """A worker will take jobs; each shortens the time that the others wait."""
        with self._lock:
            self._line.workers.add(worker)

    def take(self, worker: str, closing: Callable[[], bool] = lambda: False) -> Assignment | None:
        """The next job, for this worker alone. Waits for one; None when the queue or the worker closes."""
        with self._lock:
            self._work.wait_for(lambda: self._line.waiting or self._closed or closing())
            if self._closed or closing():
                return None
            record = self._line.take()
            record.state, record.started = "running", self._now()
            record.touch()
            assignment, started = record.assignment(), record.started
        self._write(record, lambda: self._store.set_started(record.id, started))
        _log.info("%s runs job %s", worker, record.id)
        return assignment

    def report(self, job_id: str, event: JobEvent) -> None:
        """Something has happened in a running job."""
        record = self._records[job_id]
        if isinstance(event, Saved):
            self._write(record, lambda: self._store.add_picture(job_id, record.owner, event, self._now()))
        with self._lock:
            if isinstance(event, Saved):
                record.pictures[event.index] = event
                self._tally["pictures"] += 1
            if record.progress is not None:
                record.progress.follow(event, self._clock())
            is_news = not isinstance(event, Notice) or record.add_notice(event.text)
            if is_news:
                record.touch()
            notices = tuple(record.notices)
        if isinstance(event, Notice) and is_news:
            self._write(record, lambda: self._store.set_notices(job_id, notices))

    def finish(self, job_id: str, state: State, error: str = "") -> None:
        """A running job has come to its end."""
        record, finished = self._records[job_id], self._now()
        self._write(record, lambda: self._store.set_finished([job_id], state, error, finished))
        with self._lock:
            self._line.leave(record, finished=state == "done")
            self._end(record, state, error, finished)

    def park(self, job_id: str) -> None:
        """A running job goes back to the front, to be run again; its saved pictures are kept."""
        record = self._records[job_id]
        self._write(record, lambda: self._store.set_waiting(job_id))
        with self._lock:
            self._line.leave(record, finished=False)
            record.state, record.resumed, record.progress = "waiting", True, None
            record.touch()
            self._line.add([record])
            self._work.notify_all()

    def give_up(self, worker: str, error: str) -> None:
        """A worker cannot start. When none is left, all jobs fail with its sentence instead of waiting for ever."""
        with self._lock:
            self._line.workers.discard(worker)
            if self._line.workers:
                return
            self._broken = error
        self._finish_waiting(lambda record: True, "failed", error)

    def wake(self) -> None:
        """Let workers that wait in ``take`` ask whether they are closing."""
        with self._lock:
            self._work.notify_all()

    def will_draw(self, job_id: str, index: int) -> bool:
        """Whether picture ``index`` of an unfinished job is still to be drawn, so that traces of it are half-done work."""
        with self._lock:
            record = self._records.get(job_id)
            return record is not None and not record.is_final and index not in record.pictures

    def close(self) -> None:
        """Let go of the database. Close the workers first; what waits is taken up at the next start."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._work.notify_all()
            for record in self._records.values():
                record.changed.notify_all()
        try:
            self._store.flush()
        except StorageFailure as error:
            _log.error("The last changes to jobs are not stored. %s", error)
        self._database.close()
        self._instance.close()

    def _adopt(self) -> None:
        adopted = self._store.adopt(self._instance.is_alive, self._now())
        self._instance.forget_dead()
        if adopted:
            _log.info("%d unfinished jobs of an earlier run are taken up again", len(adopted))
        self._line.remember_turns(self._store.last_started({stored.owner for stored in adopted}))
        self._enqueue(adopted)

    def _enqueue(self, stored: Sequence[StoredJob]) -> None:
        with self._lock:
            records = [Record(job, self._lock) for job in stored]
            self._records.update({record.id: record for record in records})
            self._line.add(records)
            self._work.notify_all()

    def _finish_waiting(self, wanted: Callable[[Record], bool], state: State, error: str = "") -> int:
        finished = self._now()
        with self._lock:
            leaving = self._line.withdraw(wanted)
            for record in leaving:
                self._end(record, state, error, finished)
        if leaving:
            ids = [record.id for record in leaving]
            self._write(leaving[0], lambda: self._store.set_finished(ids, state, error, finished))
        return len(leaving)

    def _end(self, record: Record, state: State, error: str, finished: float) -> None:
        record.end(state, error, finished)
        self._tally[state] += 1
        self._finished.append(record.id)
        # what could not be written yet can be told from memory only
        while len(self._finished) > _FINISHED_KEPT and not self._store.has_unwritten:
            del self._records[self._finished.popleft()]

    def _write(self, record: Record, write: Callable[[], None]) -> None:
        """Write to the database. If it fails the job goes on: its owner is told, and the store tries again later."""
        try:
            write()
        except StorageFailure as error:
            _log.error("Job %s: %s", record.id, error)
            with self._lock:
                if record.add_notice(f"Not stored yet. {error}"):
                    record.touch()

    def _record(self, job_id: str) -> Record:
        with self._lock:
            record = self._records.get(job_id)
        if record is not None:
            return record
        stored = self._store.load(job_id)
        if stored is None:
            raise _not_found(job_id)
        record = Record(stored, self._lock)
        if not record.is_final:
            raise JobNotFound(f"Job {job_id} belongs to another Lucid that is running. Look for it there.")
        return record


def _not_found(job_id: str) -> JobNotFound:
    return JobNotFound(f"There is no job {job_id}, or it is not yours.")
