r"""What a prompt says besides its words: which of them count more, which less, and where a chunk ends.

The attention grammar of AUTOMATIC1111's web UI:

    (text)       weight x 1.1          nested brackets multiply: ((text)) is 1.21
    [text]       weight / 1.1
    (text:1.3)   weight x 1.3          any number, also 0 or negative; round brackets only
    \( \) \[ \]  the bracket itself    \\ is a backslash; a backslash before anything else is dropped
    BREAK        the chunk of 75 tokens ends here

A bracket that is never closed reaches to the end of the text, a closing one that was never opened is a letter like
others. So every text is a valid prompt, and nothing here raises. :mod:`webui.domain.prompt_remarks` tells what was probably
not meant.
Weights need not nest: in "(a [b) c]" the first reaches over "a b", the second over "b c".
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

ROUND_BRACKETS = 1.1
SQUARE_BRACKETS = 1 / 1.1
DEEPEST = 100  # brackets nested deeper are letters, so that no text takes long to read

TOKENS = re.compile(
    r"""\\[()\[\]\\]?                                # an escape; a backslash before anything else vanishes
    | :\s*(?P<weight>[+-]?[.\d]+)\s*\)               # the end of (text:1.3)
    | (?P<bracket>[()\[\]])
    | [^\\()\[\]:]+ | :                              # text
    """,
    re.VERBOSE,
)
_BREAK = re.compile(r"\bBREAK\b")


@dataclass(frozen=True)
class Piece:
    """A run of text that counts ``weight`` times as much as unweighted text."""

    text: str
    weight: float = 1.0


@dataclass(frozen=True)
class Break:
    """The chunk ends here; what follows starts the next one."""


def parse_attention(text: str) -> tuple[Piece | Break, ...]:
    r"""The weighted pieces of a prompt, brackets and escapes resolved, neighbours of equal weight joined.

    A text without content gives one empty piece. Two differences from A1111 1.10: a BREAK inside a weight breaks, too,
    and a weight that is no number is text; there the first is read aloud and the second raises.

    >>> parse_attention(r"a (red:1.3) fox \(animal\)")
    (Piece(text='a ', weight=1.0), Piece(text='red', weight=1.3), Piece(text=' fox (animal)', weight=1.0))
    """
    parts: list[str | Break] = []
    weights: list[float] = []
    round_opened: list[int] = []  # where in `parts` each bracket was opened that is not yet closed
    square_opened: list[int] = []

    def add(*more: str | Break) -> None:
        parts.extend(more)
        weights.extend([1.0] * len(more))

    def multiply(start: int, weight: float) -> None:
        for place in range(start, len(weights)):
            weights[place] *= weight

    for found in TOKENS.finditer(text):
        token, weight = found.group(), as_number(found["weight"])
        if token == "(" and len(round_opened) < DEEPEST:
            round_opened.append(len(parts))
        elif token == "[" and len(square_opened) < DEEPEST:
            square_opened.append(len(parts))
        elif weight is not None and round_opened:
            multiply(round_opened.pop(), weight)
        elif found["weight"] and round_opened:  # "(text:1.2.3)"
            add(token[:-1])
            multiply(round_opened.pop(), ROUND_BRACKETS)
        elif token == ")" and round_opened:
            multiply(round_opened.pop(), ROUND_BRACKETS)
        elif token == "]" and square_opened:
            multiply(square_opened.pop(), SQUARE_BRACKETS)
        else:
            add(*_plain(token))
    for start in round_opened:
        multiply(start, ROUND_BRACKETS)
    for start in square_opened:
        multiply(start, SQUARE_BRACKETS)
    return tuple(_joined(parts, weights)) or (Piece(""),)


def as_number(written: str | None) -> float | None:
    """The weight as a finite number, or None: "1.2.3" and a number of 400 digits are not weights."""
    try:
        weight = float(written or "")
    except ValueError:
        return None
    return weight if math.isfinite(weight) else None


def _plain(token: str) -> Iterator[str | Break]:
    if token.startswith("\\"):
        yield token[1:]
        return
    before, *after = _BREAK.split(token)
    yield before.rstrip() if after else before
    for place, part in enumerate(after, 1):
        yield Break()
        yield part.strip() if place < len(after) else part.lstrip()


def _joined(parts: list[str | Break], weights: list[float]) -> Iterator[Piece | Break]:
    """Neighbours of equal weight as one piece, so that a word is not cut where an escape or a bracket stood."""
    run: list[str] = []
    for place, (part, weight) in enumerate(zip(parts, weights, strict=True)):
        if isinstance(part, Break):
            yield part
            continue
        run.append(part)
        last = place + 1 == len(parts) or isinstance(parts[place + 1], Break)
        if last or weights[place + 1] != weight:
            yield Piece("".join(run), weight)
            run.clear()
