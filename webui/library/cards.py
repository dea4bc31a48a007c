"""Cards: model files as a person looks for them, by words, folder, date or family, ten thousand of them at a time.

A page shows few cards at once and asks for those alone; searching and sorting happen here, over texts that are prepared once
for each look at the folders.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from webui.errors import ModelNotFound, NotAllowed, UnsafeModel
from webui.library.conversions import Conversion, Conversions
from webui.library.convert import converted_path
from webui.library.formats import read_header
from webui.library.identify import FAMILY_TITLES
from webui.library.index import Library, Progress
from webui.library.model_file import ModelFile
from webui.library.notes import write_notes
from webui.library.previews import Previews
from webui.library.scan import Found

KINDS = ("checkpoint", "lora", "embedding", "hypernetwork", "vae")  # those that a form can use
MOST_CARDS = 500  # in one answer
_LONGEST_SEARCH = 500
_MOST_KEYS, _LONGEST_KEY, _LONGEST_VALUE = 300, 200, 4000  # of metadata

_BY_BASE = (  # what people and trainers call a family, the telling words first
    ("sdxl", re.compile(r"xl|pony|illustrious|noob", re.IGNORECASE)),
    ("flux", re.compile(r"flux", re.IGNORECASE)),
    ("sd3", re.compile(r"sd ?v?3|diffusion[- ]v?3", re.IGNORECASE)),
    ("sd2", re.compile(r"sd[ _]?v?2|diffusion[- ]v?2", re.IGNORECASE)),
    ("sd1", re.compile(r"sd[ _]?v?1|diffusion[- ]v?1", re.IGNORECASE)),
)


@dataclass(frozen=True)
class Card:
    """One model file. ``id`` stands for its path, which it does not tell. ``folder`` is the one below its model folder."""

    id: str
    found: Found
    file: ModelFile
    folder: str
    family: str
    searched: str

    @property
    def name(self) -> str:
        return self.file.name

    def misfit(self, family: str) -> str:
        """Why it does not work with a checkpoint of that family; "" if it does, or nobody can tell."""
        if self.file.kind == "checkpoint" or "unknown" in (self.family, family) or self.family == family:
            return ""
        made_for, chosen = (FAMILY_TITLES.get(name, name) for name in (self.family, family))
        return f"It was made for {made_for}; the chosen checkpoint is of {chosen}."


@dataclass(frozen=True)
class CardQuery:
    """Which cards, in which order: those that hold all words of ``text`` and lie in ``folder`` or below it.

    ``family``: that of the chosen checkpoint. ``fitting`` leaves out what does not fit it, or cannot be used at all.
    """

    kind: str
    text: str = ""
    sort: str = "name"
    folder: str = ""
    family: str = "unknown"
    fitting: bool = False
    offset: int = 0
    count: int = 60


@dataclass(frozen=True)
class Page:
    """Some of the ``matching`` cards, out of ``total`` of that kind, as of one look at the folders."""

    cards: tuple[Card, ...]
    matching: int
    total: int
    progress: Progress


SORTS: Mapping[str, Callable[[Card], Any]] = MappingProxyType(
    {
        "name": lambda card: (card.name.casefold(), card.name),
        "newest": lambda card: -card.file.mtime_ns,
        "largest": lambda card: -card.file.size,
        "folder": lambda card: (card.folder.casefold(), card.name.casefold()),
    }
)


class Cards:
    """The cards of a library, prepared when they are first asked for after a look at the folders, and what is kept with them."""

    def __init__(self, library: Library, previews: Path, may_write: bool) -> None:
        """``previews``: a folder for small versions of them. ``may_write``: whether notes and previews may be written at all."""
        self._library = library
        self._previews = Previews(previews, library.roots)
        self._may_write = may_write
        self._conversions = Conversions(self._look_at)
        self._version = -1
        self._sorted: dict[tuple[str, str], tuple[Card, ...]] = {}

    def page(self, query: CardQuery) -> Page:
        progress = self._library.progress
        cards = self._in_order(query.kind, query.sort if query.sort in SORTS else "name", progress.version)
        words = query.text[:_LONGEST_SEARCH].casefold().split()
        inside = f"{query.folder}/"
        matching = [
            card
            for card in cards
            if all(word in card.searched for word in words)
            and (not query.folder or f"{card.folder}/".startswith(inside))
            and not (query.fitting and (card.file.problem or card.misfit(query.family)))
        ]
        offset = max(0, query.offset)
        shown = matching[offset : offset + min(MOST_CARDS, max(0, query.count))]
        return Page(tuple(shown), len(matching), len(cards), progress)

    def folders(self, kind: str) -> list[tuple[str, int]]:
        """Every folder that holds files of this kind, with how many lie in it and below."""
        counts: Counter[str] = Counter()
        for card in self._in_order(kind, "name", self._library.progress.version):
            parts = card.folder.split("/") if card.folder else []
            counts.update("/".join(parts[: depth + 1]) for depth in range(len(parts)))
        return sorted(counts.items(), key=lambda item: [part.casefold() for part in item[0].split("/")])

    def card(self, card_id: str) -> Card:
        """Raises ``ModelNotFound`` when the file is gone, or there never was one."""
        for kind in KINDS:
            for card in self._in_order(kind, "name", self._library.progress.version):
                if card.id == card_id:
                    return card
        raise ModelNotFound("That file is not in the model folders any more.")

    def preview(self, card_id: str, side: int) -> bytes:
        """A small preview, WebP. Raises ``ModelNotFound`` or ``UnreadablePicture``."""
        return self._previews.small(card_id, self.card(card_id).found, side)

    def metadata(self, card_id: str) -> dict[str, str]:
        """What stands in the file beside its tensors, each value cut to what a person reads."""
        path = self.card(card_id).found.path
        if path.suffix.lower() != ".safetensors":
            return {}
        written = read_header(path).metadata
        return {key[:_LONGEST_KEY]: _cut(value) for key, value in list(written.items())[:_MOST_KEYS]}

    def write_notes(self, card_id: str, values: Mapping[str, Any]) -> Card:
        """Write what users say of the file beside it; see ``library/notes.py``. Returns the card as it is then."""
        found = self._writable(card_id)
        write_notes(found, values)
        return self._looked_at_again(card_id, found)

    def set_preview(self, card_id: str, picture: bytes, infotext: str) -> Card:
        """Make a picture the file's preview; see ``library/previews.py``."""
        found = self._writable(card_id)
        self._previews.put(found, picture, infotext)
        return self._looked_at_again(card_id, found)

    def convert(self, card_id: str) -> Conversion:
        """Begin to write a pickle's tensors as safetensors beside it; see ``library/convert.py``."""
        return self._conversions.start(self._writable(card_id).path)

    def conversion(self, card_id: str) -> Conversion | None:
        """How far that is; None if nobody has begun it."""
        return self._conversions.state(self.card(card_id).found.path)

    def is_convertible(self, card: Card) -> bool:
        """Whether the file is a pickle that can be read, and there is no safetensors file of its name."""
        try:
            converted_path(card.found.path)
        except NotAllowed:
            return False
        return self._may_write and not issubclass(card.file.error, UnsafeModel)

    def close(self) -> None:
        self._conversions.close()

    def _writable(self, card_id: str) -> Found:
        if not self._may_write:
            raise NotAllowed("Nothing is written beside the models here: write_model_notes is off in the settings.")
        return self.card(card_id).found

    def _looked_at_again(self, card_id: str, found: Found) -> Card:
        self._look_at(found.path)
        return self.card(card_id)

    def _look_at(self, path: Path) -> None:
        """Find a file that is new or has changed."""
        self._library.begin_scan()
        self._library.read_file(path)

    def problems(self, of_folders: bool = True) -> list[str]:
        """A sentence for each file that cannot be used and, with its path, for each place that cannot be looked at."""
        refused = (file.problem for kind in KINDS for file in self._library.files(kind) if file.problem)
        return [*(self._library.problems if of_folders else ()), *refused]

    def _in_order(self, kind: str, sort: str, version: int) -> tuple[Card, ...]:
        if kind not in KINDS:
            return ()
        if version != self._version:  # two threads may do this at once, to the same end
            self._sorted = {}
            self._version = version
        known = self._sorted
        if (kind, sort) not in known:
            if sort == "name":
                known[kind, sort] = _cards(self._library.entries(kind))
            else:
                known[kind, sort] = tuple(sorted(self._in_order(kind, "name", version), key=SORTS[sort]))
        return known[kind, sort]


def _cut(value: str) -> str:
    shown = value if len(value) <= _LONGEST_VALUE else f"{value[:_LONGEST_VALUE]}… ({len(value):,} letters)"
    return shown.encode(errors="replace").decode()


def card_id(path: Path) -> str:
    return hashlib.sha256(str(path).encode()).hexdigest()[:20]


def family_of(file: ModelFile) -> str:
    """By its tensors; where they do not tell, by what the user, Civitai or the trainer say."""
    if file.family != "unknown":
        return file.family
    base = str(file.about.get("base", ""))
    return next((family for family, words in _BY_BASE if words.search(base)), "unknown")


def _cards(entries: Sequence[tuple[Found, ModelFile]]) -> tuple[Card, ...]:
    roots = dict.fromkeys(found.root for found, _ in entries)
    titles = {root: "" if len(roots) == 1 else title for root, title in zip(roots, _titles(list(roots)), strict=True)}
    cards = []
    for found, file in entries:
        parts = [titles[found.root], found.relative.rpartition("/")[0]]
        folder = "/".join(part for part in parts if part)
        about = file.about
        told = (about.get(key, "") for key in ("alias", "title", "base", "description", "activation_text"))
        texts = (file.name, folder, *told, *about.get("words", ()), *(tag for tag, _ in about.get("tags", ())))
        cards.append(Card(card_id(found.path), found, file, folder, family_of(file), "\n".join(texts).casefold()))
    return tuple(cards)


def _titles(roots: Sequence[Path]) -> list[str]:
    """Names for model folders without telling where on the disk they are: the last part, with a number where two are alike."""
    seen: Counter[str] = Counter()
    titles = []
    for root in roots:
        seen[root.name] += 1
        titles.append(root.name if seen[root.name] == 1 else f"{root.name} ({seen[root.name]})")
    return titles
