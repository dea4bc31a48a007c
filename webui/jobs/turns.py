"""Whose turn it is: rounds in which each owner has one turn, first come first served within one.

Within a round those go together who draw with the same model, and first of all those who draw with the one that is in memory.
So two people with two checkpoints are served anna, ben, ben, anna, anna, ben ...: a checkpoint is loaded for every second job
instead of for every one, and nobody waits longer for it than one round. One person's hundred jobs delay another's single one by
one job at most. A job that was interrupted (the program was stopped or killed while it ran) goes before all others; one that the
program seems to die of goes last.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import count
from typing import Protocol, TypeVar


class Waiting(Protocol):
    """What the order depends on. ``sequence`` grows with arrival; ``model`` is the same where no model must be loaded."""

    @property
    def owner(self) -> str: ...
    @property
    def sequence(self) -> int: ...
    @property
    def model(self) -> str: ...
    @property
    def resumed(self) -> bool: ...
    @property
    def last(self) -> bool: ...


W = TypeVar("W", bound=Waiting)


def in_turn(
    waiting: Iterable[W], last_served: Mapping[str, int], served: Collection[str] = (), model: str = ""
) -> list[W]:
    """All of ``waiting`` in the order in which one worker would take them.

    ``last_served`` maps an owner to the number of the turn that served them last, counted from 0; who was never served
    is missing from it and comes first. ``served`` are those who had their turn in the present round, ``model`` is in memory.
    """
    turns, round_served = dict(last_served), set(served)
    ordered: list[W] = []
    doubtful: list[W] = []
    lines: dict[str, deque[W]] = defaultdict(deque)

    next_turn = count(max(turns.values(), default=-1) + 1)

    def serve(job: W) -> None:
        ordered.append(job)
        turns[job.owner] = next(next_turn)
        round_served.add(job.owner)

    for job in sorted(waiting, key=lambda job: job.sequence):
        if job.last:
            doubtful.append(job)
        elif job.resumed:
            serve(job)
        else:
            lines[job.owner].append(job)
    while lines:
        heads = [line[0] for owner, line in lines.items() if owner not in round_served]
        heads.sort(key=lambda job: (turns.get(job.owner, -1), job.sequence))
        for job in by_model(heads, ordered[-1].model if ordered else model):
            serve(job)
            lines[job.owner].popleft()
            if not lines[job.owner]:
                del lines[job.owner]
        if not heads:
            round_served.clear()
    return ordered + doubtful


def by_model(jobs: Sequence[W], model: str) -> list[W]:
    """The jobs with those of one model together: ``model`` first, then the others as their first job stands.

    >>> from types import SimpleNamespace as Job
    >>> [job.model for job in by_model([Job(model=name) for name in "abcab"], "c")]
    ['c', 'a', 'a', 'b', 'b']
    """
    groups: dict[str, list[W]] = {model: []}
    for job in jobs:
        groups.setdefault(job.model, []).append(job)
    return [job for group in groups.values() for job in group]
