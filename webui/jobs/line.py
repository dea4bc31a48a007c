"""The line of waiting jobs: who is next, and how long it takes. Guarded by the queue's lock."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

from webui.jobs.progress import Progress
from webui.jobs.record import Record
from webui.jobs.turns import in_turn


class Line:
    """``clock`` is any steady clock, in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.waiting: list[Record] = []
        """In turn: the first is the next to run."""
        self.workers: set[str] = set()
        self._clock = clock
        self._running: dict[str, Progress] = {}
        self._last_served: dict[str, int] = {}
        self._served: set[str] = set()  # in the present round
        self._model = ""  # what the last one that was taken draws with
        self._seconds_per_unit: float | None = None

    def remember_turns(self, last_started: Mapping[str, float]) -> None:
        """When owners were last served before this program began, in unix seconds."""
        owners = sorted(last_started, key=lambda owner: last_started[owner])
        self._last_served = {owner: turn for turn, owner in enumerate(owners)}

    def add(self, records: Iterable[Record]) -> None:
        self.waiting.extend(records)
        self._reorder()

    def take(self) -> Record:
        """The next one, which runs from now on."""
        record = self.waiting.pop(0)
        self._last_served[record.owner] = max(self._last_served.values(), default=-1) + 1
        if record.owner in self._served:  # all who wait have had their turn: a new round
            self._served.clear()
        self._served.add(record.owner)
        self._model = record.model
        record.place = 0
        record.progress = Progress(record.request, len(record.pictures), self._clock())
        self._running[record.id] = record.progress
        self._reorder()
        return record

    def leave(self, record: Record, *, finished: bool) -> None:
        """A running one has come to its end, or (not ``finished``) to an interruption."""
        progress = self._running.pop(record.id)
        seconds, units = progress.measured(self._clock())
        if finished and units:
            pace, newest = self._seconds_per_unit, seconds / units
            self._seconds_per_unit = newest if pace is None else 0.7 * pace + 0.3 * newest

    def withdraw(self, wanted: Callable[[Record], bool]) -> list[Record]:
        """Take the wanted ones out of the line."""
        leaving = [record for record in self.waiting if wanted(record)]
        if leaving:
            self.waiting = [record for record in self.waiting if not wanted(record)]
            self._reorder()
        return leaving

    def eta(self, record: Record) -> float | None:
        """Seconds until the job is done; None while nothing has been measured that would tell."""
        pace = self._seconds_per_unit
        if record.state == "running" and record.progress is not None:
            return record.progress.seconds_left(pace)
        if record.state != "waiting" or pace is None:
            return None
        running = sum(progress.seconds_left(pace) or 0.0 for progress in self._running.values())
        ahead = (running + record.units_ahead * pace) / max(1, len(self.workers))
        return ahead + record.units_left * pace

    def _reorder(self) -> None:
        """Put the waiting in turn, and tell the watchers of those whose place has changed."""
        self.waiting = in_turn(self.waiting, self._last_served, self._served, self._model)
        ahead = 0.0
        for place, record in enumerate(self.waiting, start=1):
            record.units_ahead = ahead
            ahead += record.units_left
            if record.place != place:
                record.place = place
                record.touch()
