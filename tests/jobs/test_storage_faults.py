"""A database that cannot be written is a sentence, and passes with its cause."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from webui.domain.events import Saved
from webui.domain.request import GenerationRequest
from webui.errors import StorageFailure
from webui.jobs.queue import JobQueue

RequestOf = Callable[..., GenerationRequest]
OpenQueue = Callable[..., JobQueue]


def _saved(index: int) -> Saved:
    return Saved(index, 10 + index, f"txt2img/{index}.png", f"a cat\nSteps: 3, Seed: {10 + index}", 64, 64)


def test_a_locked_database_is_a_sentence_and_passes(open_queue: OpenQueue, data: Path, request_of: RequestOf) -> None:
    queue = open_queue(busy_seconds=0.01)
    other = sqlite3.connect(data / "lucid.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageFailure, match=r"lucid\.sqlite3.*locked.*try again"):
        queue.submit(request_of())
    assert queue.jobs() == []
    other.execute("COMMIT")
    other.close()
    job = queue.submit(request_of())
    assert [job.id for job in queue.jobs()] == [job.id]


def test_a_running_job_goes_on_while_the_database_is_locked_and_is_stored_afterwards(
    open_queue: OpenQueue, data: Path, request_of: RequestOf
) -> None:
    queue = open_queue(busy_seconds=0.01)
    job = queue.submit(request_of(batch_count=2))
    other = sqlite3.connect(data / "lucid.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    queue.take("cpu")
    for index in (0, 1):
        queue.report(job.id, _saved(index))
    queue.finish(job.id, "done")
    snapshot = job.wait()
    assert snapshot.state == "done" and len(snapshot.pictures) == 2
    assert len(snapshot.notices) == 1 and "locked" in snapshot.notices[0]
    other.execute("COMMIT")
    assert other.execute("SELECT state FROM jobs").fetchone() == ("waiting",)
    queue.submit(request_of()).stop()
    assert other.execute("SELECT state FROM jobs WHERE id = ?", (job.id,)).fetchone() == ("done",)
    assert other.execute("SELECT count(*) FROM pictures").fetchone() == (2,)
    other.close()


def test_what_could_not_be_stored_is_stored_when_the_queue_closes(
    open_queue: OpenQueue, data: Path, request_of: RequestOf
) -> None:
    queue = open_queue(busy_seconds=0.01)
    job = queue.submit(request_of())
    other = sqlite3.connect(data / "lucid.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    job.stop()
    other.execute("COMMIT")
    other.close()
    queue.close()
    assert open_queue().job(job.id).snapshot().state == "stopped"


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageFailure, match=r"file.*--data-dir"):
        JobQueue(tmp_path / "file" / "var" / "lucid.sqlite3")


def test_a_damaged_database_is_a_sentence_and_stays_as_it_is(data: Path) -> None:
    data.mkdir()
    (data / "lucid.sqlite3").write_bytes(b"this is no database" * 100)
    with pytest.raises(StorageFailure, match=r"not a database.*damaged"):
        JobQueue(data / "lucid.sqlite3")
    assert (data / "lucid.sqlite3").read_bytes() == b"this is no database" * 100


def test_no_worker_left_fails_the_jobs_instead_of_letting_them_wait(queue: JobQueue, request_of: RequestOf) -> None:
    queue.join("gpu 0")
    queue.join("gpu 1")
    waiting = queue.submit(request_of())
    queue.give_up("gpu 0", "No GPU there.")
    assert waiting.snapshot().state == "waiting"
    queue.give_up("gpu 1", "No GPU here.")
    assert (waiting.wait().state, waiting.wait().error) == ("failed", "No GPU here.")
    assert queue.submit(request_of()).wait().error == "No GPU here."


# Submits three jobs; while the second is submitted no file may grow, as on a full disk.
FULL_DISK = """
import resource, sys
from pathlib import Path
from webui.domain.request import GenerationRequest
from webui.errors import StorageFailure
from webui.jobs.queue import JobQueue

queue = JobQueue(Path(sys.argv[1]))
for size in (-1, 4096, -1):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    try:
        print(queue.submit(GenerationRequest()).id)
    except StorageFailure as error:
        print(error)
queue.close()
"""


def test_a_full_disk_is_a_sentence_and_passes(data: Path, open_queue: OpenQueue) -> None:
    command = [sys.executable, "-c", FULL_DISK, str(data / "lucid.sqlite3")]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    told = subprocess.run(command, capture_output=True, text=True, env=environment, check=True).stdout
    first, error, third = told.splitlines()
    assert str(data / "lucid.sqlite3") in error and "disk" in error
    assert [job.id for job in open_queue().jobs()] == [first, third]
