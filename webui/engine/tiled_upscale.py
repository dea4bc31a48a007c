"""SD upscale: a picture is enlarged, cut into tiles, each drawn over as img2img does, and put together again.

Every tile is of the size that the model was trained on, and so is the memory that it takes. Neighbours overlap, and go over into
each other there: the later one, to the right or below, comes in evenly over the first ``overlap`` pixels of it.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from webui.domain.enlarging import NO_UPSCALER
from webui.domain.events import Loading, Notice, Preview, Step
from webui.domain.request import GenerationRequest
from webui.domain.sizes import Box, HiresTarget, Size
from webui.domain.tile_grid import enlarged_size, tile_rows
from webui.engine.canvas import Canvas
from webui.engine.hires import enlarged
from webui.engine.latents import PREVIEW_SIDE
from webui.engine.model_manager import ModelManager, Selection
from webui.engine.overlay import recoloured
from webui.engine.resizing import flattened

Events = Generator[Loading | Step | Preview | Notice, None, list[Image.Image]]
DrawTile = Callable[[GenerationRequest, Sequence[GenerationRequest], Canvas], Events]
"""(request, its pictures, the canvas of the tile) -> a picture for each."""

Pixels = np.ndarray[Any, Any]


def drawn_in_tiles(
    request: GenerationRequest,
    pictures: Sequence[GenerationRequest],
    picture: Image.Image,
    selection: Selection,
    models: ModelManager,
    draw: DrawTile,
) -> Events:
    """A large picture for each of ``pictures``, the members of a batch. Tile n has the picture's seed + n, as in A1111."""
    ground = flattened(picture, request.transparent_ground)
    large = yield from _enlarged(request, ground, selection, models)
    tile = Size(request.width, request.height)
    rows = tile_rows(Size(*large.size), tile, request.sd_upscale_overlap)
    boxes = [box for row in rows for box in row]
    small = _Small(large)
    drawn: list[list[Image.Image]] = []
    # of color correction the whole picture is the measure, or each tile would get a light of its own
    plain = replace(request, sd_upscale=False, color_correction=False)
    for number, box in enumerate(boxes):
        part = large.crop(box)
        seeded = [replace(each, sd_upscale=False, seed=each.seed + number) for each in pictures]
        drawing = draw(plain, seeded, Canvas(plain, part, part, None))
        results = yield from _as_part(drawing, number, len(boxes), small if len(pictures) == 1 else None, box)
        drawn.append(results)
        small.paste(results[0], box)
    joined = [
        _joined(rows, [of_tile[row] for of_tile in drawn], Size(*large.size), request.sd_upscale_overlap)
        for row in range(len(pictures))
    ]
    return [recoloured(one, large) for one in joined] if request.color_correction else joined


def _enlarged(
    request: GenerationRequest, picture: Image.Image, selection: Selection, models: ModelManager
) -> Generator[Loading | Notice, None, Image.Image]:
    width, height = enlarged_size(request, Size(*picture.size))
    if request.sd_upscale_upscaler == NO_UPSCALER:
        return picture
    file = selection.upscaler
    if file is not None:
        yield from models.load_upscalers([file])
    upscaler = request.sd_upscale_upscaler if file is None else models.upscaler(file)
    (large,) = yield from enlarged([picture], HiresTarget(width, height), upscaler, models)
    return large


def _as_part(drawing: Events, number: int, count: int, small: _Small | None, box: Box) -> Events:
    """Steps of a tile as those of the whole, and its preview at its place."""
    while True:
        try:
            event = next(drawing)
        except StopIteration as finished:
            results: list[Image.Image] = finished.value
            return results
        if isinstance(event, Step):
            yield replace(event, batch=event.batch * count + number, batches=event.batches * count)
        elif isinstance(event, Preview):
            jpeg = event.jpeg if small is None else small.with_part(event.jpeg, box)
            yield replace(event, batch=event.batch * count + number, jpeg=jpeg)
        else:
            yield event


def _joined(rows: Sequence[Sequence[Box]], tiles: Sequence[Image.Image], size: Size, overlap: int) -> Image.Image:
    """The tiles at their places: a row from left to right, then the rows from top to bottom."""
    whole = np.zeros((size.height, size.width, 3), np.uint8)
    left = iter(tiles)
    for row in rows:
        strip = np.zeros((row[0].height, size.width, 3), np.float32)
        for box in row:
            _blend(strip[:, box.left : box.right], np.asarray(next(left), np.float32), overlap if box.left else 0, 1)
        place = whole[row[0].top : row[0].bottom]
        blended = place.astype(np.float32)
        _blend(blended, strip, overlap if row[0].top else 0, 0)
        place[:] = np.rint(blended)
    return Image.fromarray(whole)


def _blend(below: Pixels, above: Pixels, overlap: int, axis: int) -> None:
    """Lay ``above`` over ``below``, which it changes: its first ``overlap`` pixels along ``axis`` count n / overlap."""
    share = np.minimum(np.arange(above.shape[axis], dtype=np.float32) / overlap, 1) if overlap else np.float32(1)
    if overlap:
        share = np.expand_dims(share, (1, 2) if axis == 0 else (0, 2))
    below[:] = below + (above - below) * share


class _Small:
    """The whole picture as previews show it, with what is drawn already."""

    def __init__(self, large: Image.Image) -> None:
        self._scale = min(1.0, PREVIEW_SIDE / max(large.size))
        self._picture = large.resize([max(1, round(side * self._scale)) for side in large.size])

    def paste(self, part: Image.Image, box: Box) -> None:
        left, top, right, bottom = (round(edge * self._scale) for edge in box)
        self._picture.paste(part.resize((max(1, right - left), max(1, bottom - top))), (left, top))

    def with_part(self, jpeg: bytes, box: Box) -> bytes:
        before, buffer = self._picture.copy(), io.BytesIO()
        with Image.open(io.BytesIO(jpeg)) as part:
            self.paste(part.convert("RGB"), box)
        self._picture.save(buffer, "JPEG", quality=85)
        self._picture = before
        return buffer.getvalue()
