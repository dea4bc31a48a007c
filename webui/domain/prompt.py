r"""What a prompt says besides its words: which of them count more, which less, and where a chunk ends.

The attention grammar of AUTOMATIC1111's web UI:

    (text)       weight x 1.1          nested brackets multiply: ((text)) is 1.21
    [text]       weight / 1.1
    (text:1.3)   weight x 1.3          any number, also 0 or negative; round brackets only
    \( \) \[ \]  the bracket itself    \\ is a backslash; a backslash before anything else is dropped
    BREAK        the chunk of 75 tokens ends here

A bracket that is never closed reaches to the end of the text, a closing one that was never opened is a letter like
others. So every text is a valid prompt, and nothing here raises. :func:`remarks` tells what was probably not meant.
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

_TOKENS = re.compile(
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

    for found in _TOKENS.finditer(text):
        token, weight = found.group(), _number(found["weight"])
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


def _number(written: str | None) -> float | None:
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


@dataclass(frozen=True)
class Remark:
    """Something that was probably meant otherwise than it is read. ``text[start:end]`` is the place."""

    start: int
    end: int
    message: str


_NETWORK = re.compile(r"<\w+:[^<>]+>")
_AND = re.compile(r"\bAND\b")
_SCHEDULE_END = re.compile(r":\s*[+-]?[.\d]+\s*\Z")
_LONGEST_NUMBER = 40  # letters, spaces included, from the colon to the bracket
_LONGEST_QUOTE = 60


def remarks(text: str) -> tuple[Remark, ...]:
    """What the user should know about how this prompt is read, in the order of the text. Empty for most prompts.

    Names unbalanced brackets, weights that are no numbers, and constructs of A1111 that are not supported yet (they are
    read as text).
    """
    found = [*_bracket_remarks(text)]
    for match in _NETWORK.finditer(text):
        message = f"{_quoted(match.group())} is not supported yet: no network is loaded, and the tag is read as text."
        found.append(Remark(match.start(), match.end(), message))
    for match in _AND.finditer(text):
        message = "AND between prompts is not supported yet: it is read as a word."
        found.append(Remark(match.start(), match.end(), message))
    return tuple(sorted(found, key=lambda remark: (remark.start, remark.end)))


def _bracket_remarks(text: str) -> Iterator[Remark]:
    opened: dict[str, list[int]] = {"(": [], "[": []}
    bars: list[int] = []  # where a "|" stands directly in square brackets
    for found in _TOKENS.finditer(text):
        start, end, token = found.start(), found.end(), found.group()
        bracket = found["bracket"] or (")" if found["weight"] else "")
        if not bracket:
            if "|" in token and opened["["] and opened["["][-1] > (opened["("][-1] if opened["("] else -1):
                bars.append(start)
        elif bracket in opened:
            opened[bracket].append(start)
        elif not opened["(" if bracket == ")" else "["]:
            message = f'This "{bracket}" closes nothing: it is read as text. Write \\{bracket} if that is meant.'
            yield Remark(end - 1, end, message)
        elif bracket == ")":
            opened["("].pop()
            if found["weight"] and _number(found["weight"]) is None:
                message = f'"{found["weight"]}" is not a number: it is read as text, and the brackets weigh 1.1.'
                yield Remark(*found.span("weight"), message)
        else:
            first = opened["["].pop()
            whole = _quoted(text[first:end])
            if _SCHEDULE_END.search(text, max(first, start - _LONGEST_NUMBER), start):
                yield Remark(first, end, f"Prompt editing, as in {whole}, is not supported yet: it is read as text.")
            elif bars and bars[-1] > first:
                yield Remark(first, end, f"Alternating words, as in {whole}, is not supported yet: it is read as text.")
            while bars and bars[-1] > first:
                bars.pop()
    for bracket, places in opened.items():
        for place in places:
            message = (
                f'This "{bracket}" is never closed: it reaches to the end. Write \\{bracket} for the bracket itself.'
            )
            yield Remark(place, place + 1, message)


def _quoted(text: str) -> str:
    return text if len(text) <= _LONGEST_QUOTE else f"{text[: _LONGEST_QUOTE - 1]}…"
