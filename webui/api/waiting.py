"""Waiting for a job without holding a thread: jobs are in memory, and a glance at one takes microseconds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from starlette.requests import ClientDisconnect, Request

from webui.jobs.job import Job, JobSnapshot

_SOON, _LATER = 0.03, 0.2  # seconds between two glances: at the beginning, and at long jobs
_ASKED_EVERY = 0.5  # seconds between two questions whether the client is still there


async def finished(request: Request, job: Job) -> JobSnapshot:
    """The job's final state. A client that goes away stops this job, and ``ClientDisconnect`` is raised.

    A server that shuts down ends the waiting and not the job, which goes on at its next start.
    """
    began = asked = time.monotonic()
    while not (snapshot := job.snapshot()).is_final:
        now = time.monotonic()
        if now - asked > _ASKED_EVERY:
            asked = now
            if await request.is_disconnected():
                job.stop()
                raise ClientDisconnect
        await asyncio.sleep(_SOON if now - began < 5 else _LATER)
    return snapshot


async def changes(request: Request, job: Job, every: float, heartbeat: float) -> AsyncIterator[JobSnapshot | None]:
    """The state now, then the newest at most once in ``every`` seconds, to the final one. None when ``heartbeat`` seconds
    brought nothing new. Ends when the client goes away, which stops no job."""
    last: JobSnapshot | None = None
    said = time.monotonic()
    while last is None or not last.is_final:
        snapshot = job.snapshot()
        if last is None or _differs(snapshot, last):
            last, said = snapshot, time.monotonic()
            yield snapshot
        elif time.monotonic() - said > heartbeat:
            said = time.monotonic()
            yield None
        else:
            await asyncio.sleep(every)
            if await request.is_disconnected():
                return
            continue
        await asyncio.sleep(every)


def _differs(new: JobSnapshot, old: JobSnapshot) -> bool:
    return new.version != old.version or new.place != old.place
