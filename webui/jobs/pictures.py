"""Pictures as files: how the infotext is stored in them, and how any program's is found again.

AUTOMATIC1111's way, which the whole field reads: in a PNG a text chunk ``parameters``; in JPEG and WebP the EXIF field
UserComment, as UTF-16 with its most significant byte first, whatever EXIF's own byte order is.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from PIL import ExifTags, Image, PngImagePlugin

from webui.domain.foreign_infotext import XMP, read_chunks
from webui.domain.infotext import ParsedInfotext
from webui.errors import InvalidSettings, StorageFailure, UnreadablePicture, did_you_mean
from webui.jobs.stealth_pnginfo import read_stealth

UNICODE = b"UNICODE\0"  # EXIF 2.3, "UserComment": the first eight bytes name the encoding of the others
_EXIF_IFD, _USER_COMMENT, _MAKER_NOTE = 0x8769, 0x9286, 0x927C

# Pictures of ours and of other generators. Not all that Pillow knows: it would start Ghostscript for an EPS.
_READ = ("PNG", "JPEG", "MPO", "WEBP", "GIF", "AVIF", "TIFF", "BMP")
_MOST_PIXELS_DECODED = 2**26  # 256 MiB; larger pictures show what stands before their pixels
BROKEN = (  # what Pillow raises at broken files; a chunk that unpacks to more than 1 MiB is a ValueError
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    RuntimeError,  # the AVIF decoder's
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


@dataclass(frozen=True)
class PictureFormat:
    """A kind of file that pictures are saved as. ``longest_side`` is the most pixels a side that it can hold."""

    suffix: str
    media_type: str
    longest_side: int
    encode: Callable[[Image.Image, str, int], bytes]


def encode(image: Image.Image, infotext: str, format: str, quality: int) -> bytes:
    """The picture as a file with its infotext. ``format`` is a key of ``FORMATS``; PNG has no ``quality`` (1 ... 100).

    Raises ``StorageFailure`` where the format cannot hold the picture or the text.
    """
    if format not in FORMATS:
        raise InvalidSettings(f'There is no picture format "{format}". {did_you_mean(format, FORMATS)}')
    longest = FORMATS[format].longest_side
    if max(image.size) > longest:
        raise StorageFailure(f"A {format} picture has at most {longest} pixels a side. Choose the format png.")
    text = infotext.encode("utf-8", "replace").decode()  # half a surrogate pair cannot be stored
    try:
        return FORMATS[format].encode(image, text, quality)
    except (OSError, ValueError) as error:
        raise StorageFailure(f"The picture cannot be written as {format}: {error}. Choose the format png.") from error


def _png(image: Image.Image, infotext: str, quality: int) -> bytes:
    chunks = PngImagePlugin.PngInfo()
    if infotext:
        chunks.add_text("parameters", infotext)  # tEXt if it is Latin-1, else iTXt
    file = io.BytesIO()
    image.save(file, "PNG", pnginfo=chunks)
    return file.getvalue()


def _jpeg(image: Image.Image, infotext: str, quality: int) -> bytes:
    file = io.BytesIO()
    colours = image if image.mode in ("RGB", "L") else image.convert("RGB")
    colours.save(file, "JPEG", quality=quality, exif=_exif(infotext))
    return file.getvalue()


def _webp(image: Image.Image, infotext: str, quality: int) -> bytes:
    file = io.BytesIO()
    image.save(file, "WEBP", quality=quality, exif=_exif(infotext))
    return file.getvalue()


def _exif(infotext: str) -> bytes:
    """EXIF that holds nothing but a UserComment.

    Packed by hand, since Pillow would give the value the type BYTE, and readers that follow EXIF 2.3 want UNDEFINED.
    """
    if not infotext:
        return b""
    comment = UNICODE + infotext.encode("utf-16-be")
    header = struct.pack(">2sHI", b"MM", 42, 8)  # big-endian TIFF, whose directory begins at byte 8
    root = struct.pack(">HHHIII", 1, _EXIF_IFD, 4, 1, 26, 0)  # one entry: a LONG, where the EXIF directory begins
    directory = struct.pack(">HHHIII", 1, _USER_COMMENT, 7, len(comment), 44, 0)  # one entry: UNDEFINED, at byte 44
    return b"Exif\0\0" + header + root + directory + comment


FORMATS: Mapping[str, PictureFormat] = MappingProxyType(
    {
        "png": PictureFormat(".png", "image/png", 2**31 - 1, _png),
        "jpeg": PictureFormat(".jpg", "image/jpeg", 65535, _jpeg),
        "webp": PictureFormat(".webp", "image/webp", 16383, _webp),
    }
)


def read_infotext(source: Path | bytes) -> ParsedInfotext | None:
    """How the picture was made, by whichever program; None if it does not say. Raises ``UnreadablePicture``."""
    with opened(source) as image:
        return read_chunks(_metadata(image), image.size)


def read_metadata(source: Path | bytes) -> dict[str, str]:
    """All that the picture says in words: text chunks by keyword, EXIF values by the names of their tags.

    Text hidden in the lowest bits of the pixels is looked for where nothing else tells how the picture was made. Raises
    ``UnreadablePicture``.
    """
    with opened(source) as image:
        return _metadata(image)


def opened(source: Path | bytes) -> Image.Image:
    """The picture, its header read and its pixels not yet."""
    name = source.name if isinstance(source, Path) else "The file"
    Image.init()
    formats = [known for known in _READ if known in Image.OPEN]
    try:
        return Image.open(source if isinstance(source, Path) else io.BytesIO(source), formats=formats)
    except FileNotFoundError:
        raise UnreadablePicture(f"There is no file {name}.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnreadablePicture(f"{name} is too large to be opened: {error}") from error
    except BROKEN as error:
        raise UnreadablePicture(f"{name} cannot be read as a picture: it is broken or of another kind.") from error


def _metadata(image: Image.Image) -> dict[str, str]:
    found = _texts(image)
    for key, value in _exif_texts(image).items():
        found.setdefault(key, value)
    if read_chunks(found) is None and image.format in ("PNG", "WEBP") and _decode(image):
        found |= _texts(image)  # those behind the pixels of a PNG
        if read_chunks(found) is None:
            found |= read_stealth(image)
    return found


def _decode(image: Image.Image) -> bool:
    """Bring the pixels into memory; False if they are too many, or broken."""
    if image.width * image.height > _MOST_PIXELS_DECODED:
        return False
    try:
        image.load()
    except BROKEN:
        return False
    return True


def _texts(image: Image.Image) -> dict[str, str]:
    """Text chunks of a PNG, comments of GIF and JPEG, XMP."""
    found = {str(key): str(value) for key, value in image.info.items() if isinstance(value, str)}
    for key, name in (("comment", "comment"), ("xmp", XMP)):
        value = image.info.get(key)
        if isinstance(value, bytes):
            found.setdefault(name, value.decode("utf-8", "ignore").rstrip("\0"))
    return found


def _exif_texts(image: Image.Image) -> dict[str, str]:
    try:
        exif = image.getexif()
        values: dict[int, Any] = {**exif, **exif.get_ifd(_EXIF_IFD)}
    except BROKEN:
        return {}  # broken EXIF does not make the picture unreadable
    texts = {}
    for tag, value in values.items():
        raw = value.encode("latin-1", "ignore") if isinstance(value, str) else value
        if not isinstance(raw, bytes) or not (isinstance(value, str) or tag in (_USER_COMMENT, _MAKER_NOTE)):
            continue
        text = decode_user_comment(raw) if tag == _USER_COMMENT else raw.decode("utf-8", "ignore")
        if text.strip("\0 "):
            texts[ExifTags.TAGS.get(tag, f"EXIF 0x{tag:04X}")] = text.rstrip("\0")
    return texts


def decode_user_comment(raw: bytes) -> str:
    """EXIF's UserComment as text. Which byte of UTF-16 comes first is told by where the zeros are: parameters are ASCII."""
    code, body = raw[:8], raw[8:]
    if code == UNICODE:
        little = body.startswith(b"\xff\xfe") or body[1::2].count(0) > body[::2].count(0)
        text = body.decode("utf-16-le" if little else "utf-16-be", "ignore")
        return text.removeprefix("\ufeff")
    if code in (b"ASCII\0\0\0", bytes(8)):
        return body.decode("utf-8", "ignore")
    return raw.decode("utf-8", "ignore")
