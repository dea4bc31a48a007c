"""Where soft inpainting shows the result and where the source: decided place by place, by how much has really changed.

A1111's extension "soft inpainting". The distance between the source's latents and the result's becomes the mask by which the
result is laid over the source. Single places that differ, or that do not among others that do, are smoothed away first.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image, ImageFilter
from torch import Tensor

from webui.domain.request import GenerationRequest
from webui.domain.sizes import Box, Size
from webui.engine.overlay import uncropped
from webui.engine.resizing import resized

Values = np.ndarray[Any, Any]

_REACH = 2  # of the filter, in latents
_DEVIATION = 1.5  # of its Gaussian, which reaches 0 at _REACH + 1
_FINAL_BLUR = 4  # pixels


def soft_overlay(
    request: GenerationRequest, source: Tensor, result: Tensor, mask: Tensor, size: Size, region: Box | None
) -> Image.Image:
    """The overlay mask (mode L) of a picture of ``size``, of the latents (c, h, w) of source and result.

    ``mask`` (h, w) is the latent mask, 1 where to draw. ``region`` is what the latents show of the picture, None: all of it.
    """
    distance = (result - source).norm(dim=0).float().cpu().numpy()
    distance = windowed_mean(distance, 0.9, 1.0)  # the greatest nearby,
    distance = windowed_mean(distance, 0.25, 0.75)  # and of those what is usual
    opaque = 1 - mask.float().clamp(0, 1).cpu().numpy() ** (request.soft_preservation_strength / 2)
    influence = request.soft_mask_influence
    weight = 0.5 * (1 - influence) + opaque * influence
    half = request.soft_difference_threshold * weight / (1.00001 - weight)  # the distance at which both are seen alike
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(distance > 0, distance / half, 0)
    kept = _smootherstep(1 / (1 + ratio**request.soft_difference_contrast))
    shown = Image.fromarray((255 * (1 - kept)).astype(np.uint8))
    drawn = resized(shown, Size(request.width, request.height), "Resize and fill")
    drawn = drawn.filter(ImageFilter.GaussianBlur(_FINAL_BLUR))
    return drawn if region is None else uncropped(drawn, region, size)


def windowed_mean(values: Values, low: float, high: float) -> Values:
    """Each value (h, w) by the mean of those around it that rank between the shares ``low`` and ``high`` of their weight.

    Weights are those of a Gaussian; the window is at least 1 wide, the weight of the value in the middle.
    """
    offsets = [(y, x) for y in range(-_REACH, _REACH + 1) for x in range(-_REACH, _REACH + 1)]
    padded = np.pad(values.astype(np.float64), _REACH)
    inside = np.pad(np.ones(values.shape), _REACH)  # beyond the edge there is nothing to weigh
    height, width = values.shape

    def shifted(of: Values, y: int, x: int) -> Values:
        return of[_REACH + y : _REACH + y + height, _REACH + x : _REACH + x + width]

    around = np.stack([shifted(padded, y, x) for y, x in offsets])
    weights = np.stack([_weight(y, x) * shifted(inside, y, x) for y, x in offsets])
    order = np.argsort(around, axis=0, kind="stable")
    around, weights = (np.take_along_axis(each, order, axis=0) for each in (around, weights))
    ends = np.cumsum(weights, axis=0)
    total = ends[-1]
    start, end = low * total, high * total
    narrow, centre = end - start < 1, (start + end) / 2
    start, end = np.where(narrow, centre - 0.5, start), np.where(narrow, centre + 0.5, end)
    above = np.maximum(end - total, 0)
    start, end = start - above, end - above
    below = np.maximum(-start, 0)
    start, end = start + below, end + below
    seen = (np.minimum(ends, end) - np.maximum(ends - weights, start)).clip(0)
    mean: Values = (around * seen).sum(0) / seen.sum(0)
    return mean


def _weight(y: int, x: int) -> float:
    def gauss(square: float) -> float:
        return float(np.exp(-square / _DEVIATION**2))

    end = gauss((_REACH + 1) ** 2)
    return max(0.0, (gauss(y**2 + x**2) - end) / (1 - end))


def _smootherstep(x: Values) -> Values:
    """Perlin's: 0 to 1 with no slope and no curvature at either end."""
    y: Values = x**3 * (x * (6 * x - 15) + 10)
    return y
