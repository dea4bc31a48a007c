from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from webui.domain.events import JobEvent, Step
from webui.domain.infotext import parse, to_request
from webui.domain.request import GenerationRequest
from webui.errors import OutOfMemory, UnreadableModel
from webui.jobs.job import Assignment
from webui.jobs.outputs import Outputs
from webui.jobs.pictures import read_metadata
from webui.jobs.queue import JobQueue
from webui.jobs.tasks import Draw
from webui.jobs.worker import INTERNAL_ERROR, Run, Worker

RequestOf = Callable[..., GenerationRequest]
StartWorker = Callable[..., Worker]


class Gate:
    """A draw function that holds before each picture's last step until it is let through."""

    def __init__(self, draw: Draw) -> None:
        self._draw = draw
        self.reached = threading.Semaphore(0)
        self.pass_on = threading.Semaphore(0)

    def __call__(self, request: GenerationRequest, batch: int) -> Iterator[Any]:
        for event in self._draw(request, batch):
            if isinstance(event, Step) and event.step == event.steps:
                self.reached.release()
                assert self.pass_on.acquire(timeout=60), "never let through"
            yield event


def test_a_job_becomes_pictures_with_the_infotext_that_draws_each_again(
    queue: JobQueue, start_worker: StartWorker, draw: Draw, outputs: Outputs, request_of: RequestOf
) -> None:
    start_worker(queue, draw)
    request = request_of(
        prompt="a cat, (red:1.2)", negative_prompt="blurry", seed=7, batch_count=2, batch_size=2, rng="CPU"
    )
    final = queue.submit(request, "anna").wait()
    assert final.state == "done" and final.error == ""
    assert [saved.index for saved in final.pictures] == [0, 1, 2, 3]
    for saved in final.pictures:
        file = outputs.resolve(saved.path)
        with Image.open(file) as image:
            image.load()
            assert image.size == (saved.width, saved.height) == (64, 64)
        assert read_metadata(file)["parameters"] == saved.infotext
        described, _, remarks = to_request(parse(saved.infotext))
        assert described == request.picture(saved.index) and remarks == ()
        assert saved.seed == 7 + saved.index


def test_stop_keeps_finished_pictures(
    queue: JobQueue, start_worker: StartWorker, draw: Draw, outputs: Outputs, request_of: RequestOf
) -> None:
    gate = Gate(draw)
    start_worker(queue, gate)
    job = queue.submit(request_of(batch_count=3))
    next_job = queue.submit(request_of())
    gate.pass_on.release()
    gate.reached.acquire()
    gate.reached.acquire()  # in the second picture
    job.stop()
    gate.pass_on.release()
    final = job.wait()
    assert (final.state, [saved.index for saved in final.pictures]) == ("stopped", [0])
    assert outputs.resolve(final.pictures[0].path).is_file()
    gate.pass_on.release()
    assert next_job.wait().state == "done"


def test_skip_leaves_one_batch_and_goes_on(
    queue: JobQueue, start_worker: StartWorker, draw: Draw, request_of: RequestOf
) -> None:
    gate = Gate(draw)
    start_worker(queue, gate)
    job = queue.submit(request_of(batch_count=3))
    gate.reached.acquire()
    job.skip()
    for _ in range(3):
        gate.pass_on.release()
    final = job.wait()
    assert (final.state, [saved.index for saved in final.pictures]) == ("done", [1, 2])


def test_the_engine_is_closed_when_a_job_is_stopped(
    queue: JobQueue, start_worker: StartWorker, draw: Draw, request_of: RequestOf
) -> None:
    """So that its context managers give back what they hold."""
    at_work, closed = threading.Event(), threading.Event()

    def endless(request: GenerationRequest, batch: int) -> Iterator[Step]:
        try:
            while True:
                yield Step(1, 2, 0, 1, 1.0)
                at_work.set()
        finally:
            closed.set()

    start_worker(queue, endless)
    job = queue.submit(request_of())
    at_work.wait()
    job.stop()
    assert job.wait().state == "stopped"
    assert closed.is_set()


def test_a_preview_belongs_to_its_job(
    queue: JobQueue, start_worker: StartWorker, draw: Draw, request_of: RequestOf
) -> None:
    gate = Gate(draw)
    start_worker(queue, gate)
    first, second = queue.submit(request_of(seed=5), "anna"), queue.submit(request_of(seed=6), "bert")
    gate.reached.acquire()
    assert (first.preview(), second.preview()) == (b"preview of 5", None)
    gate.pass_on.release()
    gate.reached.acquire()
    assert (first.preview(), second.preview()) == (None, b"preview of 6")
    gate.pass_on.release()
    assert second.wait().state == "done"


def test_an_error_for_the_user_is_told_and_the_next_job_runs(
    queue: JobQueue, start_worker: StartWorker, draw: Draw, request_of: RequestOf
) -> None:
    def fails_on_13(request: GenerationRequest, batch: int) -> Iterator[Any]:
        yield from draw(request, batch)
        if request.seed == 13:
            raise OutOfMemory("Not enough memory for 64x64. Try a smaller size.")

    start_worker(queue, fails_on_13)
    bad, good = queue.submit(request_of(seed=13)), queue.submit(request_of(seed=14))
    final = bad.wait()
    assert (final.state, final.error) == ("failed", "Not enough memory for 64x64. Try a smaller size.")
    assert len(final.pictures) == 1
    assert good.wait().state == "done"


def test_a_bug_is_logged_with_its_traceback_and_the_next_job_runs(
    queue: JobQueue, start_worker: StartWorker, draw: Draw, request_of: RequestOf, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(request: GenerationRequest, batch: int) -> Iterator[Any]:
        if request.seed == 13:
            raise ZeroDivisionError("a bug")
        yield from draw(request, batch)

    start_worker(queue, broken)
    bad, good = queue.submit(request_of(seed=13)), queue.submit(request_of(seed=14))
    assert (bad.wait().state, bad.wait().error) == ("failed", INTERNAL_ERROR)
    assert good.wait().state == "done"
    assert "ZeroDivisionError: a bug" in caplog.text


def test_an_engine_that_cannot_start_fails_jobs_with_its_sentence(queue: JobQueue, request_of: RequestOf) -> None:
    started = threading.Event()

    def make_run() -> Run:
        started.wait()
        raise UnreadableModel("libtorch.so cannot be read. Install torch again.")

    early = queue.submit(request_of())
    worker = Worker("cpu", queue, make_run, starting="Loading torch")
    assert (worker.status.state, worker.status.text) == ("starting", "Loading torch")
    worker.start()
    started.set()
    assert (early.wait().state, early.wait().error) == ("failed", "libtorch.so cannot be read. Install torch again.")
    assert queue.submit(request_of()).wait().error == "libtorch.so cannot be read. Install torch again."
    assert (worker.status.state, worker.status.text) == ("failed", "libtorch.so cannot be read. Install torch again.")
    worker.close()


def test_a_device_that_cannot_start_leaves_its_jobs_to_the_others(
    queue: JobQueue, start_worker: StartWorker, draw: Draw, request_of: RequestOf
) -> None:
    def make_run() -> Run:
        raise UnreadableModel("No such device.")

    broken = Worker("gpu 7", queue, make_run)
    start_worker(queue, draw)
    broken.start()
    jobs = [queue.submit(request_of(seed=seed)) for seed in range(5)]
    assert [job.wait().state for job in jobs] == ["done"] * 5
    broken.close()


def test_several_workers_share_the_jobs_of_many_owners(
    queue: JobQueue, start_worker: StartWorker, draw: Draw, outputs: Outputs, request_of: RequestOf
) -> None:
    for name in ("gpu 0", "gpu 1", "gpu 2"):
        start_worker(queue, draw, name)
    jobs = [queue.submit(request_of(seed=10 * n, batch_count=2), f"owner {n % 4}") for n in range(12)]
    finals = [job.wait() for job in jobs]
    assert [final.state for final in finals] == ["done"] * 12
    paths = [saved.path for final in finals for saved in final.pictures]
    assert len(set(paths)) == 24
    assert all(outputs.holds(path) for path in paths)
    assert all(saved.seed // 10 * 10 == final.request.seed for final in finals for saved in final.pictures)


def test_closing_parks_the_running_job_and_the_next_start_finishes_it(
    open_queue: Callable[..., JobQueue], start_worker: StartWorker, draw: Draw, outputs: Outputs, request_of: RequestOf
) -> None:
    gate = Gate(draw)
    queue = open_queue()
    worker = start_worker(queue, gate)
    assert worker.status.state in ("starting", "ready")
    job = queue.submit(request_of(batch_count=3))
    gate.pass_on.release()
    gate.reached.acquire()
    gate.reached.acquire()
    worker.ask_to_close()
    gate.pass_on.release()
    worker.close()
    assert worker.status.state == "closed"
    snapshot = job.snapshot()
    assert (snapshot.state, snapshot.place, len(snapshot.pictures)) == ("waiting", 1, 1)
    queue.close()

    queue = open_queue()
    outputs.remove_leftovers(queue.will_draw)
    start_worker(queue, draw)
    final = queue.job(job.id).wait()
    assert (final.state, [saved.index for saved in final.pictures]) == ("done", [0, 1, 2])
    assert final.pictures[0] == snapshot.pictures[0]
    assert len(list(outputs.folder.rglob("*.png"))) == 3


def test_closing_an_idle_worker_does_not_wait_for_a_job(queue: JobQueue, start_worker: StartWorker, draw: Draw) -> None:
    start_worker(queue, draw).close()
    Worker("never started", queue, lambda: pytest.fail("not asked to")).close()


class TestOutputsThatCannotBeWritten:
    @pytest.fixture
    def blocked(self, tmp_path: Path) -> Outputs:
        """A file where the folder should be: nobody, not even root, can write there."""
        (tmp_path / "pictures").write_text("in the way")
        return Outputs(tmp_path / "pictures")

    def test_finished_pictures_are_rescued_and_the_next_job_works_once_the_cause_has_gone(
        self,
        queue: JobQueue,
        start_worker: StartWorker,
        draw: Draw,
        blocked: Outputs,
        rescue: Outputs,
        request_of: RequestOf,
    ) -> None:
        start_worker(queue, draw, outputs=blocked)
        final = queue.submit(request_of(seed=40, batch_count=2, batch_size=2)).wait()
        assert final.state == "failed" and str(blocked.folder) in final.error
        assert "A file stands where a folder should be" in final.error
        assert final.pictures == ()
        kept = sorted(rescue.folder.rglob("*.png"))
        assert len(kept) == 2, "the batch that was drawn is kept whole; the next is not begun"
        assert [notice for notice in final.notices if str(kept[0]) in notice]
        assert "Seed: 40" in read_metadata(kept[0])["parameters"]

        blocked.folder.unlink()
        assert queue.submit(request_of()).wait().state == "done"

    def test_a_picture_that_cannot_be_rescued_either_is_told(
        self, queue: JobQueue, blocked: Outputs, draw: Draw, request_of: RequestOf
    ) -> None:
        from webui.jobs.tasks import run

        def run_job(job: Assignment) -> Generator[JobEvent, None, None]:
            return run(job, draw=draw, outputs=blocked, rescue=blocked)

        worker = Worker("cpu", queue, lambda: run_job)
        worker.start()
        final = queue.submit(request_of()).wait()
        worker.close()
        assert final.state == "failed" and str(blocked.folder) in final.error
        assert any("Picture 1 is lost" in notice for notice in final.notices)


def test_an_errand_is_done_in_the_worker_s_thread_before_its_next_job_and_may_fail(
    queue: JobQueue, start_worker: StartWorker, draw: Draw, request_of: RequestOf
) -> None:
    worker = start_worker(queue, draw)
    done: list[str] = []
    told = threading.Event()

    def errand() -> None:
        done.append(threading.current_thread().name)
        told.set()
        raise UnreadableModel("no matter")

    worker.ask(errand)
    assert told.wait(60), "also while no job comes"
    assert done == ["worker-cpu"]
    assert queue.submit(request_of()).wait().state == "done"
