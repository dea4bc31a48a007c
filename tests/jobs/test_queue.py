from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from webui.domain.events import Loading, Notice, Preview, Saved, Step
from webui.domain.request import GenerationRequest, from_dict
from webui.errors import JobNotFound, NotAllowed, TooManyRequests
from webui.jobs.admission import Limits
from webui.jobs.job import Assignment, Job, JobSnapshot
from webui.jobs.queue import JobQueue

RequestOf = Callable[..., GenerationRequest]
OpenQueue = Callable[..., JobQueue]


def _saved(index: int) -> Saved:
    return Saved(index, 10 + index, f"txt2img/{index}.png", f"a cat\nSteps: 3, Seed: {10 + index}", 64, 64)


def _take_all(queue: JobQueue, count: int) -> list[str]:
    taken = []
    for _ in range(count):
        assignment = queue.take("cpu")
        assert assignment is not None
        taken.append(assignment.id)
        queue.finish(assignment.id, "done")
    return taken


def test_a_submitted_job_is_on_disk_before_submit_returns(queue: JobQueue, data: Path, request_of: RequestOf) -> None:
    request = request_of(prompt='a "cat", 猫', batch_count=2)
    job = queue.submit(request, "anna", "txt2img")
    other = sqlite3.connect(data / "lucid.sqlite3")
    owner, kind, state, stored = other.execute(
        "SELECT owner, kind, state, request FROM jobs WHERE id = ?", (job.id,)
    ).fetchone()
    other.close()
    assert (owner, kind, state) == ("anna", "txt2img", "waiting")
    assert from_dict(json.loads(stored)) == request


def test_commits_wait_for_the_disk(queue: JobQueue, data: Path) -> None:
    with queue._database.reading() as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL


def test_the_line_is_fair_and_tells_places(queue: JobQueue, request_of: RequestOf) -> None:
    a1, a2, a3 = (queue.submit(request_of(), "anna") for _ in range(3))
    b1 = queue.submit(request_of(), "bert")
    assert [job.snapshot().place for job in (a1, b1, a2, a3)] == [1, 2, 3, 4]
    assert [job.id for job in queue.jobs()] == [a1.id, b1.id, a2.id, a3.id]
    assert [job.id for job in queue.jobs("bert")] == [b1.id]
    queue.take("cpu")
    assert [job.snapshot().place for job in (a1, b1, a2, a3)] == [0, 1, 2, 3]
    c1 = queue.submit(request_of(), "cora")
    assert [job.id for job in queue.jobs()] == [a1.id, b1.id, c1.id, a2.id, a3.id]


def test_a_job_is_taken_by_one_worker_only(queue: JobQueue, request_of: RequestOf) -> None:
    submitted = [queue.submit(request_of(), owner).id for owner in ("a", "b") for _ in range(20)]
    taken: list[str] = []

    def work(name: str) -> None:
        while (assignment := queue.take(name)) is not None:
            taken.append(assignment.id)
            queue.finish(assignment.id, "done")
            if len(taken) == len(submitted):
                queue.close()

    threads = [threading.Thread(target=work, args=(f"gpu {number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted(submitted)


def test_a_waiting_worker_is_woken_by_a_job(queue: JobQueue, request_of: RequestOf) -> None:
    taken: list[Assignment | None] = []
    thread = threading.Thread(target=lambda: taken.append(queue.take("cpu")))
    thread.start()
    job = queue.submit(request_of())
    thread.join()
    assert taken[0] is not None and taken[0].id == job.id


def test_watchers_get_the_current_state_at_once_and_the_newest_after_each_look(
    queue: JobQueue, request_of: RequestOf
) -> None:
    job = queue.submit(request_of(steps=50))
    watching = job.events()
    assert next(watching).state == "waiting"
    queue.take("cpu")
    for step in range(1, 51):
        queue.report(job.id, Step(step, 50, 0, 1, 1.0))
    snapshot = next(watching)
    assert snapshot.state == "running" and snapshot.step is not None and snapshot.step.step == 50
    queue.report(job.id, _saved(0))
    queue.finish(job.id, "done")
    final = next(watching)
    assert final.state == "done" and final.pictures == (_saved(0),)
    assert list(watching) == []


def test_many_watchers_see_the_end(queue: JobQueue, request_of: RequestOf) -> None:
    job = queue.submit(request_of())
    seen: list[list[JobSnapshot]] = []
    started = threading.Barrier(6)

    def watch() -> None:
        events = job.events()
        first = next(events)
        started.wait()
        seen.append([first, *events])

    threads = [threading.Thread(target=watch) for _ in range(5)]
    for thread in threads:
        thread.start()
    started.wait()
    _take_all(queue, 1)
    for thread in threads:
        thread.join()
    assert [snapshots[-1].state for snapshots in seen] == ["done"] * 5
    for snapshots in seen:
        versions = [snapshot.version for snapshot in snapshots]
        assert versions == sorted(set(versions))


def test_a_watcher_hears_when_its_place_changes(queue: JobQueue, request_of: RequestOf) -> None:
    first, second = queue.submit(request_of()), queue.submit(request_of())
    watching = second.events()
    assert next(watching).place == 2
    first.stop()
    assert next(watching).place == 1


def test_a_heartbeat_repeats_the_last_snapshot(queue: JobQueue, request_of: RequestOf) -> None:
    watching = queue.submit(request_of()).events(heartbeat=0.001)
    assert next(watching) == next(watching)


def test_closing_the_queue_ends_the_watching(queue: JobQueue, request_of: RequestOf) -> None:
    job = queue.submit(request_of())
    watching = job.events()
    next(watching)
    queue.close()
    assert list(watching) == []
    assert queue.take("cpu") is None
    with pytest.raises(NotAllowed, match="shutting down"):
        queue.submit(request_of())


def test_live_progress(open_queue: OpenQueue, request_of: RequestOf) -> None:
    now = 0.0
    queue = open_queue(clock=lambda: now)
    job = queue.submit(request_of(steps=10))
    queue.take("cpu")
    queue.report(job.id, Loading("Loading starter", 0.5))
    assert job.snapshot().loading == Loading("Loading starter", 0.5)
    assert job.preview() is None
    for step in (1, 2, 3):
        now += 0.5
        queue.report(job.id, Step(step, 10, 0, 1, 1.0))
    snapshot = job.snapshot()
    assert snapshot.loading is None
    assert snapshot.steps_per_second == pytest.approx(2.0)
    assert snapshot.eta == pytest.approx(3.5)
    queue.report(job.id, Preview(b"jpeg", 3, 0))
    assert (job.preview(), job.snapshot().preview_number) == (b"jpeg", 1)
    queue.finish(job.id, "done")
    assert job.preview() is None


def test_eta_is_unknown_until_measured_then_counts_steps_pixels_and_pictures(
    open_queue: OpenQueue, request_of: RequestOf
) -> None:
    now = 100.0
    queue = open_queue(clock=lambda: now)
    queue.join("cpu")
    first = queue.submit(request_of(steps=10, batch_count=2))
    second = queue.submit(request_of(steps=10, batch_count=2))
    third = queue.submit(request_of(steps=20, width=128))
    assert second.snapshot().eta is None
    queue.take("cpu")
    assert first.snapshot().eta is None
    now += 60  # what loading takes is no work of the job
    queue.report(first.id, Loading("loaded", 1.0))
    now += 8
    for index in (0, 1):
        queue.report(first.id, _saved(index))
    queue.finish(first.id, "done")
    assert second.snapshot().eta == pytest.approx(8)
    assert third.snapshot().eta == pytest.approx(8 + 16)
    queue.take("cpu")
    assert second.snapshot().eta == pytest.approx(8)
    assert third.snapshot().eta == pytest.approx(8 + 16)
    queue.join("gpu")
    assert third.snapshot().eta == pytest.approx(8 / 2 + 16)


def test_a_waiting_job_stops_at_once_and_is_never_run(queue: JobQueue, request_of: RequestOf) -> None:
    first, second = queue.submit(request_of()), queue.submit(request_of())
    first.stop()
    assert first.snapshot().state == "stopped" and first.snapshot().finished is not None
    assert _take_all(queue, 1) == [second.id]
    first.stop()  # again: nothing happens
    assert first.wait().state == "stopped"


def test_stopping_all_waiting_jobs_of_an_owner(queue: JobQueue, request_of: RequestOf) -> None:
    running, *waiting = (queue.submit(request_of(), "anna") for _ in range(4))
    others = queue.submit(request_of(), "bert")
    queue.take("cpu")
    assert queue.stop_waiting("anna") == 3
    assert [job.snapshot().state for job in waiting] == ["stopped"] * 3
    assert (running.snapshot().state, others.snapshot().state) == ("running", "waiting")


def test_another_owners_job_cannot_be_told_from_none(queue: JobQueue, request_of: RequestOf) -> None:
    job = queue.submit(request_of(), "anna")
    assert queue.job(job.id, "anna").snapshot().owner == "anna"
    assert queue.job(job.id).id == job.id
    with pytest.raises(JobNotFound) as foreign:
        queue.job(job.id, "bert")
    with pytest.raises(JobNotFound) as missing:
        queue.job("0123456789abcdef", "bert")
    assert str(foreign.value).replace(job.id, "0123456789abcdef") == str(missing.value)


def test_a_full_queue_says_so(open_queue: OpenQueue, request_of: RequestOf) -> None:
    queue = open_queue(limits=Limits(waiting=2))
    queue.submit(request_of())
    second = queue.submit(request_of())
    with pytest.raises(TooManyRequests, match=r"2 jobs wait already.*max_waiting_jobs"):
        queue.submit(request_of())
    second.stop()
    assert queue.submit(request_of()).snapshot().place == 2


def test_one_user_s_share_of_the_queue_has_a_limit_and_others_still_get_in(
    open_queue: OpenQueue, request_of: RequestOf
) -> None:
    queue = open_queue(limits=Limits(waiting_of_one=2))
    first, _ = (queue.submit(request_of(), "anna") for _ in range(2))
    with pytest.raises(TooManyRequests, match="2 of your jobs wait already"):
        queue.submit(request_of(), "anna")
    queue.submit(request_of(), "bert")
    first.stop()
    queue.submit(request_of(), "anna")


def test_jobs_that_come_too_fast_are_told_when_to_come_again(open_queue: OpenQueue, request_of: RequestOf) -> None:
    now = 100.0
    queue = open_queue(limits=Limits(per_minute=2), clock=lambda: now)
    for seconds in (0, 20):
        now = 100.0 + seconds
        queue.submit(request_of(), "anna")
    with pytest.raises(TooManyRequests, match=r"Try again in 40 s") as too_fast:
        queue.submit(request_of(), "anna")
    assert too_fast.value.seconds == 40
    queue.submit(request_of(), "bert")
    now += 40
    queue.submit(request_of(), "anna")


def test_a_finished_job_is_found_however_old(open_queue: OpenQueue, request_of: RequestOf) -> None:
    queue = open_queue()
    job = queue.submit(request_of(batch_count=2), "anna")
    queue.take("cpu")
    queue.report(job.id, Notice("decoded in tiles"))
    for index in (0, 1):
        queue.report(job.id, _saved(index))
    queue.finish(job.id, "failed", "The disk is full.")
    before = job.snapshot()
    for _ in range(250):
        queue.submit(request_of()).stop()
    assert job.id not in queue._records
    for found in (job, queue.job(job.id, "anna")):
        after = found.wait()
        assert (after.state, after.error, after.notices) == ("failed", "The disk is full.", ("decoded in tiles",))
        assert (after.pictures, after.request, after.finished) == (before.pictures, before.request, before.finished)


def test_a_watcher_of_a_job_that_left_memory_meanwhile_sees_the_end(queue: JobQueue, request_of: RequestOf) -> None:
    job = queue.submit(request_of())
    watching = job.events()
    next(watching)
    job.stop()
    for _ in range(250):
        queue.submit(request_of()).stop()
    assert [snapshot.state for snapshot in watching] == ["stopped"]


def test_a_job_is_a_plain_handle(queue: JobQueue, request_of: RequestOf) -> None:
    job = queue.submit(request_of())
    assert Job(job.id, queue).snapshot() == job.snapshot()
