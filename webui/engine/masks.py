"""Masks of inpainting: what is drawn anew (255) and what stays (0), as a grey picture and on the latent grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageChops, ImageFilter, ImageOps
from torch import Tensor
from torch.nn import functional

from webui.domain.picture_options import FILL, ONLY_MASKED
from webui.domain.request import GenerationRequest
from webui.domain.sizes import Box, Extension, Size, masked_region
from webui.engine.resizing import resized

LEAST_OVERLAP = 8  # pixels of a picture that outpainting draws over where it grows
# "fill": blurred copies laid over each other, the widest at the bottom: (radius, how often)
_FILLS = ((256, 1), (64, 1), (16, 2), (4, 4), (2, 2), (0, 1))


@dataclass(frozen=True, eq=False)
class Mask:
    """A mask prepared for one request, all grey pictures of mode L.

    ``whole`` lies on the source picture and has been blurred, ``drawn`` is its part at the size that is drawn. ``region`` is the
    part of the source that is drawn, None for all of it. ``overlay`` is how much of the result is laid over the source, at the
    size of the finished picture.
    """

    whole: Image.Image
    drawn: Image.Image
    overlay: Image.Image
    region: Box | None


def binary(picture: Image.Image, *, soft: bool = False) -> Image.Image:
    """A mask as it was handed in, grey: its alpha where it has transparent places (above 128 is masked), else its brightness.

    ``soft`` keeps an alpha in between.
    """
    if picture.mode != "RGBA":
        return picture.convert("L")
    alpha = picture.getchannel("A")
    return alpha if soft else alpha.point([255 * (value > 128) for value in range(256)])


def blurred(mask: Image.Image, across: float, down: float) -> Image.Image:
    """A Gaussian of that many pixels as standard deviation in each direction; the kernel is cut where OpenCV's is in A1111."""
    for sigma, axis in ((across, 1), (down, 0)):
        if sigma > 0:
            mask = Image.fromarray(_blurred_along(np.asarray(mask), sigma, axis))
    return mask


def kernel_size(sigma: float) -> int:
    """How many pixels count. A1111's formula.

    >>> [kernel_size(sigma) for sigma in (1, 4, 8, 16, 64)]
    [7, 21, 41, 81, 321]
    """
    return 2 * int(2.5 * sigma + 0.5) + 1


def _blurred_along(pixels: np.ndarray, sigma: float, axis: int) -> np.ndarray:  # type: ignore[type-arg]
    reach = kernel_size(sigma) // 2
    offsets = torch.arange(-reach, reach + 1, dtype=torch.float32)
    kernel = torch.exp(-(offsets**2) / (2 * sigma**2))
    rows = np.moveaxis(pixels, axis, -1)
    padded = torch.from_numpy(np.pad(rows.astype(np.float32), ((0, 0), (reach, reach)), mode="reflect"))
    smooth = functional.conv1d(padded[:, None], (kernel / kernel.sum())[None, None])[:, 0]
    return np.moveaxis(smooth.add_(0.5).clamp_(0, 255).to(torch.uint8).numpy(), -1, axis)


def prepared(request: GenerationRequest, mask: Image.Image | None, picture: Size) -> Mask | None:
    """The mask of a request on a picture of that size, before it grows; None if it covers nothing.

    ``mask``, if there is one, is of that size too.
    """
    given = Image.new("L", picture)
    if mask is not None:
        given = binary(mask, soft=request.soft_inpainting)
        given = ImageOps.invert(given) if request.mask_invert else given
    if request.extends:
        extension = extension_of(request)
        canvas = Image.new("L", extension.canvas(picture))
        canvas.paste(given, (extension.left, extension.up))
        given = ImageChops.lighter(canvas, new_area(request, extension, picture))
    source, size = Size(*given.size), Size(request.width, request.height)
    whole = blurred(given, request.mask_blur_x, request.mask_blur_y)
    bounds = whole.getbbox()
    if bounds is None:
        return None
    if request.inpaint_area == ONLY_MASKED:
        region = masked_region(Box(*bounds), request.mask_padding, source, size)
        return Mask(whole, resized(whole.crop(region), size, FILL), whole, region)
    drawn = resized(whole, size, request.resize_mode)
    return Mask(whole, drawn, drawn.point([min(2 * value, 255) for value in range(256)]), None)


def extension_of(request: GenerationRequest) -> Extension:
    """By how much outpainting lets the picture grow."""
    return Extension(request.extend_left, request.extend_right, request.extend_up, request.extend_down)


def new_area(request: GenerationRequest, extension: Extension, picture: Size) -> Image.Image:
    """What outpainting draws: all that is new, and as much of the picture at its edge as hides the seam."""
    overlap = max(LEAST_OVERLAP, round(2 * max(request.mask_blur_x, request.mask_blur_y)))
    area = Image.new("L", extension.canvas(picture), 255)
    area.paste(0, extension.kept(picture, overlap))
    return area


def latent_mask(mask: Image.Image, width: int, height: int, *, soft: bool = False) -> Tensor:
    """A grey mask on the latent grid: (1, 1, height, width), 1 where to draw, 0 where to keep; in between only if ``soft``."""
    small = np.asarray(mask.resize((width, height), Image.Resampling.BICUBIC), np.float32) / 255
    return torch.from_numpy(small if soft else np.around(small))[None, None]


def filled(picture: Image.Image, mask: Image.Image) -> Image.Image:
    """Masked content "fill": what is masked takes on the colours around it, from copies blurred less and less."""
    hole = picture.convert("RGBA")
    hole.putalpha(ImageOps.invert(mask))
    premultiplied = hole.convert("RGBa")  # or the blur would draw the colours of what is masked out of the hole
    result = Image.new("RGBA", picture.size)
    for radius, times in _FILLS:
        copy = premultiplied.filter(ImageFilter.GaussianBlur(radius)).convert("RGBA")
        for _ in range(times):
            result.alpha_composite(copy)
    return result.convert("RGB")
