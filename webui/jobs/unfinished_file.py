"""A file under a temporary name that becomes visible whole or not at all, and never in another's place.

It is written beside its final name as ``.lucid-<job>-<index>-<random>.tmp``, flushed to disk, and given the final name by a
hard link, which fails if that name is taken (a plain rename would overwrite). The temporary name goes only after the
owner has noted the picture: if the process dies in between, both names are found at the next start, and a picture that
will be drawn again is not left there twice.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path

from webui.jobs.file_lock import create_locked, is_abandoned

_PREFIX = ".lucid-"
_UNFINISHED = re.compile(r"\.lucid-(?P<job>[0-9a-f]*)-(?P<index>\d+)-[0-9a-f]+\.tmp")
_RESERVED = re.compile(r"\.lucid-[0-9a-f]+\.reserved")


class UnfinishedFile:
    """All methods raise OSError. ``close`` when done, in any case."""

    def __init__(self, folder: Path, job: str, index: int) -> None:
        self._folder = folder
        self._descriptor, self._path = create_locked(folder, f"{_PREFIX}{job}-{index}-", ".tmp")

    def write(self, content: bytes) -> None:
        """Everything, and wait for the disk."""
        left = memoryview(content)
        while left:
            left = left[os.write(self._descriptor, left) :]
        os.fsync(self._descriptor)

    def publish(self, name: str) -> None:
        """Give the file its name. Raises FileExistsError, and changes nothing, if that is taken."""
        target = self._folder / name
        try:
            os.link(self._path, target)
        except FileExistsError:
            raise
        except OSError:  # FAT, exFAT and some network drives know no hard links
            self._publish_by_rename(target)
        _sync_folder(self._folder)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self._path.unlink(missing_ok=True)

    def _publish_by_rename(self, target: Path) -> None:
        # Renaming would overwrite; so whoever wants the name must first hold a reservation of it.
        digest = hashlib.sha256(target.name.casefold().encode()).hexdigest()[:24]
        reservation = self._folder / f"{_PREFIX}{digest}.reserved"
        descriptor = os.open(reservation, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
        try:
            if target.exists():
                raise FileExistsError(target)
            if os.name == "nt":  # where an open file cannot be renamed
                os.close(self._descriptor)
                self._descriptor = -1
            self._path.rename(target)
        finally:
            os.close(descriptor)
            reservation.unlink()


def remove_leftovers(folder: Path, will_be_drawn: Callable[[str, int], bool]) -> int:
    """Remove what dead processes left under ``folder``; how many files.

    A picture that got its final name, but whose job (``will_be_drawn(job, index)``) does not know it yet and draws it
    again, is removed too.
    """
    removed = 0
    for directory, _, names in os.walk(folder):
        for name in names:
            if not name.startswith(_PREFIX):  # nearly all, and there may be many
                continue
            path, unfinished = Path(directory, name), _UNFINISHED.fullmatch(name)
            if not (unfinished or _RESERVED.fullmatch(name)) or not is_abandoned(path):
                continue
            if unfinished and will_be_drawn(unfinished["job"], int(unfinished["index"])):
                removed += _remove_twins(path, names)
            path.unlink(missing_ok=True)
            removed += 1
    return removed


def _remove_twins(path: Path, names: list[str]) -> int:
    """Remove the other names of this file in its folder."""
    file = path.stat()
    if file.st_nlink == 1:
        return 0
    others = (path.with_name(name) for name in names if name != path.name)
    twins = [other for other in others if other.exists() and os.path.samestat(file, other.stat())]
    for twin in twins:
        twin.unlink()
    return len(twins)


def _sync_folder(folder: Path) -> None:
    """Make a new name survive a power cut. Where folders cannot be opened or synced, the system sees to it."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
