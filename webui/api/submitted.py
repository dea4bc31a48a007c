"""Which jobs came in over HTTP, by whom, and under which task id. Kept in memory only: the jobs themselves are in the queue.

A1111 has one job for all, so that anybody's interrupt stops anybody's picture. Here a client finds, watches and stops the jobs
of its own account that programs gave; what the account draws on the page goes on.
"""

from __future__ import annotations

import secrets
import string
import threading
from collections import OrderedDict

from webui.errors import InvalidRequest, JobNotFound
from webui.jobs.job import JobSnapshot
from webui.runtime import Runtime

_KEPT = 500  # finished jobs of an owner that are remembered
_LETTERS = string.ascii_uppercase + string.digits
_LONGEST_ID = 200


class Submitted:
    """Safe to use from several threads."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._lock = threading.Lock()
        self._tasks: dict[str, OrderedDict[str, str]] = {}  # owner -> task id -> job id, the newest last

    def add(self, owner: str, job: str, kind: str, task: str | None = None) -> str:
        """Remember a job; its task id is the client's own, or one like A1111's."""
        task = task or f"task({kind}-{''.join(secrets.choice(_LETTERS) for _ in range(7))})"
        with self._lock:
            tasks = self._tasks.setdefault(owner, OrderedDict())
            tasks.pop(task, None)
            tasks[task] = job
            while len(tasks) > _KEPT:
                tasks.popitem(last=False)
        return task

    def job_of(self, owner: str, task: str) -> str | None:
        with self._lock:
            tasks = self._tasks.get(owner)
            return None if tasks is None else tasks.get(task)

    def tasks(self, owner: str) -> dict[str, str]:
        """Job id -> task id."""
        with self._lock:
            return {job: task for task, job in self._tasks.get(owner, {}).items()}

    def unfinished(self, owner: str, *, also_of_page: bool = False) -> list[JobSnapshot]:
        """The owner's jobs that programs gave, those that run first, then the others in turn.

        ``also_of_page``: if there are none of these, what else the owner draws.
        """
        own = self.tasks(owner)
        snapshots: list[JobSnapshot] = []
        others: list[JobSnapshot] = []
        for job in self._runtime.jobs(owner):
            try:
                snapshot = job.snapshot()
            except JobNotFound:
                continue
            if not snapshot.is_final:
                (snapshots if snapshot.id in own else others).append(snapshot)
        return snapshots or (others if also_of_page else [])


def task_id(value: object) -> str | None:
    """``force_task_id`` as a client sent it."""
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > _LONGEST_ID:
        raise InvalidRequest(f"force_task_id must be text of at most {_LONGEST_ID} letters.", "force_task_id")
    return value
