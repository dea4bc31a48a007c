"""A draw function as the engine's, but quick: real events and real pictures whose pixels come from the seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from webui.domain.events import Loading, Notice, Preview, Step
from webui.domain.request import GenerationRequest
from webui.engine.drawn import Drawn
from webui.jobs.outputs import Outputs
from webui.jobs.queue import JobQueue
from webui.jobs.tasks import Draw, run
from webui.jobs.worker import Worker


@pytest.fixture
def request_of() -> Callable[..., GenerationRequest]:
    """A small request; the keywords are its fields."""

    def make(**fields: object) -> GenerationRequest:
        small = {"seed": 1, "steps": 3, "width": 64, "height": 64, "sampler": "Euler"}
        return GenerationRequest(**{**small, **fields})

    return make


@pytest.fixture
def picture_of() -> Callable[[int], Image.Image]:
    """The picture of a seed."""

    def noise(seed: int) -> Image.Image:
        return Image.frombytes("RGB", (64, 64), random.Random(seed).randbytes(64 * 64 * 3))

    return noise


@pytest.fixture
def draw(picture_of: Callable[[int], Image.Image]) -> Draw:
    def draw(request: GenerationRequest, batch: int) -> Iterator[Loading | Step | Preview | Notice | Drawn]:
        for step in range(1, request.steps + 1):
            yield Step(step, request.steps, batch, request.batch_count, 1.0)
            yield Preview(f"preview of {request.seed}".encode(), step, batch)
        for index in range(batch * request.batch_size, (batch + 1) * request.batch_size):
            seed = request.picture(index).seed
            yield Drawn(index, seed, picture_of(seed))

    return draw


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def outputs(data: Path) -> Outputs:
    return Outputs(data / "outputs")


@pytest.fixture
def rescue(data: Path) -> Outputs:
    return Outputs(data / "rescued")


@pytest.fixture
def open_queue(data: Path) -> Iterator[Callable[..., JobQueue]]:
    """Opens queues on one data folder; those still open are closed in the end."""
    opened: list[JobQueue] = []

    def open_queue(**options: object) -> JobQueue:
        opened.append(JobQueue(data / "lucid.sqlite3", **options))
        return opened[-1]

    yield open_queue
    for queue in opened:
        queue.close()


@pytest.fixture
def queue(open_queue: Callable[..., JobQueue]) -> JobQueue:
    return open_queue()


@pytest.fixture
def start_worker(outputs: Outputs, rescue: Outputs) -> Iterator[Callable[..., Worker]]:
    """Starts workers that run jobs with a draw function; they are closed in the end (before their queue)."""
    started: list[Worker] = []

    def start(queue: JobQueue, draw: Draw, name: str = "cpu", outputs: Outputs = outputs) -> Worker:
        worker = Worker(name, queue, lambda: lambda job: run(job, draw=draw, outputs=outputs, rescue=rescue))
        started.append(worker)
        worker.start()
        return worker

    yield start
    for worker in started:
        worker.close()
