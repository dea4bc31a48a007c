"""Input pictures: what img2img starts from, and masks. Kept for their owner, by an id that requests can name.

A picture may be any file that a visitor hands in, so it is decoded under bounds and kept as what the engine wants: one
frame, upright, 8 bits a channel, RGB or RGBA. The id is taken from these pixels. The same picture handed in twice is kept
once, a job that waits in the queue finds its picture after a restart, and an id can be made up only by who has the picture.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import numpy as np
from PIL import Image, ImageOps

from webui.domain.request import GenerationRequest
from webui.domain.sizes import Size
from webui.domain.tile_grid import enlarged_size
from webui.errors import InvalidRequest, StorageFailure, UnreadablePicture
from webui.jobs.pictures import BROKEN, opened

MOST_BYTES = 2**26  # of a file
MOST_PIXELS = 2**26  # 8192 x 8192; 256 MiB when decoded
MOST_SIDE = 2**16
_ROWS = 256
_CLEANED_EVERY = 3600
_ID = re.compile("[0-9a-f]{32}")
_DEEP_GREY = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")


class InputPictures:
    """The folder of all owners' input pictures. Pictures are written whole or not at all, from several threads at once.

    ``keep_seconds`` is how long one is kept after it was last asked for; ``now`` gives unix seconds.
    """

    most_bytes = MOST_BYTES

    def __init__(self, folder: Path, keep_seconds: float = 7 * 86400.0, now: Callable[[], float] = time.time) -> None:
        self.folder = folder
        self._keep_seconds = keep_seconds
        self._now = now
        self._cleaned = 0.0

    def add(self, data: bytes, owner: str) -> str:
        """Keep a picture, whatever its format; its id. Raises ``UnreadablePicture`` and ``StorageFailure``."""
        if len(data) > MOST_BYTES:
            raise UnreadablePicture(f"The file is larger than {MOST_BYTES // 2**20} MB. Choose a smaller one.")
        return self.keep(decoded(data), owner)

    def keep(self, picture: Image.Image, owner: str) -> str:
        """Keep a picture of mode RGB or RGBA; its id. Raises ``StorageFailure``."""
        id = picture_id(picture)
        file = self._file(id, owner)
        if not self._touch(file):
            unfinished = file.with_name(f".{uuid4().hex}.part")
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
                try:
                    picture.save(unfinished, "PNG", compress_level=1)  # the usual 6 takes five times as long
                    unfinished.replace(file)
                finally:
                    unfinished.unlink(missing_ok=True)
                self._touch(file)
            except OSError as error:
                raise StorageFailure(
                    f"The picture cannot be kept in {self.folder}: {error.strerror or error}. Free some space there."
                ) from error
        return id

    def path(self, id: str, owner: str) -> Path:
        """The PNG of that id. Raises ``UnreadablePicture`` when this owner has handed in no such picture."""
        if _ID.fullmatch(id):
            file = self._file(id, owner)
            if self._touch(file):
                return file
        raise UnreadablePicture("That picture is not here, or no longer: hand it in again.")

    def check(self, request: GenerationRequest, owner: str) -> None:
        """Raises ``InvalidRequest`` for pictures that the owner has not handed in, or that are no longer kept or do not suit."""
        if request.mask and not request.init_image:
            raise InvalidRequest("A mask needs a picture to lie on. Choose one, or take the mask away.", "init_image")
        for field, noun in (("init_image", "picture to start from"), ("mask", "mask"), ("depth_map", "depth map")):
            id = getattr(request, field)
            try:
                if id:
                    self.path(id, owner)  # being asked for, it stays for some days more
            except UnreadablePicture as error:
                raise InvalidRequest(f"The {noun} is not here, or no longer. Choose it again.", field) from error
        for entry in request.batch_entries:
            self.check(replace(request, batch_pictures="", init_image=entry["init_image"]), owner)
        if request.upscales_in_tiles:
            with Image.open(self.path(request.init_image, owner)) as picture:
                enlarged_size(request, Size(*picture.size))

    def give(self, owner: str, new_owner: str) -> None:
        """Let all pictures of one owner be another's."""
        for file in self._folder(owner).glob("*.png"):
            target = self._folder(new_owner) / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():
                file.replace(target)

    def holds(self, id: str, owner: str) -> bool:
        """Whether the owner has handed in a picture of that id, and it is still kept."""
        return bool(_ID.fullmatch(id)) and self._file(id, owner).is_file()

    def open(self, id: str, owner: str) -> Image.Image:
        """The picture, RGB or RGBA, in memory. Raises ``UnreadablePicture``."""
        try:
            with Image.open(self.path(id, owner), formats=["PNG"]) as picture:
                picture.load()
                return picture
        except BROKEN as error:
            raise UnreadablePicture("That picture's file is broken: hand it in again.") from error

    @property
    def cleaning_is_due(self) -> bool:
        """Whether the last cleaning was more than an hour ago."""
        return self._now() - self._cleaned > _CLEANED_EVERY

    def clean(self, needed: Iterable[str]) -> int:
        """Remove pictures that nobody has asked for in a while, but for those of ids that are ``needed``; how many."""
        self._cleaned = self._now()
        stays, oldest, removed = frozenset(needed), self._cleaned - self._keep_seconds, 0
        for file in [*self.folder.glob("*/*.png"), *self.folder.glob("*/.*.part")]:
            with contextlib.suppress(OSError):
                if file.stem not in stays and file.stat().st_mtime < oldest:
                    file.unlink()
                    removed += 1
        return removed

    def _folder(self, owner: str) -> Path:
        return self.folder / hashlib.sha256(owner.encode()).hexdigest()[:16]  # a name may hold anything

    def _file(self, id: str, owner: str) -> Path:
        return self._folder(owner) / f"{id}.png"

    def _touch(self, file: Path) -> bool:
        """Note that the file was asked for; False if it is not there."""
        moment = self._now()
        try:
            os.utime(file, (moment, moment))
        except FileNotFoundError:
            return False
        except OSError:
            return file.is_file()  # a read-only folder is no hindrance to reading
        return True


def decoded(source: bytes | Path) -> Image.Image:
    """A picture file as RGB, or as RGBA where it has transparent places: upright, its first frame, 8 bits a channel.

    Raises ``UnreadablePicture`` for what is no picture, is broken or cut off, or has more than 64 megapixels: memory stays
    bounded, as this is known before a pixel is decoded.
    """
    with opened(source) as picture:
        if picture.width * picture.height > MOST_PIXELS or max(picture.size) > MOST_SIDE:
            raise UnreadablePicture(
                f"The picture has {picture.width} x {picture.height} pixels; at most {MOST_PIXELS / 1e6:.0f} million, and "
                f"{MOST_SIDE} a side, can be taken. Make it smaller first."
            )
        try:
            return _normal(picture)
        except BROKEN as error:
            raise UnreadablePicture(
                f"The picture is broken or cut off, and cannot be read to its end: {error}"
            ) from error


def picture_id(picture: Image.Image) -> str:
    """The first 32 hex digits of the SHA-256 of mode, size and pixels."""
    digest = hashlib.sha256(f"{picture.mode} {picture.width} x {picture.height}\0".encode())
    for top in range(0, picture.height, _ROWS):  # in strips, or the pixels would be in memory once more
        digest.update(picture.crop((0, top, picture.width, min(top + _ROWS, picture.height))).tobytes())
    return digest.hexdigest()[:32]


def _normal(picture: Image.Image) -> Image.Image:
    picture.load()
    with contextlib.suppress(*BROKEN):  # with a broken EXIF it stays as it lies
        ImageOps.exif_transpose(picture, in_place=True)
    if picture.mode in _DEEP_GREY:
        picture = _eight_bits(picture)
    normal = picture
    if picture.has_transparency_data:
        normal = picture.convert("RGBA")
        is_transparent = normal.getchannel("A").getextrema() != (255, 255)
        normal = normal if is_transparent else normal.convert("RGB")
    elif picture.mode != "RGB":
        normal = picture.convert("RGB")
    plain = normal.copy()
    plain.info = {}  # texts, profile, position: none of it shall come along
    return plain


def _eight_bits(picture: Image.Image) -> Image.Image:
    """Greys of 16 or 32 bits or of fractions, which Pillow would cut off at 255."""
    grey = np.asarray(picture).astype(np.float64)
    most = float(grey.max())
    full = 1.0 if picture.mode == "F" and most <= 1 else 255.0 if most <= 255 and picture.mode != "I;16" else 65535.0
    return Image.fromarray((np.nan_to_num(grey) / full * 255).clip(0, 255).astype(np.uint8))
