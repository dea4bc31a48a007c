"""Text hidden in the lowest bits of a picture's pixels: "stealth pnginfo", which survives sites that strip metadata.

NovelAI and an option of Forge write it. The bits run down the columns, from the left: the alpha channel's, or red,
green and blue of each pixel. First come 15 letters that name the kind, then the number of bits as 32 bits, then text as
UTF-8, in the kinds "...comp" packed by gzip.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from PIL import Image

from webui.domain.foreign_names import load_object

_KINDS = {  # channels whose bits are used -> the kinds that may be there: name and whether it is packed
    (3,): {b"stealth_pnginfo": False, b"stealth_pngcomp": True},
    (0, 1, 2): {b"stealth_rgbinfo": False, b"stealth_rgbcomp": True},
}
_NAME_BITS, _LENGTH_BITS = 15 * 8, 32
_MOST_BYTES = 2**24  # unpacked


def read_stealth(image: Image.Image) -> dict[str, str]:
    """The hidden text as chunks: NovelAI hides its own as JSON, others an infotext. Empty if nothing is hidden.

    The picture's pixels must be readable.
    """
    if image.mode not in ("RGB", "RGBA"):
        return {}
    pixels = np.asarray(image)
    for channels, kinds in _KINDS.items():
        if channels[-1] >= pixels.shape[2]:
            continue
        name = _bytes(pixels, channels, 0, _NAME_BITS)
        if name in kinds:
            text = _text(pixels, channels, kinds[name])
            hidden = load_object(text)
            if hidden:
                return {key: value for key, value in hidden.items() if isinstance(value, str)}
            return {"parameters": text} if text else {}
    return {}


def _text(pixels: np.ndarray[Any, Any], channels: tuple[int, ...], packed: bool) -> str:
    length = int.from_bytes(_bytes(pixels, channels, _NAME_BITS, _LENGTH_BITS), "big")
    data = _bytes(pixels, channels, _NAME_BITS + _LENGTH_BITS, length)
    if packed:
        unpacking = zlib.decompressobj(wbits=31)  # gzip
        try:
            data = unpacking.decompress(data, _MOST_BYTES)
        except zlib.error:
            return ""
        if not unpacking.eof:  # cut short, or a bomb
            return ""
    return data.decode("utf-8", "ignore")


def _bytes(pixels: np.ndarray[Any, Any], channels: tuple[int, ...], start: int, count: int) -> bytes:
    """``count`` of the hidden bits from ``start`` on, packed into bytes. Shape of ``pixels``: height, width, channels."""
    bits_a_column = pixels.shape[0] * len(channels)
    first, last = start // bits_a_column, (start + count) // bits_a_column
    columns = pixels[:, first : last + 1, list(channels)].transpose(1, 0, 2).reshape(-1) & 1
    offset = start - first * bits_a_column
    return np.packbits(columns[offset : offset + count]).tobytes()
