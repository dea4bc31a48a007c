"""Pictures at the size that is drawn: A1111's resize modes, transparency on a ground, and canvases that grow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from PIL import Image

from webui.domain.picture_options import CROP, FILL, LATENT, STRETCH
from webui.domain.sizes import Extension, Placement, Size, crop_and_resize, resize_and_fill

_LANCZOS = Image.Resampling.LANCZOS


def flattened(picture: Image.Image, ground: str) -> Image.Image:
    """An RGBA picture laid upon a ground ("#rrggbb"), an opaque one as it is; RGB."""
    if picture.mode != "RGBA":
        return picture.convert("RGB")
    base = Image.new("RGBA", picture.size, ground)
    base.alpha_composite(picture)
    return base.convert("RGB")


def resized(picture: Image.Image, size: Size, mode: str) -> Image.Image:
    """The picture, or a mask, at ``size`` by one of A1111's resize modes; by Lanczos, the same if it is of that size already.

    "Just resize (latent upscale)" resizes latents, not pictures; a picture beside them is stretched.
    """
    return _MODES[mode](picture, size)


def _stretched(picture: Image.Image, size: Size) -> Image.Image:
    return picture.resize(size, _LANCZOS)


def _cropped(picture: Image.Image, size: Size) -> Image.Image:
    placed = crop_and_resize(Size(*picture.size), size)
    return _pasted(picture, placed, size)


def _filled(picture: Image.Image, size: Size) -> Image.Image:
    """The bands that stay free show the nearest row or column of pixels."""
    placed = resize_and_fill(Size(*picture.size), size)
    pixels = np.asarray(picture.resize((placed.width, placed.height), _LANCZOS))
    bands = (
        (placed.y, size.height - placed.y - placed.height),
        (placed.x, size.width - placed.x - placed.width),
    )
    return Image.fromarray(_padded(pixels, bands, "edge"))


def _pasted(picture: Image.Image, placed: Placement, size: Size) -> Image.Image:
    result = Image.new(picture.mode, size)
    result.paste(picture.resize((placed.width, placed.height), _LANCZOS), (placed.x, placed.y))
    return result


_MODES: Mapping[str, Callable[[Image.Image, Size], Image.Image]] = MappingProxyType(
    {STRETCH: _stretched, CROP: _cropped, FILL: _filled, LATENT: _stretched}
)


def extended(picture: Image.Image, extension: Extension, fill: str) -> Image.Image:
    """The picture (RGB) on a canvas that has grown; what is new shows "noise", the picture's "mirror" image or its "edge".

    Noise has mean and variation of the picture's own colours, and is the same each time.
    """
    pixels = np.asarray(picture)
    bands = ((extension.up, extension.down), (extension.left, extension.right))
    if fill != "noise":
        return Image.fromarray(_padded(pixels, bands, {"mirror": "symmetric", "edge": "edge"}[fill]))
    height, width = (length + sum(added) for length, added in zip(pixels.shape, bands, strict=False))
    colours = pixels.reshape(-1, 3)
    drawn = np.random.default_rng(0).standard_normal((height, width, 3), dtype=np.float32)
    canvas = (drawn * colours.std(0) + colours.mean(0)).clip(0, 255).astype(np.uint8)
    result = Image.fromarray(canvas)
    result.paste(picture, (extension.left, extension.up))
    return result


def _padded(
    pixels: np.ndarray[Any, Any], bands: tuple[tuple[int, int], tuple[int, int]], mode: Any
) -> np.ndarray[Any, Any]:
    return np.pad(pixels, (*bands, *[(0, 0)] * (pixels.ndim - 2)), mode=mode)
