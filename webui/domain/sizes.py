"""How large, and which part: pictures on the latent grid, aspect ratios, resizing, hires targets, mask boxes.

A latent stands for 8 x 8 pixels, so sizes that are drawn are multiples of 8. The arithmetic, rounding included, is
AUTOMATIC1111's: a pixel more or less is another picture. All sizes are in pixels unless a name says latents.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from webui.domain.request import LATENT_PIXELS


class Size(NamedTuple):
    width: int
    height: int

    def swapped(self) -> Size:
        """Portrait for landscape."""
        return Size(self.height, self.width)


class Box(NamedTuple):
    """Pixels from (left, top) up to, not including, (right, bottom), as Pillow counts."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top


RATIOS: tuple[tuple[int, int], ...] = (
    (1, 1),
    (5, 4),
    (4, 3),
    (3, 2),
    (16, 9),
    (2, 1),
    (21, 9),
)  # landscape; swap for portrait


def on_grid(pixels: float, multiple: int = LATENT_PIXELS) -> int:
    """The nearest multiple, at least one; halfway goes up."""
    return max(multiple, math.floor(pixels / multiple + 0.5) * multiple)


def size_of_ratio(ratio_width: float, ratio_height: float, native_size: int, multiple: int = LATENT_PIXELS) -> Size:
    """The size of that aspect ratio with the area of ``native_size`` squared, which the model was trained on.

    Much smaller pictures come out incoherent, much larger ones with everything twice.

    >>> size_of_ratio(16, 9, 512)
    Size(width=680, height=384)
    """
    stretch = math.sqrt(ratio_width / ratio_height)
    return Size(on_grid(native_size * stretch, multiple), on_grid(native_size / stretch, multiple))


class Placement(NamedTuple):
    """Scale the picture to ``width`` x ``height`` and paste it at (``x``, ``y``), which may lie outside."""

    width: int
    height: int
    x: int
    y: int


def crop_and_resize(picture: Size, target: Size) -> Placement:
    """Fill the target; what reaches beyond is lost on both sides (resize mode 1)."""
    wider = target.width * picture.height > picture.width * target.height
    return _scaled(picture, target, fit_width=wider)


def resize_and_fill(picture: Size, target: Size) -> Placement:
    """Show all of the picture; bands stay free on both sides (resize mode 2), to be filled with its outermost pixels."""
    wider = target.width * picture.height >= picture.width * target.height
    return _scaled(picture, target, fit_width=not wider)


def _scaled(picture: Size, target: Size, fit_width: bool) -> Placement:
    if fit_width:
        width, height = target.width, max(1, picture.height * target.width // picture.width)
    else:
        width, height = max(1, picture.width * target.height // picture.height), target.height
    return Placement(width, height, target.width // 2 - width // 2, target.height // 2 - height // 2)


class HiresTarget(NamedTuple):
    """The second pass: enlarge to ``width`` x ``height``, then cut ``cut_x`` columns and ``cut_y`` rows of latents off.

    Half of them on each side.
    """

    width: int
    height: int
    cut_x: int = 0
    cut_y: int = 0

    @property
    def picture(self) -> Size:
        """The size of the finished picture: whole latents only."""
        return Size(
            (self.width // LATENT_PIXELS - self.cut_x) * LATENT_PIXELS,
            (self.height // LATENT_PIXELS - self.cut_y) * LATENT_PIXELS,
        )


def hires_target(first: Size, scale: float = 2.0, resize_to: tuple[int, int] = (0, 0)) -> HiresTarget:
    """Where the second pass draws. A 0 in ``resize_to`` follows from the other; both 0 leave it to ``scale``."""
    wanted_width, wanted_height = resize_to
    if not wanted_width and not wanted_height:
        return HiresTarget(int(first.width * scale), int(first.height * scale))
    by_width = HiresTarget(wanted_width, wanted_width * first.height // first.width)
    by_height = HiresTarget(wanted_height * first.width // first.height, wanted_height)
    if not wanted_height:
        return by_width
    if not wanted_width:
        return by_height
    target = by_width if first.width * wanted_height < wanted_width * first.height else by_height
    return target._replace(
        cut_x=(target.width - wanted_width) // LATENT_PIXELS, cut_y=(target.height - wanted_height) // LATENT_PIXELS
    )


def old_first_pass_size(target: Size) -> Size:
    """What the first pass drew before A1111 1.0, when only the target was given: 512² pixels in steps of 64.

    >>> old_first_pass_size(Size(1920, 1080))
    Size(width=704, height=384)
    """
    scale = math.sqrt(512 * 512 / (target.width * target.height))
    return Size(math.ceil(scale * target.width / 64) * 64, math.ceil(scale * target.height / 64) * 64)


class Extension(NamedTuple):
    """How many pixels a picture grows by on each side."""

    left: int = 0
    right: int = 0
    up: int = 0
    down: int = 0

    def canvas(self, picture: Size) -> Size:
        """The size of the picture with what is added to it."""
        return Size(picture.width + self.left + self.right, picture.height + self.up + self.down)

    def kept(self, picture: Size, overlap: int) -> Box:
        """Where on the canvas the picture stays as it is: within its place, but for ``overlap`` pixels at each side that grows.

        Over these, old and new go over into each other. They are never more than a third of the picture.
        """
        across, down = min(overlap, picture.width // 3), min(overlap, picture.height // 3)
        return Box(
            self.left + (across if self.left else 0),
            self.up + (down if self.up else 0),
            self.left + picture.width - (across if self.right else 0),
            self.up + picture.height - (down if self.down else 0),
        )


def masked_region(mask: Box, padding: int, picture: Size, drawn: Size) -> Box:
    """Inpainting "only masked": the part of ``picture`` to draw, when ``mask`` is the bounding box of what is masked.

    Padded on all sides, then widened or heightened to the ratio of ``drawn``, the size at which it will be drawn; pushed
    back inside where that leaves the picture, and cut if even that is not enough.
    """
    left, right = max(mask.left - padding, 0), min(mask.right + padding, picture.width)
    top, bottom = max(mask.top - padding, 0), min(mask.bottom + padding, picture.height)
    ratio = drawn.width / drawn.height
    if (right - left) / (bottom - top) > ratio:
        top, bottom = _grown(top, bottom, int((right - left) / ratio - (bottom - top)), picture.height)
    else:
        left, right = _grown(left, right, int((bottom - top) * ratio - (right - left)), picture.width)
    return Box(left, top, right, bottom)


def _grown(start: int, end: int, growth: int, limit: int) -> tuple[int, int]:
    start, end = start - growth // 2, end + growth - growth // 2
    if end > limit:
        start, end = start - (end - limit), limit
    if start < 0:
        start, end = 0, end - start
    return start, min(end, limit)
