"""Make a picture larger: by computing between its pixels (Lanczos, Nearest), or by a network that invents detail."""

from __future__ import annotations

from collections.abc import Generator
from functools import partial

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from webui.domain.events import Notice, Step
from webui.domain.sizes import Size
from webui.engine.model_manager import ModelManager
from webui.engine.recovery import Way, with_recovery
from webui.engine.upscaler import SMALLEST_TILE, TILE, Upscaler

Resampler = str  # a name in RESAMPLERS
_FILTERS = {"Lanczos": Image.Resampling.LANCZOS, "Nearest": Image.Resampling.NEAREST}
MOST_PASSES = 3  # A1111's: a network of scale 1 would never come to an end


def enlarge(
    picture: Image.Image, size: Size, upscaler: Upscaler | Resampler, models: ModelManager
) -> Generator[Step | Notice, None, Image.Image]:
    """The picture (RGB or RGBA) at ``size``.

    A network enlarges by its own factor, again and again until the size is reached; Lanczos then shrinks what is too much.
    What is transparent is enlarged by Lanczos, as networks know colours only. Yields a step for each tile.
    """
    if isinstance(upscaler, str):
        return picture.resize(size, _FILTERS[upscaler])
    large = picture.convert("RGB")
    for _ in range(MOST_PASSES):
        if large.width >= size.width and large.height >= size.height and large.size != picture.size:
            break
        large = to_picture((yield from _in_tiles(to_pixels(large), upscaler, models)))
        if upscaler.scale == 1:
            break
    large = large.resize(size, Image.Resampling.LANCZOS) if large.size != size else large
    if picture.mode == "RGBA":
        large.putalpha(picture.getchannel("A").resize(size, Image.Resampling.LANCZOS))
    return large


def _in_tiles(pixels: Tensor, upscaler: Upscaler, models: ModelManager) -> Generator[Step | Notice, None, Tensor]:
    """With smaller tiles when memory runs out, and in full precision when half is not enough."""
    sizes = [TILE]
    while sizes[-1] > SMALLEST_TILE:
        sizes.append(sizes[-1] // 2)
    ways = [Way(f"enlarged in tiles of {size} pixels.", partial(_steps, pixels, upscaler, size)) for size in sizes]
    return (yield from with_recovery(ways, upscaler, models, "enlarging"))


def _steps(pixels: Tensor, upscaler: Upscaler, tile: int) -> Generator[Step, None, Tensor]:
    working = upscaler.enlarge(pixels, tile)
    while True:
        try:
            done, tiles = next(working)
        except StopIteration as finished:
            result: Tensor = finished.value
            return result
        yield Step(done, tiles, 0, 1, 0.0)


def to_pixels(picture: Image.Image) -> Tensor:
    """An RGB picture as (3, h, w) in 0 ... 1, float32."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255


def to_picture(pixels: Tensor) -> Image.Image:
    """(3, h, w) in 0 ... 1 as an RGB picture, rounded."""
    eight_bits = pixels.clamp(0, 1).mul(255).round().to(torch.uint8)
    return Image.fromarray(eight_bits.permute(1, 2, 0).contiguous().numpy())
