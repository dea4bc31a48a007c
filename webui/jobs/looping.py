"""Loopback: a picture is drawn, that picture is drawn over, and so on; each loop's picture is kept.

Each loop is a request of its own, plain img2img. What it begins with, the picture of the loop before, is handed in for the owner
as any input picture, so that each can be drawn again alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from PIL import Image

from webui.domain.events import Preview, Step
from webui.domain.request import GenerationRequest
from webui.engine.drawn import Drawn
from webui.jobs.tasks import Draw


def looping(draw: Draw, keep: Callable[[Image.Image], str]) -> Draw:
    """``draw`` for requests of several loops too. ``keep`` hands a picture in and returns its id."""

    def draw_loops(request: GenerationRequest, run: int) -> Iterator[Any]:
        if not request.loops_back:
            yield from draw(request, run)
            return
        source = request.init_image
        for loop in range(request.loops):
            index = run * request.loops + loop
            alone = replace(request.picture(index), init_image=source)
            for event in draw(alone, 0):
                if isinstance(event, Step):
                    yield replace(event, batch=index, batches=request.picture_count)
                elif isinstance(event, Preview):
                    yield replace(event, batch=index)
                elif isinstance(event, Drawn):
                    if loop + 1 < request.loops:
                        source = keep(event.image)
                    told = {**event.facts, **_told(request, loop), "init_image": alone.init_image}
                    yield replace(event, index=index, facts=told)
                else:
                    yield event

    return draw_loops


def _told(request: GenerationRequest, loop: int) -> dict[str, str]:
    """What the infotext says beside what belongs to this picture alone, in A1111's words."""
    return {
        "Loop": f"{loop + 1} of {request.loops}",
        "Final denoising strength": f"{request.final_denoising_strength:g}",
        "Denoising curve": request.denoising_curve,
    }
