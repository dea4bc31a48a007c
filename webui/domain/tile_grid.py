"""Where the tiles of "SD upscale" lie: all of one size, spread evenly, so that they overlap at least as far as asked for.

A1111's arithmetic, rounding included.
"""

from __future__ import annotations

import math

from webui.domain.enlarging import MOST_PIXELS, NO_UPSCALER
from webui.domain.request import GenerationRequest
from webui.domain.sizes import Box, Size
from webui.errors import InvalidRequest


def starts(length: int, tile: int, overlap: int) -> list[int]:
    """Where tiles of ``tile`` pixels begin on a side of ``length`` pixels, at least as long as one tile.

    >>> starts(1024, 512, 64), starts(1000, 512, 64), starts(512, 512, 64)
    ([0, 256, 512], [0, 244, 488], [0])
    """
    count = max(1, math.ceil((length - overlap) / (tile - overlap)))
    apart = (length - tile) / (count - 1) if count > 1 else 0.0
    return [min(int(number * apart), length - tile) for number in range(count)]


def tile_rows(picture: Size, tile: Size, overlap: int) -> list[list[Box]]:
    """The tiles, row by row from the top, each from the left."""
    return [
        [Box(x, y, x + tile.width, y + tile.height) for x in starts(picture.width, tile.width, overlap)]
        for y in starts(picture.height, tile.height, overlap)
    ]


def enlarged_size(request: GenerationRequest, picture: Size) -> Size:
    """How large ``picture`` becomes before its tiles are drawn; a multiple of 8 pixels, rounded down.

    Raises ``InvalidRequest`` for what cannot be drawn in tiles.
    """
    size = picture
    if request.sd_upscale_upscaler != NO_UPSCALER:
        size = Size(*(int(side * request.sd_upscale_by) // 8 * 8 for side in picture))
    if request.sd_upscale_overlap >= min(request.width, request.height):
        raise InvalidRequest(
            f"Tiles of {request.width} x {request.height} pixels cannot overlap by {request.sd_upscale_overlap}. "
            "Choose a smaller overlap, or a larger width and height.",
            "sd_upscale_overlap",
        )
    if size.width < request.width or size.height < request.height:
        raise InvalidRequest(
            f"{picture.width} x {picture.height} pixels would become {size.width} x {size.height}, less than one tile of "
            f"{request.width} x {request.height}. Choose a larger factor, or a smaller width and height.",
            "sd_upscale_by",
        )
    if size.width * size.height > MOST_PIXELS:
        raise InvalidRequest(
            f"{picture.width} x {picture.height} pixels would become {size.width} x {size.height}; at most "
            f"{MOST_PIXELS / 1e6:.0f} million are drawn. Choose a smaller factor.",
            "sd_upscale_by",
        )
    return size
