"""The real engine behind the queue, on tiny weights."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path

from PIL import Image

from webui.domain.request import GenerationRequest
from webui.engine.generate import Options
from webui.jobs import tasks
from webui.jobs.drawing import Workplace, model_manager, set_up
from webui.jobs.outputs import Outputs
from webui.jobs.queue import JobQueue
from webui.jobs.worker import Worker
from webui.library.index import Library

REQUEST = GenerationRequest(prompt="a cat", checkpoint="tiny", width=64, height=64, steps=2, sampler="Euler a")


def test_several_workers_draw_side_by_side_and_alike(tiny_checkpoint: Path, tmp_path: Path) -> None:
    library = Library({"checkpoint": (tiny_checkpoint.parent,)}, tmp_path / "hashes.sqlite3")
    library.rescan()
    queue, outputs = JobQueue(tmp_path / "jobs.sqlite3"), Outputs(tmp_path / "outputs")

    def make_run():
        draw = set_up(library, model_manager(Workplace("cpu")), Options(preview="off"))
        return partial(tasks.run, draw=draw, outputs=outputs, rescue=outputs)

    workers = [Worker(name, queue, make_run) for name in ("first", "second")]
    for worker in workers:
        worker.start()
    jobs = [queue.submit(GenerationRequest(**{**vars(REQUEST), "seed": seed})) for seed in (1, 2, 1, 2)]
    finished = [job.wait() for job in jobs]
    for worker in workers:
        worker.close()
    queue.close()

    assert [(job.state, job.error) for job in finished] == [("done", "")] * 4
    files = [outputs.resolve(job.pictures[0].path).read_bytes() for job in finished]
    one, two, one_again, two_again = (Image.open(io.BytesIO(content)).tobytes() for content in files)
    assert (one, two) == (one_again, two_again)
    assert one != two
