"""Embeddings that travel in a picture, as A1111's trainer saves them to be passed on by looking nice.

The content is that of the ``.pt`` file as JSON, a tensor being {"TORCHTENSOR": [[...]]}. It stands twice in the file:

1. in a PNG's text chunk "sd-ti-embedding", in base64;
2. in the pixels, for sites that strip the chunks. Left and right of the picture, behind a black column each, stands a block of
   pixels whose lower four bits are the lower (left) and the upper (right) halves of the bytes of the JSON, packed by zlib. A
   dotted pattern in their upper bits makes them pretty; the lower ones are masked by a fixed stream of random numbers, so
   that the blocks look like noise. They are read along the rows, red, green and blue one after the other.
"""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from webui.errors import UnreadableModel
from webui.library.formats import Header, TensorInfo

PICTURE_SUFFIXES = (".png", ".webp")  # what can hold pixels unchanged
MOST_PIXELS = 2**26
MOST_BYTES = 2**25  # of JSON
CHUNK = "sd-ti-embedding"

_BROKEN = (
    OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError, OverflowError, RuntimeError, struct.error,
    zlib.error, Image.DecompressionBombError, Image.DecompressionBombWarning,
)  # fmt: skip

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class PictureEmbedding:
    """``tensors`` are float32, named as in the header."""

    header: Header
    tensors: Mapping[str, npt.NDArray[np.float32]]


def read_picture(path: Path) -> PictureEmbedding:
    """The embedding in a picture; a picture that has none, or a broken one, raises ``UnreadableModel``."""
    try:
        with Image.open(path, formats=("PNG", "WEBP")) as image:
            if image.width * image.height > MOST_PIXELS:
                raise UnreadableModel(f"{path.name} is too large a picture to look for an embedding in it.")
            image.load()
            chunk = image.info.get(CHUNK)
            text = base64.b64decode(chunk) if isinstance(chunk, str) else hidden_bytes(np.asarray(image.convert("RGB")))
    except _BROKEN as error:
        raise UnreadableModel(f"{path.name} cannot be read as a picture: it is broken or of another kind.") from error
    if not text:
        raise UnreadableModel(f"{path.name} is a picture that carries no embedding.")
    try:
        content = json.loads(text)
        tensors = dict(_tensors(content))
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise UnreadableModel(f"{path.name} carries an embedding that is damaged.") from error
    texts = {key: str(value) for key, value in content.items() if isinstance(value, str | int | float)}
    shapes = {name: TensorInfo(tensor.shape, "F32") for name, tensor in tensors.items()}
    return PictureEmbedding(Header(shapes, texts), tensors)


def hidden_bytes(pixels: Bytes) -> bytes:
    """What is hidden in the pixels (height, width, 3); b"" if nothing is."""
    bright: npt.NDArray[np.bool_] = np.all(pixels > 0, axis=2)
    rows, columns = np.flatnonzero(bright.any(axis=1)), np.flatnonzero(bright.any(axis=0))
    if not rows.size:
        return b""
    lower = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] & 0x0F
    gaps = np.flatnonzero(lower.sum(axis=(0, 2)) == 0)
    if gaps.size < 2:
        return b""
    left, right = lower[:, : gaps[0]].reshape(-1), lower[:, gaps[-1] + 1 :].reshape(-1)
    if left.size != right.size or not left.size:
        return b""
    mask = masking_stream(left.size) & 0x0F
    packed = ((right ^ mask) << 4 | (left ^ mask)).astype(np.uint8).tobytes()
    unpacking = zlib.decompressobj()
    try:
        text = unpacking.decompress(packed, MOST_BYTES)
    except zlib.error:
        return b""
    return text if unpacking.eof else b""


def masking_stream(count: int) -> Bytes:
    """The first numbers of the linear congruential generator of Numerical Recipes, from 0, each modulo 255.

    Many at a time: if x -> a x + c leads one number on, then x -> a² x + a c + c leads two on, and so forth.

    >>> masking_stream(6).tolist()
    [253, 242, 127, 44, 157, 27]
    """
    factor, shift = 1664525, 1013904223
    numbers = np.array([shift], dtype=np.uint32)
    while numbers.size < count:
        numbers = np.concatenate([numbers, numbers * np.uint32(factor) + np.uint32(shift)])
        factor, shift = factor * factor % 2**32, (factor * shift + shift) % 2**32
    return (numbers[:count] % 255).astype(np.uint8)


def _tensors(content: Any) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
    for group, values in content.items():
        for name, value in values.items() if isinstance(values, dict) else ():
            if isinstance(value, dict) and "TORCHTENSOR" in value:
                yield f"{group}.{name}", np.array(value["TORCHTENSOR"], dtype=np.float32)
