"""Whose turn it is: round-robin between owners, first come first served within one.

The owner who was served least recently comes first, so one person's hundred jobs delay another's single one by one job
at most. A job that was interrupted (the program was stopped or killed while it ran) goes before all others; one that the
program seems to die of goes last.
"""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from typing import Protocol, TypeVar


class Waiting(Protocol):
    """What the order depends on. ``sequence`` grows with arrival."""

    @property
    def owner(self) -> str: ...
    @property
    def sequence(self) -> int: ...
    @property
    def resumed(self) -> bool: ...
    @property
    def last(self) -> bool: ...


W = TypeVar("W", bound=Waiting)


def in_turn(waiting: Iterable[W], last_served: Mapping[str, int]) -> list[W]:
    """All of ``waiting`` in the order in which one worker would take them.

    ``last_served`` maps an owner to the number of the turn that served them last, counted from 0; who was never served
    is missing from it and comes first.
    """
    served = dict(last_served)
    turn = max(served.values(), default=-1)
    ordered: list[W] = []
    doubtful: list[W] = []
    lines: dict[str, deque[W]] = defaultdict(deque)
    for job in sorted(waiting, key=lambda job: job.sequence):
        if job.last:
            doubtful.append(job)
        elif job.resumed:
            ordered.append(job)
            turn += 1
            served[job.owner] = turn
        else:
            lines[job.owner].append(job)

    heads = [(served.get(owner, -1), line[0].sequence, owner) for owner, line in lines.items()]
    heapq.heapify(heads)
    while heads:
        _, _, owner = heapq.heappop(heads)
        line = lines[owner]
        ordered.append(line.popleft())
        turn += 1
        if line:
            heapq.heappush(heads, (turn, line[0].sequence, owner))
    return ordered + doubtful
