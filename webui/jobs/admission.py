"""How much may wait, in all and of one owner, and how fast it may come. Guarded by the queue's lock."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

from webui.errors import TooManyRequests

_LATER = 30  # seconds: when to ask again, as nobody knows when a job will be done


@dataclass(frozen=True)
class Limits:
    """Of jobs. ``waiting_of_one`` and ``per_minute`` are for one owner; 0 is no limit."""

    waiting: int = 1000
    waiting_of_one: int = 0
    per_minute: int = 0


class Admission:
    """``clock`` is any steady clock, in seconds."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._arriving: Counter[str] = Counter()  # on their way to the disk
        self._arrived: dict[str, deque[float]] = {}  # in the last minute, by owner

    def admit(self, owner: str, waiting: Counter[str]) -> None:
        """Let a job of ``owner`` arrive, or say why not. ``waiting`` counts the jobs of each owner that wait.

        Raises ``TooManyRequests`` where too many wait, or where they come too fast.
        """
        limits, expected = self._limits, waiting + self._arriving
        if expected.total() >= limits.waiting:
            raise TooManyRequests(
                f"The queue is full: {limits.waiting} jobs wait already. Try again when some are done, "
                "or raise max_waiting_jobs in config.yaml.",
                _LATER,
            )
        if limits.waiting_of_one and expected[owner] >= limits.waiting_of_one:
            raise TooManyRequests(
                f"{expected[owner]} of your jobs wait already, and this server takes no more of one user. Try again when "
                "some are done.",
                _LATER,
            )
        if limits.per_minute:
            self._check_rate(owner)
        self._arriving[owner] += 1

    def arrived(self, owner: str) -> None:
        """It waits now, or could not be stored."""
        self._arriving[owner] -= 1
        if not self._arriving[owner]:
            del self._arriving[owner]

    def _check_rate(self, owner: str) -> None:
        now, recent = self._clock(), self._arrived.setdefault(owner, deque())
        while recent and recent[0] <= now - 60:
            recent.popleft()
        if len(recent) >= self._limits.per_minute:
            seconds = max(1, math.ceil(recent[0] + 60 - now))
            raise TooManyRequests(
                f"This server takes {self._limits.per_minute} jobs a minute of one user. Try again in {seconds} s.",
                seconds,
            )
        recent.append(now)
