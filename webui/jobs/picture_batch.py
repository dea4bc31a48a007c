"""Several input pictures in one job: each is drawn over by a request of its own, one after another."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from webui.domain.events import Preview, Step
from webui.domain.picture_batch import OWN
from webui.domain.request import GenerationRequest
from webui.engine.drawn import Drawn
from webui.errors import InvalidRequest
from webui.jobs.tasks import Draw


def each_picture(draw: Draw) -> Draw:
    """``draw`` for requests of several input pictures too."""

    def draw_each(request: GenerationRequest, run: int) -> Iterator[Any]:
        if not request.batch_entries:
            yield from draw(request, run)
            return
        count = len(request.batch_entries)
        runs, pictures = request.runs // count, request.picture_count // count
        place = run // runs
        for event in draw(request.of_entry(place), run % runs):
            if isinstance(event, Step):
                yield replace(event, batch=place * event.batches + event.batch, batches=count * event.batches)
            elif isinstance(event, Preview):
                yield replace(event, batch=place * runs + event.batch)
            elif isinstance(event, Drawn):
                yield replace(event, index=place * pictures + event.index)
            else:
                yield event

    return draw_each


def resolved_each(
    request: GenerationRequest, resolve: Callable[[GenerationRequest], GenerationRequest]
) -> GenerationRequest:
    """The request with every name in full, those of each picture too. Errors tell which picture they are about."""
    whole = resolve(replace(request, batch_pictures=""))
    entries = []
    for place, entry in enumerate(request.batch_entries):
        try:
            given = replace(whole, **entry)
            one = given if set(entry) == {"init_image"} else resolve(given)
        except InvalidRequest as error:
            raise InvalidRequest(f"Picture {place + 1}: {error}", "batch_pictures") from error
        own = {name: getattr(one, name) for name in OWN if getattr(one, name) != getattr(whole, name)}
        entries.append({"init_image": entry["init_image"], **own})
    return replace(whole, batch_pictures=json.dumps(entries)) if entries else whole
