"""Walk the model folders and say which files in them may be models, without opening any."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from webui.library.embedding_pictures import PICTURE_SUFFIXES
from webui.library.formats import PICKLE_SUFFIXES

MODEL_SUFFIXES = (".safetensors", *PICKLE_SUFFIXES)
PREVIEW_SUFFIXES = tuple(f"{mark}.{kind}" for mark in (".preview", "") for kind in ("png", "jpg", "jpeg", "webp"))
NOTES_SUFFIXES = (".json", ".civitai.info", ".cm-info.json")  # what users and other programs write about it
UNFINISHED = (".part", ".crdownload", ".aria2")  # what browsers and aria2 put beside a file that is still coming
DIFFUSERS_STEMS = ("diffusion_pytorch_model", "diffusion_pytorch_model.fp16")  # what diffusers calls every network
FOLDER_MARK = "model_index.json"  # makes a folder a model in diffusers layout

Stamp = tuple[int, int]  # mtime in ns, size in bytes: while they stay, so does the content


@dataclass(frozen=True)
class Found:
    """A file that may be a model, or a folder in diffusers layout.

    ``kind`` is the kind of the model folder that it lies in; ``relative`` the path below that folder, with forward slashes.
    ``sidecar`` says how to use it: a ``.yaml`` beside it, or the ``config.json`` of a network in diffusers layout.
    ``preview`` is a picture of the same name, ``notes`` what is written about it (``library/about.py``), each with its stamp.
    """

    kind: str
    root: Path
    relative: str
    path: Path
    stamp: Stamp
    is_folder: bool = False
    sidecar: Path | None = None
    sidecar_stamp: Stamp | None = None
    preview: Path | None = None
    preview_stamp: Stamp | None = None
    notes: tuple[tuple[Path, Stamp], ...] = ()

    def __hash__(self) -> int:
        """Of what tells files apart: thousands of them are looked up again and again."""
        return hash((self.path, self.stamp))


@dataclass
class Scan:
    """What was found, and sentences about what could not be looked at."""

    found: list[Found] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def scan(folders: Mapping[str, Sequence[Path]], optional: Collection[Path] = ()) -> Scan:
    """Look through every folder of every kind and the folders below, each real folder once. ``optional`` ones may be missing.

    Links are followed only to what lies in one of ``folders``: a link planted in a model folder must not make other files
    of the machine readable. Hidden files and unfinished downloads are passed over.
    """
    roots = {root: os.path.realpath(root) for kind_folders in folders.values() for root in kind_folders}
    walker = _Walker(tuple(roots.values()), optional)
    for kind, kind_folders in folders.items():
        for root in kind_folders:
            walker.walk(kind, root, roots[root])
    return walker.scan


class _Walker:
    def __init__(self, real_roots: tuple[str, ...], optional: Collection[Path]) -> None:
        self.scan = Scan()
        self._optional = optional
        self._real_roots = real_roots
        self._seen: set[str] = set()

    def walk(self, kind: str, root: Path, real_root: str) -> None:
        if not root.is_dir():
            if root not in self._optional:
                self.scan.problems.append(
                    f"The {kind} folder {root} does not exist; create it or take it out of the settings."
                )
            return
        waiting = [(str(root), real_root)]
        while waiting:
            directory, real = waiting.pop()
            if real in self._seen or (real != real_root and real in self._real_roots):
                continue  # a second way to the same folder, or one that is walked on its own
            self._seen.add(real)
            entries = self._entries(directory)
            if FOLDER_MARK in entries and real != real_root:
                self._add_folder(kind, root, Path(directory))
                continue
            for name, entry in entries.items():
                if entry.is_dir():
                    waiting.append((entry.path, self._real(entry, real)))
                elif name.lower().endswith(MODEL_SUFFIXES) or (kind == "embedding" and _is_own_picture(name, entries)):
                    self._add_file(kind, root, entry, entries)

    def _entries(self, directory: str) -> dict[str, os.DirEntry[str]]:
        """What may be looked at in a folder, by name and in order."""
        try:
            with os.scandir(directory) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            self.scan.problems.append(f"{directory} cannot be looked at: {error.strerror or error}.")
            return {}
        return {entry.name: entry for entry in entries if self._may_look(entry)}

    def _may_look(self, entry: os.DirEntry[str]) -> bool:
        if entry.name.startswith("."):
            return False
        try:
            entry.path.encode()
        except UnicodeEncodeError:
            shown = entry.path.encode(errors="backslashreplace").decode()
            self.scan.problems.append(f"{shown} is passed over, because its name is not valid Unicode; rename it.")
            return False
        if entry.is_symlink():
            target = os.path.realpath(entry.path)
            if not any(target == root or target.startswith(root.rstrip(os.sep) + os.sep) for root in self._real_roots):
                self.scan.problems.append(
                    f"{entry.path} is passed over, because it is a link to {target}, outside the model folders. "
                    "Name that folder under extra_model_folders in the settings."
                )
                return False
        return True

    @staticmethod
    def _real(entry: os.DirEntry[str], real_parent: str) -> str:
        return (
            os.path.realpath(entry.path) if entry.is_symlink() else f"{real_parent.rstrip(os.sep)}{os.sep}{entry.name}"
        )

    def _add_file(
        self, kind: str, root: Path, entry: os.DirEntry[str], entries: Mapping[str, os.DirEntry[str]]
    ) -> None:
        if any(entry.name + suffix in entries for suffix in UNFINISHED):
            return
        stem = entry.name.rpartition(".")[0]
        try:
            stamp = _stamp(entry)
            sidecar = entries.get(f"{stem}.yaml" if stem not in DIFFUSERS_STEMS else "config.json")
            preview = next((entries[stem + suffix] for suffix in PREVIEW_SUFFIXES if stem + suffix in entries), None)
            notes = [entries[stem + suffix] for suffix in NOTES_SUFFIXES if stem + suffix in entries]
            self.scan.found.append(
                Found(
                    kind,
                    root,
                    _relative(entry.path, root),
                    Path(entry.path),
                    stamp,
                    sidecar=Path(sidecar.path) if sidecar else None,
                    sidecar_stamp=_stamp(sidecar) if sidecar else None,
                    preview=Path(preview.path) if preview else None,
                    preview_stamp=_stamp(preview) if preview else None,
                    notes=tuple((Path(note.path), _stamp(note)) for note in notes),
                )
            )
        except OSError as error:  # gone since the folder was listed, or a broken link
            self.scan.problems.append(f"{entry.path} cannot be looked at: {error.strerror or error}.")

    def _add_folder(self, kind: str, root: Path, folder: Path) -> None:
        """A model in diffusers layout: its stamp is that of all its files together."""
        size, mtime_ns = 0, 0
        problems = len(self.scan.problems)
        try:
            for entry in self._files_of(folder):
                changed, length = _stamp(entry)
                mtime_ns = max(mtime_ns, changed)
                if entry.name.endswith(MODEL_SUFFIXES):
                    size += length
        except OSError as error:
            self.scan.problems.append(f"{folder} cannot be looked at: {error.strerror or error}.")
        if len(self.scan.problems) == problems:  # no part of it may be a link to elsewhere
            found = Found(kind, root, _relative(str(folder), root), folder, (mtime_ns, size), is_folder=True)
            self.scan.found.append(found)

    def _files_of(self, folder: Path) -> Iterator[os.DirEntry[str]]:
        for entry in self._entries(str(folder)).values():
            if entry.is_dir():
                yield from (inner for inner in self._entries(entry.path).values() if inner.is_file())
            else:
                yield entry


def _is_own_picture(name: str, entries: Mapping[str, os.DirEntry[str]]) -> bool:
    """A picture among embeddings that is no other file's preview: it may carry an embedding."""
    stem, _, _ = name.rpartition(".")
    is_preview = stem.lower().endswith(".preview") or any(stem + suffix in entries for suffix in MODEL_SUFFIXES)
    return name.lower().endswith(PICTURE_SUFFIXES) and not is_preview


def _stamp(entry: os.DirEntry[str]) -> Stamp:
    status = entry.stat()
    return status.st_mtime_ns, status.st_size


def _relative(path: str, root: Path) -> str:
    """``path`` begins with ``root``, because the walk began there."""
    return path[len(str(root)) :].lstrip(os.sep).replace(os.sep, "/")
