"""Prompts in which the seed chooses: each picture of a batch gets its own choices, and is drawn with them.

Pictures whose prompts differ are drawn one after another through the same function, each as it would be alone; a batch whose
pictures have the same prompts stays a batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from webui.domain.chosen_prompts import PROMPTS, ChosenPrompts, choose_prompts
from webui.domain.events import Notice, Preview, Step
from webui.domain.request import GenerationRequest
from webui.engine.drawn import Drawn
from webui.jobs.tasks import Draw


def choosing(draw: Draw, wildcards: Mapping[str, str]) -> Draw:
    """``draw`` for requests whose prompts hold choices. ``wildcards`` as in :func:`webui.domain.wildcards.resolve`."""

    def draw_chosen(request: GenerationRequest, batch: int) -> Iterator[Any]:
        first = batch * request.batch_size
        pictures = [
            choose_prompts(request.picture(index), wildcards) for index in range(first, first + request.batch_size)
        ]
        yield from (Notice(remark) for picture in pictures for remark in picture.remarks)
        prompts = [_prompts(picture) for picture in pictures]
        if all(chosen == prompts[0] for chosen in prompts):
            for event in draw(replace(request, **prompts[0]), batch):
                yield _told(event, pictures[event.index - first]) if isinstance(event, Drawn) else event
            return
        for place, picture in enumerate(pictures):
            for event in draw(picture.request, 0):
                yield _in_batch(event, request, batch, place, picture)

    return draw_chosen


def _prompts(picture: ChosenPrompts) -> dict[str, Any]:
    return {name: getattr(picture.request, name) for name in PROMPTS}


def _told(drawn: Drawn, picture: ChosenPrompts) -> Drawn:
    """With what was chosen, for the picture's infotext."""
    chosen = _prompts(picture) if picture.templates else {}
    return replace(drawn, facts={**drawn.facts, **chosen, **picture.templates})


def _in_batch(event: Any, request: GenerationRequest, batch: int, place: int, picture: ChosenPrompts) -> Any:
    """What the drawing of one picture tells, as a part of its batch."""
    if isinstance(event, Step):  # counted through, so that the progress does not begin anew with each picture
        steps = event.steps * request.batch_size
        step = event.step + event.steps * place if event.steps else event.step
        return replace(event, step=step, steps=steps, batch=batch, batches=request.batch_count)
    if isinstance(event, Preview):
        return replace(event, batch=batch)
    if isinstance(event, Drawn):
        return replace(_told(event, picture), index=batch * request.batch_size + place)
    return event
