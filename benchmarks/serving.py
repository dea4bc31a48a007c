"""Many users at one server: is every job done once and its own, do equal users wait equally long, is a question answered quickly?

Each user has an account and sends all jobs at once, then asks for the state of one after another until it is done. Small pictures
of the starter, so that the queue is what is measured.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from statistics import mean, quantiles
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PASSWORD = "correct horse battery"


def many_users(users: int, jobs: int, tell: Callable[[str, float, str], None]) -> None:
    """``users`` times ``jobs`` jobs. Raises ``AssertionError`` where a job is lost, done twice or another's."""
    with tempfile.TemporaryDirectory() as folder:
        tokens = _accounts(Path(folder), users)
        server = subprocess.Popen(
            [sys.executable, "app.py", "--port", "0", "--no-browser", "--data-dir", folder, "--models-dir", "models"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            assert server.stdout is not None
            address = server.stdout.readline().split()[-1]
            _ask(address, tokens[0], "/api/v1/jobs", _request(0, 0), wait=True)  # torch is loaded
            people = [_User(address, token, number, jobs) for number, token in enumerate(tokens)]
            begin = time.perf_counter()
            for person in people:
                person.start()
            for person in people:
                person.join()
            took = time.perf_counter() - begin
        finally:
            server.terminate()
            server.wait()
    failed = [person.error for person in people if person.error]
    assert not failed, failed[:3]
    ids = [id for person in people for id in person.finished]
    assert len(ids) == len(set(ids)) == users * jobs, "each job is done exactly once"
    waits = [mean(person.waits) for person in people]
    tell(
        f"longest over mean waiting of {users} equal users with {jobs} jobs each",
        max(waits) / mean(waits),
        f"{users * jobs} jobs in {took:.0f} s, mean waiting {mean(waits):.1f} s",
    )
    polls = sorted(seconds for person in people for seconds in person.polls)
    slow = quantiles(polls, n=20)[-1]
    tell("95th percentile of a question over 100 ms", slow / 0.1, f"{1000 * slow:.0f} ms of {len(polls)} questions")


class _User(threading.Thread):
    def __init__(self, address: str, token: str, number: int, jobs: int) -> None:
        super().__init__(daemon=True)
        self.address, self.token, self.number, self.jobs = address, token, number, jobs
        self.finished: list[str] = []
        self.waits: list[float] = []
        self.polls: list[float] = []
        self.error = ""

    def run(self) -> None:
        try:
            sent = []
            for job in range(self.jobs):
                told = _ask(self.address, self.token, "/api/v1/jobs", _request(self.number, job))
                sent.append((told["id"], time.perf_counter(), job))
            for id, begin, job in sent:
                while (told := self._poll(id))["state"] in ("waiting", "running"):
                    time.sleep(1)
                self.waits.append(time.perf_counter() - begin)
                (picture,) = told["pictures"]
                assert told["state"] == "done" and _prompt(self.number, job) in picture["infotext"], told
                self.finished.append(id)
        except Exception as error:  # noqa: BLE001  # told at the end
            self.error = f"user {self.number}: {error!r}"

    def _poll(self, id: str) -> dict[str, Any]:
        begin = time.perf_counter()
        told = _ask(self.address, self.token, f"/api/v1/jobs/{id}")
        self.polls.append(time.perf_counter() - begin)
        return told


def _prompt(user: int, job: int) -> str:
    return f"a red circle, user {user} job {job} end"


def _request(user: int, job: int) -> dict[str, Any]:
    return {
        "prompt": _prompt(user, job),
        "width": 64,
        "height": 64,
        "steps": 1,
        "cfg_scale": 1,
        "seed": user * 1000 + job,
    }


def _accounts(folder: Path, count: int) -> list[str]:
    from webui.runtime import accounts_of
    from webui.settings import Settings

    accounts = accounts_of(Settings(data_dir=folder))
    for number in range(count):
        accounts.add(f"user{number}", PASSWORD)
    tokens = [accounts.make_token(f"user{number}", "benchmark") for number in range(count)]
    accounts.close()
    return tokens


def _ask(address: str, token: str, path: str, body: dict[str, Any] | None = None, wait: bool = False) -> dict[str, Any]:
    request = urllib.request.Request(
        address + path,
        None if body is None else json.dumps(body).encode(),
        {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        told: dict[str, Any] = json.load(answer)
    while wait and told["state"] in ("waiting", "running"):
        time.sleep(0.5)
        told = _ask(address, token, f"{path}/{told['id']}")
    return told
