"""``Library``: the model files of this installation, found by kind and name."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock

from webui.errors import ModelNotFound, did_you_mean
from webui.library.descriptions import Descriptions
from webui.library.formats import component_files
from webui.library.hashes import HashCache, legacy_hash
from webui.library.identify import KIND_TITLES
from webui.library.model_file import ModelFile
from webui.library.names import aliases, fold, unique_names
from webui.library.scan import Found, scan
from webui.library.survey import Survey

LEGACY_DIGITS = 8


@dataclass(frozen=True)
class _Index:
    """One look at the folders. Never changed; the next look makes another."""

    files: Mapping[str, tuple[ModelFile, ...]] = field(default_factory=dict)
    by_name: Mapping[tuple[str, str], ModelFile] = field(default_factory=dict)
    by_alias: Mapping[tuple[str, str], tuple[ModelFile, ...]] = field(default_factory=dict)
    by_trained_name: Mapping[tuple[str, str], tuple[ModelFile, ...]] = field(default_factory=dict)
    described: Mapping[Found, ModelFile] = field(default_factory=dict)
    entries: Mapping[str, tuple[tuple[Found, ModelFile], ...]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Progress:
    """How many of the files found are read; ``version`` changes with every look at what is there."""

    done: int
    total: int
    version: int

    @property
    def is_over(self) -> bool:
        return self.done >= self.total


class Library:
    """Empty until :meth:`rescan` or :meth:`begin_scan`. ``hash_db`` remembers hashes and descriptions.

    Readers need no lock: they take the index that is there when they come. While files are still being read in the
    background, :meth:`files` tells of those that were, and :meth:`find` has the one that is asked for read next.

    ``folders``: kind of model -> folders to look in, with the folders below them. What a file is decides its kind, the
    folder only where the file does not tell; a VAE beside checkpoints is found as a VAE. ``optional`` ones may be missing.
    """

    def __init__(self, folders: Mapping[str, Sequence[Path]], hash_db: Path, optional: Collection[Path] = ()) -> None:
        self._optional = frozenset(optional)
        self._folders = {kind: tuple(paths) for kind, paths in folders.items()}
        self._hashes = HashCache(hash_db)
        self._tensor_hashes = HashCache(hash_db, without_header=True)
        self._descriptions = Descriptions(hash_db)
        self._index = _Index()
        self._version = 0
        self._survey: Survey | None = None
        self._scanning = Lock()

    @property
    def problems(self) -> tuple[str, ...]:
        """Sentences about what could not be looked at: missing folders, links to elsewhere."""
        return self._index.problems

    @property
    def progress(self) -> Progress:
        survey = self._survey
        return Progress(survey.done, survey.total, self._version) if survey else Progress(0, 0, self._version)

    def begin_scan(self) -> None:
        """Look at the folders again. Files that have not changed are not opened again.

        Checkpoints and VAEs are described when it returns, other files in the background, as far as they have to be read.
        """
        with self._scanning:
            if self._survey is not None:
                self._survey.stop()  # what it has read is known by now
            seen = scan(self._folders, self._optional)

            def publish(described: Mapping[Found, ModelFile]) -> None:
                self._index = _indexed(described, tuple(seen.problems))
                self._version += 1

            self._survey = Survey(seen, self._descriptions, self._index.described, publish)
            self._survey.begin()

    def settle(self) -> None:
        """Wait until every file is described."""
        while (survey := self._survey) is not None:
            survey.wait()
            if survey is self._survey:
                return

    def rescan(self) -> None:
        """Look at the folders again, and wait until every file is described."""
        self.begin_scan()
        self.settle()

    def close(self) -> None:
        """End a scan that runs in the background. What it has read is remembered."""
        with self._scanning:
            if self._survey is not None:
                self._survey.stop()

    def entries(self, kind: str) -> tuple[tuple[Found, ModelFile], ...]:
        """:meth:`files`, each with where it was found and what lies beside it."""
        return self._index.entries.get(kind, ())

    def read_named(self, words: str) -> None:
        """Wait for the files not yet read whose names stand in ``words``: a prompt, folded, without its spaces."""
        self._want((), words=words)

    def read_file(self, path: Path) -> None:
        """Wait for this file, if it is not yet read."""
        self._want((), paths={str(path)})

    @property
    def roots(self) -> tuple[Path, ...]:
        """Every model folder."""
        return tuple(root for roots in self._folders.values() for root in roots)

    def files(self, kind: str) -> tuple[ModelFile, ...]:
        """All files of a kind in the order of their names, those that cannot be used with their ``problem``."""
        return self._index.files.get(kind, ())

    def find(self, kind: str, name: str, hash: str = "") -> ModelFile:
        """The usable file that is meant by ``name``, in any case and with or without folder, suffix and "[hash]".

        ``hash`` (8 digits or more of the SHA-256, or the 8 of 2022's pictures) decides between files of the same name, and
        finds a renamed file if its hash has been computed before. Raises ``ModelNotFound`` with near matches, or the file's
        own problem.
        """
        self._want((name, re.sub(r"\s*\[[0-9a-fA-F]{8,64}\]$", "", name.strip())), hash)
        index = self._index
        exact = index.by_name.get((kind, fold(name)))
        candidates = (exact,) if exact is not None else index.by_alias.get((kind, fold(name)), ())
        if not candidates and (title := re.fullmatch(r"(.*?)\s*\[([0-9a-fA-F]{8,64})\]", name.strip())):
            return self.find(kind, title[1], hash or title[2])
        if not candidates and re.fullmatch(r"[0-9a-fA-F]{8,64}", name.strip()):
            candidates = self._with_hash(self.files(kind), name.strip())
        candidates = candidates or index.by_trained_name.get((kind, fold(name)), ())
        if len(candidates) > 1 and hash:
            candidates = self._with_hash(candidates, hash) or candidates
        if not candidates and hash:
            candidates = self._with_hash(self.files(kind), hash)[:1]
        if not candidates and self._survey is not None and not self._survey.over:
            self.settle()  # it may be the name that a file not yet read was trained under
            return self.find(kind, name, hash)
        if len(candidates) != 1:
            raise ModelNotFound(self._why_not_found(index, kind, name, candidates))
        if candidates[0].problem:
            raise candidates[0].error(candidates[0].problem)
        return candidates[0]

    def hash(self, file: ModelFile) -> str:
        """SHA-256 in 64 hex digits; of a diffusers folder, that of its U-Net's weights (of the shards' hashes, if several)."""
        hashes = [self._hashes.sha256(path) for path in _hashed_files(file)]
        return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()

    def known_hash(self, file: ModelFile) -> str:
        """The hash if it has been computed before, else "": asks for no work."""
        return "" if file.path.is_dir() else self._hashes.known(file.path, file.mtime_ns, file.size)

    def lora_hash(self, file: ModelFile) -> str:
        """The hash by which pictures name a LoRA: of its tensors alone, 64 hex digits."""
        return self._tensor_hashes.sha256(file.path)

    def known_lora_hash(self, file: ModelFile) -> str:
        """The same if it has been computed before, else ""."""
        return self._tensor_hashes.known(file.path, file.mtime_ns, file.size)

    def with_hash(self, kind: str, digits: str) -> tuple[ModelFile, ...]:
        """The files of a kind that are known to have a hash of either sort that begins so, or that state it themselves."""
        known = self._hashes.paths(digits) | self._tensor_hashes.paths(digits)
        self._want((), digits)
        return tuple(
            file
            for file in self.files(kind)
            if (str(file.path), file.mtime_ns, file.size) in known
            or str(file.about.get("tensor_hash", "")).startswith(digits.lower())
        )

    def hash_small(self, kind: str, most_bytes: int) -> None:
        """Compute hashes that are not known yet, of the smallest files first, as far as ``most_bytes`` of reading go."""
        for file in sorted(self.files(kind), key=lambda file: file.size):
            if file.problem or file.path.is_dir():
                continue
            for known, compute in ((self.known_hash, self.hash), (self.known_lora_hash, self.lora_hash)):
                if not known(file):
                    most_bytes -= file.size
                    if most_bytes < 0:
                        return
                    compute(file)

    def _want(self, names: Sequence[str], digits: str = "", words: str = "", paths: Collection[str] = ()) -> None:
        """Wait until no file that may be meant is unread."""
        while (survey := self._survey) is not None and not survey.over:
            known = self._hashes.paths(digits) | self._tensor_hashes.paths(digits) if digits else ()
            survey.want(names, {*paths, *(path for path, *_ in known)}, words)
            if survey is self._survey:
                return

    def _with_hash(self, files: Sequence[ModelFile], digits: str) -> tuple[ModelFile, ...]:
        known = self._hashes.paths(digits)
        found = tuple(file for file in files if (str(file.path), file.mtime_ns, file.size) in known)
        if found or len(digits) != LEGACY_DIGITS:
            return found
        plain = (file for file in files if not file.problem and file.path.is_file())
        return tuple(file for file in plain if legacy_hash(file.path) == digits.lower())

    @staticmethod
    def _why_not_found(index: _Index, kind: str, name: str, candidates: Sequence[ModelFile]) -> str:
        title = KIND_TITLES.get(kind, kind)
        if candidates:
            names = " or ".join(sorted(f'"{file.name}"' for file in candidates))
            return f'There are several {title} files called "{name}". Say which one: {names}.'
        for other, other_title in KIND_TITLES.items():
            if other != kind and (other, fold(name)) in index.by_alias:
                return f'"{name}" is no {title} but a file of kind {other_title}.'
        hint = did_you_mean(name, [file.name for file in index.files.get(kind, ()) if not file.problem])
        return f'There is no {title} "{name}". {hint}'


def _indexed(described: Mapping[Found, ModelFile], problems: tuple[str, ...]) -> _Index:
    by_kind: dict[str, list[Found]] = defaultdict(list)
    for found, file in described.items():
        by_kind[file.kind].append(found)
    files: dict[str, tuple[ModelFile, ...]] = {}
    by_name: dict[tuple[str, str], ModelFile] = {}
    by_alias: dict[tuple[str, str], list[ModelFile]] = defaultdict(list)
    by_trained_name: dict[tuple[str, str], list[ModelFile]] = defaultdict(list)
    entries: dict[str, tuple[tuple[Found, ModelFile], ...]] = {}
    for kind, members in by_kind.items():
        named: list[tuple[Found, ModelFile]] = []
        for found, name in zip(members, unique_names(members), strict=True):
            file = replace(described[found], name=name)
            named.append((found, file))
            by_name[kind, fold(name)] = file
            for alias in aliases(found, name):
                by_alias[kind, alias].append(file)
            if trained_name := file.about.get("alias"):
                by_trained_name[kind, fold(trained_name)].append(file)
        entries[kind] = tuple(sorted(named, key=lambda entry: (entry[1].name.casefold(), entry[1].name)))
        files[kind] = tuple(file for _, file in entries[kind])
    return _Index(files, by_name, _several(by_alias), _several(by_trained_name), described, entries, problems)


def _several(table: Mapping[tuple[str, str], list[ModelFile]]) -> dict[tuple[str, str], tuple[ModelFile, ...]]:
    return {key: tuple(same) for key, same in table.items()}


def _hashed_files(file: ModelFile) -> tuple[Path, ...]:
    return component_files(file, "unet") if file.kind == "checkpoint" else (file.path,)
