"""What becomes of a drawn picture that is a part of another, or should look like one: laid over it, and given its colours."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from webui.domain.picture_options import CROP
from webui.domain.sizes import Box, Size
from webui.engine.resizing import resized

Pixels = np.ndarray[Any, Any]

# sRGB (IEC 61966-2-1) to XYZ, by the white point D65 in which white is (1, 1, 1)
_TO_XYZ = np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]])
_TO_XYZ = _TO_XYZ / np.array([[0.950456], [1.0], [1.088754]])
_LUMINOSITY = np.array([0.3, 0.59, 0.11])  # W3C, Compositing and Blending Level 1, section 10.2


def uncropped(drawn: Image.Image, region: Box, size: Size) -> Image.Image:
    """What was drawn of a region, at its place in a picture of ``size``; the rest is black."""
    canvas = Image.new(drawn.mode, size)
    canvas.paste(resized(drawn, Size(region.width, region.height), CROP), (region.left, region.top))
    return canvas


def laid_over(drawn: Image.Image, source: Image.Image, mask: Image.Image, region: Box | None) -> Image.Image:
    """The source with ``drawn`` where ``mask`` is white; where it is black the source stays, to the last bit.

    Source and mask are of one size. ``drawn`` is of that size too, or it is the part that belongs in ``region``.
    """
    whole = drawn if region is None else uncropped(drawn, region, Size(*source.size))
    return Image.composite(whole, source, mask)


def recoloured(drawn: Image.Image, source: Image.Image) -> Image.Image:
    """``drawn`` with the colours of ``source``: each channel of its Lab is given the same distribution, its light stays.

    As A1111's "color correction": histograms matched in Lab at 8 bits, then the luminosity of what was drawn blended in.
    """
    wanted, found = _to_lab(np.asarray(source)), _to_lab(np.asarray(drawn))
    matched = np.stack([_matched(found[..., channel], wanted[..., channel]) for channel in range(3)], axis=-1)
    return Image.fromarray(_with_luminosity(_from_lab(matched), np.asarray(drawn)))


def _matched(found: Pixels, wanted: Pixels) -> Pixels:
    """The values of ``found`` (0 ... 255) exchanged so that they are distributed as those of ``wanted``."""
    shares, wanted_shares = (
        np.cumsum(np.bincount(each.ravel(), minlength=256)) / each.size for each in (found, wanted)
    )
    present = np.unique(wanted)
    table: Pixels = np.interp(shares, wanted_shares[present], present)
    return table[found]


def _to_lab(rgb: Pixels) -> Pixels:
    """Lab of 8 bits a channel, as OpenCV spells it: L of 100 is 255, and a and b lie around 128."""
    light = rgb / 255
    linear = np.where(light > 0.04045, ((light + 0.055) / 1.055) ** 2.4, light / 12.92)
    x, y, z = np.moveaxis(_bent(linear @ _TO_XYZ.T), -1, 0)
    lab = np.stack([(116 * y - 16) * 255 / 100, 500 * (x - y) + 128, 200 * (y - z) + 128], axis=-1)
    rounded: Pixels = np.rint(lab).clip(0, 255).astype(np.uint8)
    return rounded


def _from_lab(lab: Pixels) -> Pixels:
    """Light of 0 ... 1 in sRGB."""
    y = (lab[..., 0] * 100 / 255 + 16) / 116
    bent = np.stack([y + (lab[..., 1] - 128) / 500, y, y - (lab[..., 2] - 128) / 200], axis=-1)
    xyz = np.where(bent > 6 / 29, bent**3, (bent - 4 / 29) * 3 * (6 / 29) ** 2)
    linear = (xyz @ np.linalg.inv(_TO_XYZ).T).clip(0, 1)
    light: Pixels = np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)
    return light


def _bent(xyz: Pixels) -> Pixels:
    """CIE 1976: the cube root, and a straight line near black."""
    return np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)


def _with_luminosity(colours: Pixels, drawn: Pixels) -> Pixels:
    """W3C's blend mode "luminosity": the hue and saturation of ``colours`` (0 ... 1), the luminosity of ``drawn`` (8 bits)."""
    wanted = (drawn / 255) @ _LUMINOSITY
    shifted = colours + (wanted - colours @ _LUMINOSITY)[..., None]
    centre, low, high = wanted[..., None], shifted.min(-1, keepdims=True), shifted.max(-1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):  # of greys, which are taken from the other branch
        raised = np.where(low < 0, centre + (shifted - centre) * centre / (centre - low), shifted)
        clipped = np.where(high > 1, centre + (raised - centre) * (1 - centre) / (high - centre), raised)
    blended: Pixels = np.rint(np.nan_to_num(clipped).clip(0, 1) * 255).astype(np.uint8)
    return blended
