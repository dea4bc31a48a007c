r"""Prompts that change while sampling.

    [from:to:0.5]    "from" for the first half of the steps, then "to"
    [from:to:10]     "from" up to and with step 10
    [to:10]          nothing, then "to";  [from::10] "from", then nothing
    [cow|horse]      one on odd steps, the other on even steps; any number of them, empty ones too

They nest in one another and in weights. Which brackets are schedules is AUTOMATIC1111's grammar: a bracket whose content is
not balanced, or that holds a colon or a bar too many, is no schedule, nor is one around it; its letters stay for the
attention grammar of :mod:`webui.domain.prompt`.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

_TOKENS = re.compile(r"\\.|\\|[\[\]():|]|[^\\\[\]():|]+", re.DOTALL)
_NUMBER = re.compile(r"\s*([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)\s*")


@dataclass(frozen=True)
class Stage:
    """The text that holds up to and with ``end_step``, counted from 1."""

    end_step: int
    text: str


@dataclass(frozen=True)
class Timeline:
    """How the number in a schedule becomes a step.

    ``first_steps`` is None in the first pass; in the hires pass it is the number of steps that the first one had. There an
    absolute number goes on counting (first pass of 20 steps: ``[a:b:25]`` is step 5 of the second pass), and 1.25 is a
    quarter of the second pass. ``old`` is the rule of A1111 before 1.6: numbers below 1 are fractions whether or not they
    have a point, and the second pass repeats the first.
    """

    steps: int
    first_steps: int | None = None
    old: bool = False

    def last_step(self, number: str) -> int:
        """The last step, 0 ... ``steps``, that takes the text before the switch."""
        when = float(number)
        if self.old:
            when *= (self.first_steps or self.steps) if when < 1 else 1
        elif "." in number:
            when = (when - (self.first_steps is not None)) * self.steps
        else:
            when -= self.first_steps or 0
        return math.floor(max(0.0, min(when, self.steps)))


@dataclass(frozen=True)
class Switch:
    """A bracket that takes part: tokens ``start`` to ``end`` (behind the closing bracket) of a :class:`Score`.

    ``branches`` are the tokens at which each text begins. A schedule has the text before and the one after ``number``, an
    alternation has no number and any number of texts.
    """

    start: int
    end: int
    branches: tuple[int, ...]
    number: str | None

    def branch(self, step: int, timeline: Timeline) -> int:
        if self.number is None:
            return self.branches[(step - 1) % len(self.branches)]
        return self.branches[step > timeline.last_step(self.number)]


@dataclass
class _Open:
    """A bracket that waits for its end, and the colons and bars directly in it."""

    bracket: str
    token: int
    colons: list[int] = field(default_factory=list)
    bars: list[int] = field(default_factory=list)
    well_formed: bool = True  # nothing within is unbalanced or has a colon or a bar too many


@dataclass(frozen=True)
class Oddity:
    """Why tokens ``start`` to ``end`` of a :class:`Score` are not what they look like."""

    start: int
    end: int
    reason: str


@dataclass(frozen=True)
class Score:
    """A prompt cut into tokens, and what happens at some of them: the text of any step is one walk from left to right.

    ``switches`` are by the token of their opening bracket; ``jumps`` lead from the end of a branch behind its switch.
    """

    tokens: tuple[str, ...]
    switches: Mapping[int, Switch]
    jumps: Mapping[int, int]
    oddities: tuple[Oddity, ...] = ()

    def text_at(self, step: int, timeline: Timeline) -> str:
        written: list[str] = []
        place = 0
        while place < len(self.tokens):
            if place in self.switches:
                place = self.switches[place].branch(step, timeline)
            elif place in self.jumps:
                place = self.jumps[place]
            else:
                written.append(self.tokens[place])
                place += 1
        return "".join(written)

    def stages(self, timeline: Timeline) -> tuple[Stage, ...]:
        """The texts of all steps, neighbours that are equal as one stage."""
        return tuple(self._stages(timeline))

    def _stages(self, timeline: Timeline) -> Iterator[Stage]:
        numbers = {switch.number for switch in self.switches.values() if switch.number is not None}
        cuts = sorted({timeline.last_step(number) for number in numbers} - {0} | {timeline.steps})
        counts = {len(switch.branches) for switch in self.switches.values() if switch.number is None}
        period = math.lcm(*counts)
        texts: dict[tuple[int, int], str] = {}  # between two cuts alternations repeat themselves
        last: Stage | None = None
        for step in range(1, timeline.steps + 1) if counts else cuts:
            key = bisect_left(cuts, step), step % period
            if key not in texts:
                texts[key] = self.text_at(step, timeline)
            if last is not None and last.text != texts[key]:
                yield last
            last = Stage(step, texts[key])
        if last is not None:
            yield last


def read_schedule(text: str) -> Score:
    """The schedules and alternations of a text. Takes time in proportion to its length."""
    tokens = tuple(_TOKENS.findall(text))
    switches: dict[int, Switch] = {}
    jumps: dict[int, int] = {}
    odd: list[Oddity] = []
    opened: list[_Open] = []
    for place, token in enumerate(tokens):
        if token in ("(", "["):
            opened.append(_Open(token, place))
        elif not opened:
            continue
        elif token == ":":
            opened[-1].colons.append(place)
        elif token == "|":
            opened[-1].bars.append(place)
        elif token in (")", "]"):
            if opened[-1].bracket + token not in ("()", "[]"):
                odd += _crossed(opened, place, token)
                opened.clear()  # whatever is still open would have to hold this unbalanced bracket
                continue
            closed = opened.pop()
            switch = _switch(closed, place, tokens)
            if switch is not None and closed.well_formed:
                switches[switch.start] = switch
                jumps.update((end, place + 1) for end in (*closed.colons, *closed.bars, place))
                continue
            odd += _refused(closed, place, tokens, switch)
            if opened and not (closed.well_formed and _is_emphasis(closed)):
                opened[-1].well_formed = False
    return Score(tokens, switches, jumps, tuple(odd))


def _is_emphasis(closed: _Open) -> bool:
    """``(text)``, ``(text:1.2)`` and ``[text]`` are no schedules, but may stand in one."""
    return len(closed.colons) <= 1 if closed.bracket == "(" else not (closed.colons or closed.bars)


def _switch(closed: _Open, end: int, tokens: tuple[str, ...]) -> Switch | None:
    start = closed.token
    if closed.bracket == "(":
        return None
    if closed.bars and not closed.colons:
        return Switch(start, end + 1, (start + 1, *(bar + 1 for bar in closed.bars)), None)
    if closed.bars or len(closed.colons) not in (1, 2):
        return None
    number = _number_before(end, closed, tokens)
    if number is None:
        return None
    before = start + 1 if len(closed.colons) == 2 else end + 1
    after = closed.colons[0] + 1 if len(closed.colons) == 2 else start + 1
    return Switch(start, end + 1, (before, after), number)


def _number_before(end: int, closed: _Open, tokens: tuple[str, ...]) -> str | None:
    """What stands between the last colon and the closing bracket, if that is a number."""
    if not closed.colons or end - closed.colons[-1] != 2:
        return None
    number = _NUMBER.fullmatch(tokens[end - 1])
    return number[1] if number else None


def _crossed(opened: list[_Open], place: int, token: str) -> Iterator[Oddity]:
    for bracket in opened:
        if bracket.bracket == "[" and (bracket.colons or bracket.bars):
            reason = f'it holds a "{token}" that closes nothing, or closes a bracket opened before it'
            yield Oddity(bracket.token, place + 1, reason)
            return


def _refused(closed: _Open, end: int, tokens: tuple[str, ...], switch: Switch | None) -> Iterator[Oddity]:
    """Why a bracket that looks like a schedule or an alternation is none."""
    number = _number_before(end, closed, tokens)
    if closed.bracket == "(":
        return
    if switch is not None:
        reason = "a bracket within it is not balanced, or has a colon or a bar too many"
    elif closed.bars and closed.colons:
        reason = "it holds bars and colons side by side; put one of them into brackets of its own"
    elif number is not None and len(closed.colons) > 2:
        reason = "it has more than two texts; write \\: for a colon that belongs to a text"
    elif number is None and len(closed.colons) == 2:
        reason = "what follows the last colon is not a number"
    else:
        return
    yield Oddity(closed.token, end + 1, reason)
