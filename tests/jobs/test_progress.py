from __future__ import annotations

from collections.abc import Callable

import pytest

from webui.domain.events import Saved, Step
from webui.domain.request import GenerationRequest
from webui.draw import _progress_text
from webui.jobs.queue import JobQueue

RequestOf = Callable[..., GenerationRequest]
OpenQueue = Callable[..., JobQueue]


def test_a_sampler_that_decides_itself_when_it_is_done_has_no_eta_and_tells_no_pace(
    open_queue: OpenQueue, request_of: RequestOf
) -> None:
    now = 0.0
    queue = open_queue(clock=lambda: now)
    queue.join("cpu")
    job, waiting = (queue.submit(request_of(sampler="DPM adaptive", batch_count=2)) for _ in range(2))
    queue.take("cpu")
    for step in range(1, 31):
        now += 0.5
        queue.report(job.id, Step(step, 0, 0, 2, 14.6 / step))
    snapshot = job.snapshot()
    assert snapshot.step == Step(30, 0, 0, 2, 14.6 / 30)
    assert snapshot.steps_per_second == pytest.approx(2.0)
    assert snapshot.eta is None
    for index in (0, 1):
        queue.report(job.id, Saved(index, 1, "1.png", "", 64, 64))
    queue.finish(job.id, "done")
    assert waiting.snapshot().eta is None, "so many calls to a step say nothing of other samplers"


def test_the_command_line_tells_the_call_and_the_noise_level_instead(queue: JobQueue, request_of: RequestOf) -> None:
    job = queue.submit(request_of(sampler="DPM adaptive", batch_count=2))
    queue.take("cpu")
    queue.report(job.id, Step(7, 0, 1, 2, 3.14159))
    text = _progress_text(job.snapshot())
    assert "50% call 7, noise level 3.14, batch 2/2" in text
