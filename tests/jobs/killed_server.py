"""A server without a page, to be killed: the process that ``test_kill9.py`` starts. Not a test itself.

    killed_server.py DATA_FOLDER JOBS [PLACE]

It adopts what is there, submits JOBS jobs (two owners, two batches of two pictures each), draws, and writes a line to
stdout for everything that happens: ``submitted <id>``, ``started``, ``step``, ``saved``, ``idle``. At PLACE it writes
``there`` and stays, as real code reaches that place (a Python audit event tells of it).
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable, Generator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from webui.domain.events import JobEvent, Saved, Step
from webui.domain.request import GenerationRequest
from webui.engine.drawn import Drawn
from webui.jobs.job import Assignment
from webui.jobs.outputs import Outputs
from webui.jobs.queue import JobQueue
from webui.jobs.tasks import run
from webui.jobs.worker import Worker

# place -> the audit event and its first argument that mark it
PLACES: dict[str, Callable[[str, str], bool]] = {
    "temporary file made": lambda event, path: event == "open" and path.endswith(".tmp"),
    "before the name": lambda event, path: event == "os.link",
    "before the folder is synced": lambda event, path: event == "open" and path.endswith("/outputs"),
    "before the temporary name goes": lambda event, path: event == "os.remove" and path.endswith(".tmp"),
}


def say(text: str) -> None:
    os.write(1, f"{text}\n".encode())  # in one piece, as two threads speak


def stay() -> None:
    say("there")
    sys.stdin.read()  # until it is killed, or the test has gone
    os._exit(1)


def draw(request: GenerationRequest, batch: int) -> Iterator[Any]:
    for step in range(1, request.steps + 1):
        say("step")
        yield Step(step, request.steps, batch, request.batch_count, 1.0)
    for index in range(batch * request.batch_size, (batch + 1) * request.batch_size):
        seed = request.picture(index).seed
        yield Drawn(index, seed, Image.frombytes("RGB", (64, 64), random.Random(seed).randbytes(64 * 64 * 3)))


def main(data: Path, jobs: int, place: str) -> None:
    outputs = Outputs(data / "outputs", folder_pattern="", filename_pattern="[seed]")
    rescue = Outputs(data / "rescued")
    queue = JobQueue(data / "var" / "lucid.sqlite3")
    outputs.remove_leftovers(queue.will_draw)
    if place in PLACES:
        is_there, saved = PLACES[place], 0

        def watch(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal saved
            if event in ("open", "os.link", "os.remove") and is_there(event, str(arguments[0])):
                saved += 1
                if saved == 2:  # let the first picture pass
                    stay()

        sys.addaudithook(watch)

    def run_and_tell(job: Assignment) -> Generator[JobEvent, None, None]:
        say("started")
        count = 0
        for event in run(job, draw=draw, outputs=outputs, rescue=rescue):
            yield event
            if isinstance(event, Saved):
                say("saved")
                count += 1
                if place == "noted" and count == 1:
                    stay()

    worker = Worker("cpu", queue, lambda: run_and_tell)
    worker.start()
    adopted = queue.jobs()
    submitted = []
    for number in range(jobs):
        request = GenerationRequest(
            seed=random.randrange(2**40), steps=3, width=64, height=64, batch_count=2, batch_size=2
        )
        submitted.append(queue.submit(request, ("anna", "bert")[number % 2]))
        say(f"submitted {submitted[-1].id}")
    for job in adopted + submitted:
        job.wait()
    say("idle")
    worker.close()
    queue.close()


if __name__ == "__main__":
    partial(main, Path(sys.argv[1]), int(sys.argv[2]))(" ".join(sys.argv[3:]))
