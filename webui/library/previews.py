"""Preview pictures of model files: ``name.preview.png`` or ``name.png`` beside the file, and small versions of them."""

from __future__ import annotations

import io
import os
import struct
import warnings
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from webui.errors import UnreadablePicture
from webui.library.notes import beside, write_beside
from webui.library.scan import Found

SIDES = (256, 768)  # in pixels: for cards, and for a card that is looked at
MOST_PIXELS = 2**26
MOST_BYTES = 2**26
PREVIEW = ".preview.png"
_FORMATS = ("PNG", "JPEG", "WEBP")
_BROKEN = (
    OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError, OverflowError, RuntimeError, struct.error,
    Image.DecompressionBombError, Image.DecompressionBombWarning,
)  # fmt: skip


class Previews:
    """Small previews, kept in a folder of the program's own, which may be deleted at any time."""

    def __init__(self, folder: Path, roots: Sequence[Path]) -> None:
        self._folder = folder
        self._roots = tuple(os.path.realpath(root) for root in roots)

    def small(self, card_id: str, found: Found, side: int) -> bytes:
        """The preview as WebP of at most ``side`` pixels a side. ``UnreadablePicture`` where there is none that can be shown."""
        if found.preview is None or found.preview_stamp is None or side not in SIDES:
            raise UnreadablePicture(f"{found.path.name} has no preview.")
        kept = (
            self._folder / card_id[:2] / f"{card_id}-{side}-{found.preview_stamp[0]:x}-{found.preview_stamp[1]:x}.webp"
        )
        try:
            return kept.read_bytes()
        except OSError:
            data = _shrunk(self._read(found.preview), side, "WEBP", found.preview.name)
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
            for outdated in kept.parent.glob(f"{card_id}-{side}-*.webp"):
                outdated.unlink(missing_ok=True)
            unfinished = kept.with_suffix(f".{os.getpid()}.part")
            unfinished.write_bytes(data)
            unfinished.replace(kept)
        except OSError:  # full or read-only: it is made again the next time
            pass
        return data

    def put(self, found: Found, picture: bytes, infotext: str) -> Path:
        """Make a picture the file's preview: a PNG beside it, with the text of how it was made."""
        path = beside(found, PREVIEW)
        write_beside(path, _shrunk(picture, max(SIDES), "PNG", "The picture", infotext))
        return path

    def _read(self, path: Path) -> bytes:
        """Only from inside the model folders, also if it has become a link since they were looked at."""
        real = os.path.realpath(path)
        if not any(real.startswith(root.rstrip(os.sep) + os.sep) for root in self._roots):
            raise UnreadablePicture(f"{path.name} lies outside the model folders.")
        try:
            with open(real, "rb") as file:  # noqa: PTH123
                data = file.read(MOST_BYTES + 1)
        except OSError as error:
            raise UnreadablePicture(f"{path.name} cannot be read: {error.strerror or error}.") from error
        if len(data) > MOST_BYTES:
            raise UnreadablePicture(f"{path.name} is too large for a preview.")
        return data


def _shrunk(data: bytes, side: int, kind: str, label: str, infotext: str = "") -> bytes:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                if image.width * image.height > MOST_PIXELS:
                    raise UnreadablePicture(f"{label} has too many pixels for a preview.")
                image.draft("RGB", (side, side))
                upright = ImageOps.exif_transpose(image)
                upright.thumbnail((side, side), Image.Resampling.LANCZOS)
                out = io.BytesIO()
                text = PngInfo()
                if infotext:
                    text.add_itxt("parameters", infotext)
                extra = {"pnginfo": text} if kind == "PNG" else {"quality": 82}
                upright.convert("RGB").save(out, kind, **extra)
    except UnreadablePicture:
        raise
    except _BROKEN as error:
        raise UnreadablePicture(f"{label} is no picture, or a broken one.") from error
    return out.getvalue()
