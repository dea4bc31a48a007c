"""Styles as people have them: those of the server, which all may use, and each owner's own.

The server's lie in a folder, as ``.csv`` files of A1111 or as YAML; nothing here writes there. An owner's are one YAML file,
which is written whole or not at all. An own style goes before one of the server's of the same name: so a style of the server
can be changed for oneself, and taking the change away brings the server's back.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from webui.domain.chosen_prompts import PROMPTS
from webui.domain.request import GenerationRequest
from webui.domain.styles import Style, apply_styles, read_csv, read_yaml, recognise, write_yaml
from webui.errors import InvalidRequest, InvalidSettings, StorageFailure, did_you_mean
from webui.library.text_files import TextFiles

MOST_STYLES = 5000  # of one owner
LONGEST_NAME = 200
LONGEST_TEXT = 20_000

_SUFFIXES = (".csv", ".yaml", ".yml")
_PLAIN_OWNER = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")  # safe as a file name everywhere


@dataclass(frozen=True)
class KnownStyle:
    """A style that an owner can use; ``own`` if it is theirs to change."""

    style: Style
    own: bool


class StyleBook:
    """``shared`` is the server's folder, ``private`` the folder of the owners' files. May be shared by threads."""

    def __init__(self, shared: Path, private: Path) -> None:
        self._shared = TextFiles(shared, _SUFFIXES)
        self._private = private
        self._lock = threading.Lock()
        self._read: dict[Path, tuple[str, tuple[Style, ...]]] = {}

    def styles(self, owner: str) -> tuple[KnownStyle, ...]:
        """The owner's own, then the server's, each in the order of their files. A file that cannot be read has none."""
        return tuple(self._known(owner, []).values())

    def problems(self, owner: str) -> tuple[str, ...]:
        """A sentence for each file that cannot be read."""
        told: list[str] = []
        self._known(owner, told)
        return tuple(told)

    def named(self, owner: str, names: Iterable[str]) -> tuple[tuple[Style, ...], tuple[str, ...]]:
        """The styles of these names, in their order, and the names that there are none of. The case must not match."""
        known = self._known(owner, [])
        folded = {name.casefold(): name for name in reversed([*known])}
        found: list[Style] = []
        missing: list[str] = []
        for name in names:
            spelled = name if name in known else folded.get(name.casefold())
            if spelled is None:
                missing.append(name)
            else:
                found.append(known[spelled].style)
        return tuple(found), tuple(missing)

    def missing(self, owner: str, names: Iterable[str]) -> tuple[str, ...]:
        """A sentence for each name that there is no style of."""
        known = self._known(owner, [])
        return tuple(
            f'There is no style "{name}", so it is left out. {did_you_mean(name, known)}'
            for name in self.named(owner, names)[1]
        )

    def applied(
        self, owner: str, prompt: str, negative_prompt: str, names: Iterable[str]
    ) -> tuple[str, str, tuple[str, ...]]:
        """Both prompts with the styles in them, and the names that there are no styles of."""
        styles, missing = self.named(owner, names)
        return (*apply_styles(prompt, negative_prompt, styles), missing)

    def put_into(self, request: GenerationRequest, owner: str) -> GenerationRequest:
        """The request with its styles in its prompts; names that there are no styles of stay behind.

        They go into the prompts of the second pass, too, unless these are empty and so mean those of the first.
        """
        styles, missing = self.named(owner, request.styles)
        changes: dict[str, Any] = {"styles": missing}
        for name in PROMPTS:
            written = getattr(request, name)
            if written or not name.startswith("hires"):
                changes[name] = apply_styles(written, written, styles)["negative" in name]
        return replace(request, **changes)

    def recognised(self, owner: str, prompt: str, negative_prompt: str) -> tuple[str, str, tuple[str, ...]]:
        """Both prompts without the styles that were applied to them, and the names of these."""
        found = recognise(prompt, negative_prompt, (known.style for known in self.styles(owner)))
        return found.prompt, found.negative_prompt, found.styles

    def save(self, owner: str, style: Style) -> None:
        """Keep a style as the owner's own, in place of their other one of that name."""
        name = " ".join(style.name.split())
        if not name or len(name) > LONGEST_NAME:
            raise InvalidRequest(f"A style needs a name of 1 to {LONGEST_NAME} letters.", "styles")
        if name.startswith("#"):
            raise InvalidRequest("A style's name cannot begin with #: in a styles.csv that is a comment.", "styles")
        if not (style.prompt.strip() or style.negative_prompt.strip()):
            raise InvalidRequest(f'The style "{name}" says nothing: write something into one of its prompts.', "styles")
        if max(len(style.prompt), len(style.negative_prompt)) > LONGEST_TEXT:
            raise InvalidRequest(f"A style may have {LONGEST_TEXT:,} letters, and this one has more.", "styles")
        with self._lock:
            own = self._own(owner) | {name: Style(name, style.prompt.strip(), style.negative_prompt.strip())}
            if len(own) > MOST_STYLES:
                raise InvalidRequest(f"More than {MOST_STYLES:,} styles cannot be kept. Delete some first.", "styles")
            self._write(owner, tuple(own.values()))

    def delete(self, owner: str, name: str) -> None:
        """Forget a style of the owner's own. One that is the server's, or nobody's, raises ``InvalidRequest``."""
        with self._lock:
            own = self._own(owner)
            if own.pop(name, None) is None:
                shared = any(known.style.name == name for known in self.styles(owner))
                why = "is the server's, for all to use" if shared else "is not there"
                raise InvalidRequest(f'The style "{name}" {why}, so it cannot be deleted.', "styles")
            self._write(owner, tuple(own.values()))

    def _known(self, owner: str, problems: list[str]) -> dict[str, KnownStyle]:
        known: dict[str, KnownStyle] = {}
        for style in self._of(self._path(owner), problems):
            known[style.name] = KnownStyle(style, own=True)
        for name, path in self._shared.paths().items():
            for style in self._of(path, problems, self._shared.get(name, "")):
                known.setdefault(style.name, KnownStyle(style, own=False))
        return known

    def _own(self, owner: str) -> dict[str, Style]:
        problems: list[str] = []
        own = {style.name: style for style in self._of(self._path(owner), problems)}
        if problems:  # rather than write over what only needs mending
            raise StorageFailure(f"{problems[0]} Mend or remove the file first.")
        return own

    def _of(self, path: Path, problems: list[str], text: str | None = None) -> Sequence[Style]:
        try:
            text = path.read_text(encoding="utf-8-sig") if text is None else text
            kept = self._read.get(path)
            if kept is None or kept[0] != text:
                read = read_csv if path.suffix.lower() == ".csv" else read_yaml
                kept = self._read[path] = text, read(text)
            return kept[1]
        except FileNotFoundError:
            return ()
        except (InvalidSettings, OSError, UnicodeDecodeError) as error:
            problems.append(f"The styles in {path.name} cannot be read: {error}")
            return ()

    def _path(self, owner: str) -> Path:
        plain = _PLAIN_OWNER.fullmatch(owner) is not None
        return self._private / f"{owner if plain else 'owner-' + hashlib.sha256(owner.encode()).hexdigest()[:32]}.yaml"

    def _write(self, owner: str, styles: Sequence[Style]) -> None:
        path = self._path(owner)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_name(f".{path.name}-{secrets.token_hex(4)}.tmp")
            try:
                with unfinished.open("w", encoding="utf-8") as file:
                    file.write(write_yaml(styles))
                    file.flush()
                    os.fsync(file.fileno())
                unfinished.replace(path)
            finally:
                unfinished.unlink(missing_ok=True)
        except OSError as error:
            raise StorageFailure(f"The styles cannot be written to {path}: {error.strerror or error}.") from error
