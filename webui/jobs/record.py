"""What the queue keeps in memory about one job. Guarded by the queue's lock; never leaves the queue."""

from __future__ import annotations

import threading

from webui.domain.any_request import AnyRequest
from webui.domain.events import Saved
from webui.domain.request import GenerationRequest
from webui.jobs.job import Assignment, JobSnapshot, State
from webui.jobs.progress import Progress, work_units
from webui.jobs.store import StoredJob

_DOUBTFUL_DEATHS = 3  # in a row, without a picture saved in between


class Record:
    def __init__(self, stored: StoredJob, lock: threading.RLock) -> None:
        self.id = stored.id
        self.sequence = stored.sequence
        self.owner = stored.owner
        self.kind = stored.kind
        self.request: AnyRequest = stored.request
        self.state: State = stored.state
        # It may be this job that the program dies of: let the others through first.
        self.last = stored.deaths >= _DOUBTFUL_DEATHS
        self.resumed = stored.resumed and not self.last
        self.created = stored.created
        self.started = stored.started
        self.finished = stored.finished
        self.notices = list(stored.notices)
        self.error = stored.error
        self.pictures: dict[int, Saved] = {saved.index: saved for saved in stored.pictures}
        self.progress: Progress | None = None
        self.place = 0
        self.units_ahead = 0.0  # work of those who come first
        self.version = 1
        self.changed = threading.Condition(lock)
        self.stop = threading.Event()
        self.skip = threading.Event()

    @property
    def is_final(self) -> bool:
        return self.state in ("done", "stopped", "failed")

    @property
    def model(self) -> str:
        """The checkpoint that it draws with; empty for work that loads none."""
        return self.request.checkpoint if isinstance(self.request, GenerationRequest) else ""

    @property
    def units_left(self) -> float:
        """Work still to do, counted by pictures."""
        return work_units(self.request) * (self.request.picture_count - len(self.pictures))

    def touch(self) -> None:
        self.version += 1
        self.changed.notify_all()

    def add_notice(self, text: str) -> bool:
        """False if it was known: a job that runs again says the same again."""
        if text in self.notices:
            return False
        self.notices.append(text)
        return True

    def end(self, state: State, error: str, finished: float) -> None:
        self.state, self.error, self.finished, self.place = state, error, finished, 0
        if self.progress is not None:
            self.progress.end()
        self.touch()

    def assignment(self) -> Assignment:
        return Assignment(
            id=self.id,
            owner=self.owner,
            kind=self.kind,
            request=self.request,
            done=frozenset(self.pictures),
            stop=self.stop,
            skip=self.skip,
        )

    def snapshot(self, eta: float | None) -> JobSnapshot:
        progress = self.progress
        return JobSnapshot(
            id=self.id,
            owner=self.owner,
            kind=self.kind,
            request=self.request,
            state=self.state,
            place=self.place,
            eta=eta,
            created=self.created,
            started=self.started,
            finished=self.finished,
            loading=progress.loading if progress else None,
            step=progress.step if progress else None,
            steps_per_second=progress.steps_per_second if progress else 0.0,
            preview_number=progress.preview_number if progress else 0,
            pictures=tuple(self.pictures[index] for index in sorted(self.pictures)),
            notices=tuple(self.notices),
            error=self.error,
            version=self.version,
        )
