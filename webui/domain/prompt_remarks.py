"""What the user should know about how a prompt is read: what is odd, where, why, and what to write instead."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from webui.domain.located import Located, Remark
from webui.domain.network_tags import NetworkTag, find_tags
from webui.domain.prompt import TOKENS, as_number
from webui.domain.prompt_schedule import Score

AND = re.compile(r"\bAND\b")
LONGEST_QUOTE = 60
LONGEST_VARIANTS = 1000


def quoted(text: str) -> str:
    return text if len(text) <= LONGEST_QUOTE else f"{text[: LONGEST_QUOTE - 1]}…"


def bracket_remarks(part: Located) -> Iterator[Remark]:
    """Brackets that do not match, and weights that are no numbers, in one of the texts between the ANDs."""
    opened: dict[str, list[int]] = {"(": [], "[": []}
    for found in TOKENS.finditer(part.text):
        start, end = found.span()
        bracket = found["bracket"] or (")" if found["weight"] else "")
        if bracket in opened:
            opened[bracket].append(start)
        elif bracket and not opened["(" if bracket == ")" else "["]:
            message = f'This "{bracket}" closes nothing: it is read as text. Write \\{bracket} if that is meant.'
            yield part.remark(end - 1, end, message)
        elif bracket == ")":
            opened["("].pop()
            if found["weight"] and as_number(found["weight"]) is None:
                number = quoted(found["weight"])
                message = f'"{number}" is not a number: it is read as text, and the brackets weigh 1.1.'
                yield part.remark(*found.span("weight"), message)
        elif bracket:
            opened["["].pop()
    for bracket, places in opened.items():
        for place in places:
            message = (
                f'This "{bracket}" is never closed: it reaches to the end. Write \\{bracket} for the bracket itself.'
            )
            yield part.remark(place, place + 1, message)


def schedule_remarks(part: Located, score: Score) -> Iterator[Remark]:
    """Brackets that look like a schedule and are none, and schedules that do not do what they look like."""
    if not score.switches and not score.oddities:
        return
    starts = [0, *accumulate(map(len, score.tokens))]
    for odd in score.oddities:
        start, end = starts[odd.start], starts[odd.end]
        if "{" not in part.text[start : min(end, start + LONGEST_VARIANTS)]:  # variants, resolved before
            quote = quoted(part.text[start : min(end, start + LONGEST_QUOTE + 1)])
            yield part.remark(start, end, f"{quote} is read as text, not as a schedule: {odd.reason}.")
    for switch in score.switches.values():
        alone = switch.branches[0] == switch.end  # [text:number]
        if alone and switch.number is not None and "." in switch.number and float(switch.number) >= 1:
            start, end = starts[switch.start], starts[switch.end]
            quote = quoted(part.text[start : min(end, start + LONGEST_QUOTE + 1)])
            message = (
                f"{quote} is a schedule, and {switch.number} is beyond the first pass: there its text never appears. "
                "A weight needs round brackets."
            )
            yield part.remark(start, end, message)


def network_remarks(tags: Iterable[NetworkTag], schedules: Iterable[tuple[int, int]]) -> Iterator[Remark]:
    """Tags within a schedule, which does nothing to them. Both are in the order of the prompt as written."""
    left = iter(schedules)
    schedule = next(left, None)
    for tag in tags:
        while schedule is not None and schedule[1] <= tag.start:
            schedule = next(left, None)
        if schedule is not None and schedule[0] < tag.start:
            message = f"The network {quoted(tag.name)} is on for all steps: a schedule does not switch it."
            yield Remark(tag.start, tag.end, message)


def outermost(part: Located, score: Score) -> Iterator[tuple[int, int]]:
    """Where in the prompt as written the schedules are that lie in no other."""
    starts = [0, *accumulate(map(len, score.tokens))]
    after = 0
    for switch in sorted(score.switches.values(), key=lambda switch: switch.start):
        if switch.start >= after:
            after = switch.end
            yield part.places[starts[switch.start]], part.places[starts[switch.end] - 1] + 1


def and_remarks(prompt: Located, ands: Sequence[tuple[int, int]], parts: Sequence[Located]) -> Iterator[Remark]:
    """Parts without words: each costs a call of the network per step and means an empty prompt."""
    for place, part in enumerate(parts):
        if ands and not part.text.strip():
            side = "before" if place == 0 else "behind"
            message = f"Nothing stands {side} this AND: an empty prompt is combined with the others."
            yield prompt.remark(*ands[max(0, place - 1)], message)


def weight_remarks(part: Located, letters: int, weight: float) -> Iterator[Remark]:
    """A prompt without AND that ends in a weight; its first ``letters`` are read as text."""
    if weight != 1.0:
        message = (
            f"The number at the end is the weight of the whole prompt, {weight:g}. Write \\: before it if it is text."
        )
        yield part.remark(letters, len(part.text.rstrip()), message)


def negative_remarks(prompt: Located) -> Iterator[Remark]:
    """What only a prompt has."""
    for start, end in find_tags(prompt.text):
        quote = quoted(prompt.text[start : min(end, start + LONGEST_QUOTE + 1)])
        message = f"{quote} is read as text: networks are loaded from the prompt, not from the negative prompt."
        yield prompt.remark(start, end, message)
    for found in AND.finditer(prompt.text):
        yield prompt.remark(*found.span(), "AND combines nothing in a negative prompt: it is read as a word.")
