"""What a job is made of: draw each batch, save each picture as soon as it is finished."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator, Iterator
from typing import Any

from webui.domain.enlarged_infotext import enlarged_infotext, source_request
from webui.domain.enlarging import EnlargeRequest
from webui.domain.events import JobEvent, Loading, Notice, Preview, Saved, Step
from webui.domain.infotext import write
from webui.domain.request import PARAMETERS, GenerationRequest
from webui.engine.drawn import Drawn
from webui.errors import StorageFailure
from webui.jobs.job import Assignment
from webui.jobs.outputs import Outputs

Draw = Callable[[Any, int], Iterator[Loading | Step | Preview | Notice | Drawn]]
"""Makes run n (0 ... runs - 1) of a request, mostly a batch; a generator, closed to stop it."""


def run(
    job: Assignment, *, draw: Draw, outputs: Outputs, rescue: Outputs, version: str = ""
) -> Generator[JobEvent, None, None]:
    """Draw and save all pictures of the job that no earlier run has saved. ``version`` goes into their infotext.

    A batch whose pictures are all there is skipped; of one that is half there, the missing ones are saved. A picture that
    ``outputs`` cannot take goes to ``rescue``, and when its batch is finished the job fails with StorageFailure.
    """
    size = job.request.pictures_per_run
    for batch in range(job.request.runs):
        if job.done.issuperset(range(batch * size, (batch + 1) * size)):
            continue
        job.skip.clear()  # it was meant for the batch before
        failure: StorageFailure | None = None
        drawing = draw(job.request, batch)
        try:
            for event in drawing:
                if not isinstance(event, Drawn):
                    yield event
                elif event.index not in job.done:
                    try:
                        yield from _saved(job, event, outputs, version)
                    except StorageFailure as error:
                        failure = error
                        yield from _rescued(job, event, rescue, version)
                if job.skip.is_set():
                    break
        finally:
            if isinstance(drawing, Generator):
                drawing.close()
        if failure is not None:
            raise failure


def _saved(job: Assignment, drawn: Drawn, outputs: Outputs, version: str) -> Generator[JobEvent, None, None]:
    """Save a picture; whoever pulls notes it before the saving counts as finished."""
    request, infotext = _described(job, drawn, version)
    with outputs.saving(
        drawn.image,
        request,
        job.kind,
        infotext,
        owner=job.owner,
        job=job.id,
        index=drawn.index,
        batch_size=job.request.pictures_per_run,
    ) as kept:
        yield Saved(drawn.index, drawn.seed, kept.path, infotext, *drawn.image.size)
    if kept.notice:
        yield Notice(kept.notice)


def _rescued(job: Assignment, drawn: Drawn, rescue: Outputs, version: str) -> Generator[Notice, None, None]:
    request, infotext = _described(job, drawn, version)
    try:
        path = rescue.save(drawn.image, request, job.kind, infotext)
    except StorageFailure as error:
        yield Notice(f"Picture {drawn.index + 1} is lost. {error}")
    else:
        yield Notice(f"Picture {drawn.index + 1} is kept in {rescue.folder / path}.")


def _described(job: Assignment, drawn: Drawn, version: str) -> tuple[GenerationRequest, str]:
    """The request that draws this picture alone, with what drawing it has told, and its infotext."""
    if isinstance(job.request, EnlargeRequest):
        return source_request(job.request, drawn.index), enlarged_infotext(job.request, drawn.index)
    told = {name: value for name, value in drawn.facts.items() if name in PARAMETERS}
    extra = {name: value for name, value in drawn.facts.items() if name not in PARAMETERS}
    request = dataclasses.replace(job.request.picture(drawn.index), **told)  # type: ignore[arg-type]
    infotext = write(request, version=version, extra=extra)
    return request, infotext.encode("utf-8", "replace").decode("utf-8")  # half a surrogate pair can be stored nowhere
