"""Styles that a finished picture is given, for the second checkpoint, the style LoRA and the hypernetwork to learn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from PIL import Image, ImageFilter, ImageOps

_LUMA = np.array((0.299, 0.587, 0.114), np.float32)


def chalk(picture: Image.Image) -> Image.Image:
    """Outlines in pale chalk of the picture's colours, on a dark green board."""
    pixels = np.asarray(picture.filter(ImageFilter.GaussianBlur(0.7)), np.float32)
    down, across = np.zeros_like(pixels), np.zeros_like(pixels)
    down[1:-1], across[:, 1:-1] = pixels[2:] - pixels[:-2], pixels[:, 2:] - pixels[:, :-2]
    edge = np.sqrt((down**2 + across**2).sum(2))
    ink = np.clip(edge / 110, 0, 1)[..., None]
    hue = pixels - pixels @ _LUMA[:, None] * np.ones(3, np.float32)
    board, pale = np.array((30, 58, 52), np.float32), np.clip(226 + hue * 0.9, 120, 255)
    shaded = board + np.clip(hue, -90, 90) * 0.14  # the area keeps a breath of its colour
    return _picture(shaded * (1 - ink) + pale * ink)


def mosaic(picture: Image.Image) -> Image.Image:
    """Square stones of 8 pixels, each of one colour, with a thin joint between."""
    stones = picture.resize((picture.width // 8, picture.height // 8), Image.Resampling.BOX)
    pixels = np.asarray(stones.resize(picture.size, Image.Resampling.NEAREST), np.float32).copy()
    pixels[7::8] *= 0.72
    pixels[:, 7::8] *= 0.72
    return _picture(pixels)


def sepia(picture: Image.Image) -> Image.Image:
    """Brown and cream, as a photograph of long ago."""
    grey = ImageOps.autocontrast(picture.convert("L"), cutoff=1)
    return ImageOps.colorize(grey, black=(52, 30, 18), mid=(158, 116, 78), white=(248, 232, 202))


def _picture(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


FINISHES: Mapping[str, Callable[[Image.Image], Image.Image]] = MappingProxyType(
    {"chalk": chalk, "mosaic": mosaic, "sepia": sepia}
)
