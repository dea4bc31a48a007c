"""A queue that is opened again, and two that are open at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from webui.domain.events import Saved
from webui.domain.request import GenerationRequest
from webui.errors import JobNotFound
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


def test_waiting_jobs_wait_on_and_the_running_one_goes_first(open_queue: OpenQueue, request_of: RequestOf) -> None:
    queue = open_queue()
    jobs = [queue.submit(request_of(seed=seed), owner) for seed, owner in enumerate(("anna", "bert", "anna"))]
    running = queue.take("cpu")
    assert running is not None
    queue.close()

    queue = open_queue()
    assert [job.id for job in queue.jobs()] == [jobs[0].id, jobs[1].id, jobs[2].id]
    again = queue.take("cpu")
    assert again is not None
    assert (again.id, again.request) == (running.id, running.request)


def test_who_was_served_last_before_is_served_last_after(open_queue: OpenQueue, request_of: RequestOf) -> None:
    queue = open_queue()
    for _ in range(2):
        queue.submit(request_of(), "anna")
    _take_all(queue, 1)
    bert = queue.submit(request_of(), "bert")
    queue.close()
    assert open_queue().jobs()[0].id == bert.id


def test_saved_pictures_are_kept_and_not_drawn_again(open_queue: OpenQueue, request_of: RequestOf) -> None:
    queue = open_queue()
    job = queue.submit(request_of(batch_count=3))
    queue.take("cpu")
    queue.report(job.id, _saved(0))
    queue.report(job.id, _saved(2))
    queue.close()

    queue = open_queue()
    assert queue.job(job.id).snapshot().pictures == (_saved(0), _saved(2))
    assert [queue.will_draw(job.id, index) for index in range(3)] == [False, True, False]
    assignment = queue.take("cpu")
    assert assignment is not None and assignment.done == {0, 2}


def test_a_living_program_keeps_its_jobs(open_queue: OpenQueue, request_of: RequestOf) -> None:
    server = open_queue()
    job = server.submit(request_of())
    command_line = open_queue()
    assert command_line.jobs() == []
    with pytest.raises(JobNotFound, match="another Lucid that is running"):
        command_line.job(job.id)
    own = command_line.submit(request_of())
    assert _take_all(command_line, 1) == [own.id]
    assert _take_all(server, 1) == [job.id]
    assert command_line.job(job.id).wait().state == "done"


def test_jobs_of_the_dead_can_be_left_to_others(open_queue: OpenQueue, request_of: RequestOf) -> None:
    queue = open_queue()
    job = queue.submit(request_of())
    queue.close()
    assert open_queue(adopt=False).jobs() == []
    assert [adopted.id for adopted in open_queue().jobs()] == [job.id]


def test_a_request_of_another_version_fails_its_job_with_a_sentence(
    open_queue: OpenQueue, data: Path, request_of: RequestOf
) -> None:
    queue = open_queue()
    odd, sound = queue.submit(request_of()), queue.submit(request_of())
    queue.close()
    connection = sqlite3.connect(data / "lucid.sqlite3")
    with connection:
        connection.execute("UPDATE jobs SET request = ? WHERE id = ?", ('{"warp_factor": 9}', odd.id))
    connection.close()
    queue = open_queue()
    assert [job.id for job in queue.jobs()] == [sound.id]
    connection = sqlite3.connect(data / "lucid.sqlite3")
    state, error = connection.execute("SELECT state, error FROM jobs WHERE id = ?", (odd.id,)).fetchone()
    connection.close()
    assert state == "failed" and "warp_factor" in error


class TestAJobThatTheProgramDiesOf:
    """The system's out-of-memory killer gives no chance to say anything: only the next start can tell."""

    @pytest.fixture
    def die(self, open_queue: OpenQueue, data: Path) -> Callable[[], None]:
        """Start and take a job, and leave the database as a killed program leaves it."""

        def die() -> None:
            queue = open_queue()
            taken = queue.take("cpu")
            assert taken is not None
            queue.close()

        return die

    def test_after_three_times_others_go_first_and_after_eight_it_fails(
        self, open_queue: OpenQueue, die: Callable[[], None], request_of: RequestOf
    ) -> None:
        queue = open_queue()
        deadly, harmless = queue.submit(request_of(width=2048)), queue.submit(request_of())
        queue.close()
        for _ in range(3):
            die()
        queue = open_queue()
        assert [job.id for job in queue.jobs()] == [harmless.id, deadly.id]
        assert _take_all(queue, 1) == [harmless.id]
        queue.close()
        for _ in range(5):
            die()
        queue = open_queue()
        assert queue.jobs() == []
        final = queue.job(deadly.id).wait()
        assert final.state == "failed" and "died 8 times" in final.error and "smaller size" in final.error

    def test_a_picture_saved_in_between_clears_the_suspicion(
        self, open_queue: OpenQueue, die: Callable[[], None], request_of: RequestOf
    ) -> None:
        queue = open_queue()
        long, short = queue.submit(request_of(batch_count=9)), queue.submit(request_of())
        queue.close()
        for index in range(4):
            die()
            queue = open_queue()
            queue.take("cpu")
            queue.report(long.id, _saved(index))
            queue.close()
        assert [job.id for job in open_queue().jobs()] == [long.id, short.id]
