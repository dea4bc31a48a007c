"""A folder of text files as a mapping, name -> text, that follows what happens on the disk.

The name is the path below the folder, parted by "/"; where only one suffix is looked for, without it. Files are listed again
when a folder has changed and read again when a file has; both only when they are asked for.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LARGEST = 8 * 2**20  # bytes that are read of one file
MOST_FILES = 100_000
MOST_KEPT = 64 * 2**20  # letters of texts that are kept in memory
JUST_NOW = 2_000_000_000  # ns; a change so shortly after the last need not show in the clock of every file system


@dataclass(frozen=True)
class _Seen:
    """What the disk said, and when it was asked."""

    mtime_ns: int
    asked_ns: int

    def still_holds(self, mtime_ns: int) -> bool:
        return mtime_ns == self.mtime_ns and self.asked_ns - mtime_ns > JUST_NOW


class TextFiles(Mapping[str, str]):
    """The texts of all files with one of ``suffixes`` in ``folder`` and below; none if there is no such folder.

    Hidden files and links that lead out of the folder are passed over. Of a file larger than 8 MB the first 8 MB count. May be
    shared by threads.
    """

    def __init__(self, folder: Path, suffixes: Sequence[str] = (".txt",)) -> None:
        self.folder = folder
        self._suffixes = tuple(suffixes)
        self._lock = threading.Lock()
        self._paths: dict[str, Path] = {}
        self._folders: dict[str, _Seen] = {}
        self._texts: dict[Path, tuple[_Seen, str]] = {}

    def __getitem__(self, name: str) -> str:
        path = self.paths()[name]
        try:
            mtime_ns = path.stat().st_mtime_ns
            with self._lock:
                seen, text = self._texts.get(path, (None, ""))
                if seen is None or not seen.still_holds(mtime_ns):
                    seen = _Seen(mtime_ns, time.time_ns())
                    with path.open("rb") as file:
                        text = file.read(LARGEST).decode("utf-8-sig", errors="replace")
                    if sum(len(kept) for _, kept in self._texts.values()) > MOST_KEPT:
                        self._texts.clear()
                    self._texts[path] = seen, text
                return text
        except OSError:  # gone, or not ours to read, since it was listed
            raise KeyError(name) from None

    def __contains__(self, name: object) -> bool:
        return name in self.paths()

    def __iter__(self) -> Iterator[str]:
        return iter(self.paths())

    def __len__(self) -> int:
        return len(self.paths())

    def paths(self) -> Mapping[str, Path]:
        """Where each file lies, sorted by name."""
        with self._lock:
            if not self._folders or any(not seen.still_holds(_mtime(path)) for path, seen in self._folders.items()):
                self._list()
            return self._paths

    def _list(self) -> None:
        asked = time.time_ns()
        found: dict[str, Path] = {}
        self._folders = {}
        root = os.path.realpath(self.folder)
        waiting = [root]
        while waiting and len(found) < MOST_FILES:
            directory = waiting.pop()
            if directory in self._folders:
                continue
            self._folders[directory] = _Seen(_mtime(directory), asked)
            for entry in _entries(directory):
                real = os.path.realpath(entry.path)
                if not real.startswith(root + os.sep):
                    continue
                if entry.is_dir():
                    waiting.append(real)
                elif entry.name.lower().endswith(self._suffixes):
                    relative = Path(entry.path).relative_to(root)
                    name = relative if len(self._suffixes) > 1 else relative.with_suffix("")
                    found.setdefault(name.as_posix(), Path(entry.path))
        self._paths = dict(sorted(found.items()))
        known = set(self._paths.values())
        self._texts = {path: kept for path, kept in self._texts.items() if path in known}


def _entries(directory: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as listing:
            entries = [entry for entry in listing if not entry.name.startswith(".")]
    except OSError:
        return []
    return sorted(entries, key=lambda entry: entry.name)


def _mtime(path: str) -> int:
    try:
        return Path(path).stat().st_mtime_ns
    except OSError:
        return 0
