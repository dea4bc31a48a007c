"""The Extras tab's enlarging: by one upscaler, or by two whose pictures are laid over each other."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import replace

from PIL import Image

from webui.domain.enlarging import NO_UPSCALER, EnlargeRequest
from webui.domain.events import Notice, Step
from webui.domain.sizes import Size
from webui.engine.enlarge import enlarge
from webui.engine.model_manager import ModelManager
from webui.engine.upscaler import Upscaler


def enlarged(
    picture: Image.Image, request: EnlargeRequest, upscalers: Mapping[str, Upscaler], models: ModelManager
) -> Generator[Step | Notice, None, Image.Image]:
    """The picture as the request wants it. ``upscalers``: the networks that it names, in memory.

    With the upscaler "None" it keeps its size. Yields a step for each tile, counted over both upscalers.
    """
    if request.upscaler_1 == NO_UPSCALER:
        return picture
    target = request.target(Size(*picture.size))
    names = used_upscalers(request)
    results = []
    for turn, name in enumerate(names):
        working = enlarge(picture, target.size, upscalers.get(name, name), models)
        results.append((yield from _in_turn(working, turn, len(names))))
    result = results[0]
    if len(results) == 2:
        result = Image.blend(result, results[1], request.upscaler_2_visibility)
    return result if target.crop is None else result.crop(target.crop)


def used_upscalers(request: EnlargeRequest) -> tuple[str, ...]:
    """The names of those that have an effect, the first one first."""
    if request.upscaler_1 == NO_UPSCALER:
        return ()
    second = request.upscaler_2 != NO_UPSCALER and request.upscaler_2_visibility > 0
    return (request.upscaler_1, request.upscaler_2) if second else (request.upscaler_1,)


def _in_turn(
    working: Generator[Step | Notice, None, Image.Image], turn: int, turns: int
) -> Generator[Step | Notice, None, Image.Image]:
    """Steps of one of several upscalers, as if they all took as many."""
    while True:
        try:
            event = next(working)
        except StopIteration as finished:
            result: Image.Image = finished.value
            return result
        if isinstance(event, Step):
            event = replace(event, step=event.step + turn * event.steps, steps=event.steps * turns)
        yield event
