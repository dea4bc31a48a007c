"""The outputs folder: pictures get their names here, whole or not at all, and are found again by them."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import MappingProxyType

from PIL import Image

from webui.domain.request import GenerationRequest
from webui.errors import InvalidSettings, NotAllowed, StorageFailure, did_you_mean
from webui.jobs.filenames import (
    NamedPicture,
    check_filename_pattern,
    check_folder_pattern,
    file_stem,
    folder_name,
    number_in,
    numbered,
)
from webui.jobs.pictures import FORMATS, encode
from webui.jobs.unfinished_file import UnfinishedFile, remove_leftovers

_NO_FOLDER = "A file stands where a folder should be; move it away."
_READ_ONLY = "Allow writing to it, or choose another folder with outputs_dir in config.yaml."
_FULL = "Free some space, or choose another folder with outputs_dir in config.yaml."
_ADVICE: Mapping[int, str] = MappingProxyType(
    {
        errno.ENOSPC: _FULL,
        errno.EDQUOT: _FULL,
        errno.EFBIG: "The system allows no file so large; raise its limit (ulimit -f).",
        errno.EACCES: _READ_ONLY,
        errno.EPERM: _READ_ONLY,
        errno.EROFS: _READ_ONLY,
        errno.ENOTDIR: _NO_FOLDER,
        errno.EEXIST: _NO_FOLDER,
    }
)


@dataclass(frozen=True)
class Kept:
    """Where a picture went: ``path`` is relative to the folder, with forward slashes; ``notice`` is empty mostly."""

    path: str
    notice: str


class Outputs:
    """Saves from several threads at once. Patterns and format are checked here: InvalidSettings."""

    def __init__(
        self,
        folder: Path,
        format: str = "png",
        quality: int = 90,
        filename_pattern: str = "[number]-[seed]",
        folder_pattern: str = "[kind]/[date]",
        now: Callable[[], datetime] = datetime.now,
    ) -> None:
        if format not in FORMATS:
            raise InvalidSettings(f'picture_format "{format}" is unknown. {did_you_mean(format, FORMATS)}')
        check_filename_pattern(filename_pattern)
        check_folder_pattern(folder_pattern)
        self.folder = folder
        self._format = format
        self._quality = quality
        self._filename_pattern = filename_pattern
        self._folder_pattern = folder_pattern
        self._now = now
        self._lock = threading.Lock()
        self._next_numbers: dict[Path, int] = {}

    def save(self, image: Image.Image, request: GenerationRequest, kind: str, infotext: str) -> str:
        """Write a picture that belongs to no job; its path, relative to the folder. See :meth:`saving`."""
        with self.saving(image, request, kind, infotext) as kept:
            return kept.path

    @contextlib.contextmanager
    def saving(
        self,
        image: Image.Image,
        request: GenerationRequest,
        kind: str,
        infotext: str,
        *,
        owner: str = "local",
        job: str = "",
        index: int = 0,
        batch_size: int = 1,
    ) -> Iterator[Kept]:
        """Write the picture that ``request`` draws alone. In the body it has its name; note it there.

        A process that dies before the body ends leaves a trace, by which :meth:`remove_leftovers` undoes the saving if
        the picture will be drawn again. Raises StorageFailure with the folder and the cause.
        """
        format, content, notice = self._encoded(image, infotext)
        picture = NamedPicture(request, kind, owner, job, index, batch_size, self._now())
        folder = self.folder
        unfinished: UnfinishedFile | None = None
        try:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                folder = self.folder / folder_name(self._folder_pattern, picture, _longest_name(self.folder))
                self._make(folder)
                unfinished = UnfinishedFile(folder, job, index)
                unfinished.write(content)
                name = self._publish(unfinished, folder, picture, FORMATS[format].suffix)
            except OSError as error:
                advice = _ADVICE.get(error.errno or 0, "Choose another folder with outputs_dir in config.yaml.")
                raise StorageFailure(
                    f"The picture cannot be written to {folder}: {error.strerror or error}. {advice}"
                ) from error
            yield Kept((folder / name).relative_to(self.folder).as_posix(), notice)
        finally:
            if unfinished is not None:
                unfinished.close()

    def resolve(self, relative: str) -> Path:
        """The file of that path. Raises NotAllowed if it would lie outside the folder; it need not exist."""
        path = PurePosixPath(relative)
        windows = PureWindowsPath(relative)
        is_plain = not (
            path.is_absolute() or windows.drive or windows.root or ".." in windows.parts or "\0" in relative
        )
        if is_plain:
            file = self.folder / path
            if file.resolve().is_relative_to(self.folder.resolve()):
                return file
        raise NotAllowed(f"{relative!r} does not lie in the outputs folder.")

    def holds(self, relative: str) -> bool:
        """Whether a file of that path is there."""
        try:
            return self.resolve(relative).is_file()
        except NotAllowed:
            return False

    def remove_leftovers(self, will_be_drawn: Callable[[str, int], bool]) -> int:
        """Remove half-written files of programs that died; how many. Call before the first picture is drawn.

        ``will_be_drawn(job, index)``: see ``JobQueue.will_draw``.
        """
        return remove_leftovers(self.folder, will_be_drawn)

    def _encoded(self, image: Image.Image, infotext: str) -> tuple[str, bytes, str]:
        """Format, file and notice. What the chosen format cannot hold (a side too long, a text too long) becomes a PNG."""
        try:
            return self._format, encode(image, infotext, self._format, self._quality), ""
        except StorageFailure as error:
            if self._format == "png":
                raise
            return "png", encode(image, infotext, "png", self._quality), f"Saved as PNG this time. {error}"

    def _make(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        if not folder.resolve().is_relative_to(self.folder.resolve()):
            raise StorageFailure(
                f"{folder} is a link that leads out of {self.folder}. Link the whole outputs folder instead, "
                "or choose another with outputs_dir in config.yaml."
            )

    def _publish(self, unfinished: UnfinishedFile, folder: Path, picture: NamedPicture, suffix: str) -> str:
        for name in self._names(folder, picture, suffix):
            with contextlib.suppress(FileExistsError):
                unfinished.publish(name)
                return name
        raise AssertionError("the names are endless")

    def _names(self, folder: Path, picture: NamedPicture, suffix: str) -> Iterator[str]:
        """Names to try, one after another, until one is free."""
        longest = _longest_name(folder) - len(suffix)
        if numbered(self._filename_pattern):
            while True:
                yield file_stem(self._filename_pattern, picture, self._take_number(folder), longest) + suffix
        room = len("-99999")
        stem = file_stem(self._filename_pattern, picture, 0, longest - room)
        yield stem + suffix
        for number in count(1):
            yield f"{stem}-{number}{suffix}"

    def _take_number(self, folder: Path) -> int:
        """The next running number of the folder; counted from its files once, then from memory."""
        with self._lock:
            number = self._next_numbers.get(folder)
            if number is None:
                pattern = number_in(self._filename_pattern)
                found = (pattern.match(entry.name) for entry in os.scandir(folder))
                number = max((int(match[1]) + 1 for match in found if match), default=0)
            self._next_numbers[folder] = number + 1
            return number


def _longest_name(folder: Path) -> int:
    """Bytes that a file name may have there."""
    if not hasattr(os, "pathconf"):
        return 255
    return os.pathconf(folder, "PC_NAME_MAX")
