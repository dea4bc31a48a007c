"""The queue of all: everybody sees that a job is there, and only its owner what it draws."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from webui.accounts.account import Account
from webui.domain.request import GenerationRequest
from webui.runtime import Runtime
from webui.settings import Settings
from webui.tabs.queue import everybodys


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    """Not started: what waits, waits."""
    (tmp_path / "models").mkdir()
    runtime = Runtime(Settings(data_dir=tmp_path, open_browser=False))
    yield runtime
    runtime.close()


def test_others_see_that_a_job_waits_but_not_what_it_draws(runtime: Runtime) -> None:
    runtime.queue.submit(GenerationRequest(prompt="a secret", seed=1, batch_count=3), "anna")
    runtime.queue.submit(GenerationRequest(prompt="no secret", seed=1), "ben")
    anna, ben, root = Account("anna"), Account("ben"), Account("root", "admin")
    told = {account.name: everybodys(runtime, account)["jobs"] for account in (anna, ben, root)}
    assert [job["prompt"] for job in told["anna"]] == ["a secret", None]
    assert [job["prompt"] for job in told["ben"]] == [None, "no secret"]
    assert [job["prompt"] for job in told["root"]] == ["a secret", "no secret"]
    for jobs in told.values():
        assert [(job["owner"], job["place"], job["count"]) for job in jobs] == [("anna", 1, 3), ("ben", 2, 1)]
    assert [job["stoppable"] for job in told["ben"]] == [False, True]
    assert [job["stoppable"] for job in told["root"]] == [True, True]


def test_without_accounts_all_jobs_are_one_s_own(runtime: Runtime) -> None:
    runtime.queue.submit(GenerationRequest(prompt="a cat", seed=1))
    (job,) = everybodys(runtime, None)["jobs"]
    assert (job["owner"], job["own"], job["stoppable"], job["prompt"]) == (None, True, True, "a cat")


def test_a_long_queue_is_cut_and_says_so(runtime: Runtime) -> None:
    for _ in range(203):
        runtime.queue.submit(GenerationRequest(seed=1))
    told = everybodys(runtime, None)
    assert (len(told["jobs"]), told["more"]) == (200, 3)
