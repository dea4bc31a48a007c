"""Text that remembers where each of its letters was written, so that what is said about a rest can point at the whole."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

MOST_REMARKS = 50  # a prompt that has more has them for one reason


@dataclass(frozen=True)
class Remark:
    """Something that was probably meant otherwise than it is read. ``text[start:end]`` is the place."""

    start: int
    end: int
    message: str


@dataclass(frozen=True)
class Located:
    """``places[i]`` is where letter ``i`` of ``text`` stood in the text as written."""

    text: str
    places: tuple[int, ...]

    @classmethod
    def whole(cls, text: str) -> Located:
        return cls(text, tuple(range(len(text))))

    def part(self, start: int, end: int) -> Located:
        return Located(self.text[start:end], self.places[start:end])

    def without(self, spans: Iterable[tuple[int, int]], kept: str = "") -> Located:
        """All but ``spans``, which are in order and do not overlap; each leaves ``kept``, if anything."""
        texts: list[str] = []
        places: list[int] = []
        after = 0
        for start, end in spans:
            texts += self.text[after:start], kept
            places += self.places[after:start]
            places += [self.places[start]] * len(kept)
            after = end
        texts.append(self.text[after:])
        places += self.places[after:]
        return Located("".join(texts), tuple(places))

    def remark(self, start: int, end: int, message: str) -> Remark:
        """A remark on ``self.text[start:end]``, which is not empty."""
        return Remark(self.places[start], self.places[end - 1] + 1, message)
