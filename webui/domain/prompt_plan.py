r"""What a prompt means for each step of sampling: texts to encode, how they are combined, and which networks to load.

A1111's order. Comments go first, then network tags. ``AND`` cuts what is left into parts that are combined (composable
diffusion, Liu et al. 2022, arXiv 2206.01714):

    denoised = uncond + sum over i of weight_i * cfg_scale * (cond_i - uncond)

A part may end in its weight, ``a cat :1.2 AND a hat :-0.5``. In each part schedules make the text of each step, and each
text is then read by :func:`webui.domain.prompt.parse_attention`. Any text is a prompt: nothing here raises, and all takes
time in proportion to the length. What was probably not meant is told in the plan's remarks.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass
from itertools import islice

from webui.domain.comments import LEFT, comments
from webui.domain.located import MOST_REMARKS, Located, Remark
from webui.domain.network_tags import NetworkTag, bare_embeddings, cut_networks
from webui.domain.prompt_remarks import (
    AND,
    and_remarks,
    bracket_remarks,
    negative_remarks,
    network_remarks,
    outermost,
    schedule_remarks,
    weight_remarks,
)
from webui.domain.prompt_schedule import Stage, Timeline, read_schedule

__all__ = ["NetworkTag", "Part", "PromptPlan", "Remark", "Stage", "plan_prompt"]

MOST_PARTS = 32  # each is a call of the network per step

_WEIGHT = re.compile(r"\s*([-+]?(?:[0-9]+\.?|[0-9]*\.[0-9]+))\s*")
_LONGEST_WEIGHT = 40

TOO_MANY_PARTS = f"A prompt may have {MOST_PARTS} parts: this AND, and those behind it, are read as words."


@dataclass(frozen=True)
class Part:
    """One of the texts that ``AND`` combines, at every step: ``stages`` are in order, the last one is the last step."""

    weight: float
    stages: tuple[Stage, ...]

    def text_at(self, step: int) -> str:
        """The text for model call ``step``, counted from 1. Beyond the last step the last text holds on."""
        stage = bisect_left(self.stages, step, key=lambda stage: stage.end_step)
        return self.stages[min(stage, len(self.stages) - 1)].text


@dataclass(frozen=True)
class PromptPlan:
    """At least one part, the networks named, and what the user should know, in the order of the text as written."""

    parts: tuple[Part, ...]
    networks: tuple[NetworkTag, ...] = ()
    remarks: tuple[Remark, ...] = ()


def plan_prompt(
    text: str,
    steps: int,
    *,
    first_steps: int | None = None,
    old_timelines: bool = False,
    is_negative: bool = False,
) -> PromptPlan:
    """The plan for one pass of ``steps`` model calls (A1111 counts 2 per step for samplers of second order).

    ``first_steps``: in the hires pass, the model calls of the first pass. ``old_timelines``: A1111's rule before 1.6, see
    :class:`webui.domain.prompt_schedule.Timeline`. A negative prompt has neither networks nor ``AND``: both are words there.

    >>> plan_prompt("a [red:blue:0.5] fox", 20).parts
    (Part(weight=1.0, stages=(Stage(end_step=10, text='a red fox'), Stage(end_step=20, text='a blue fox'))),)
    """
    prompt = bare_embeddings(Located.whole(text).without(comments(text), LEFT))
    timeline = Timeline(max(1, steps), first_steps, old_timelines)
    remarks: list[Remark] = []
    networks: tuple[NetworkTag, ...] = ()
    ands: list[tuple[int, int]] = []
    pieces = [prompt]
    if is_negative:
        remarks += islice(negative_remarks(prompt), MOST_REMARKS)
    else:
        prompt, networks, odd = cut_networks(prompt)
        remarks += odd
        ands, pieces, surplus = split_at_and(prompt)
        remarks += islice(and_remarks(prompt, ands, pieces), MOST_REMARKS)
        remarks += [prompt.remark(*surplus, TOO_MANY_PARTS)] if surplus else []

    parts: list[Part] = []
    schedules: list[tuple[int, int]] = []
    for piece in pieces:
        body, weight = (piece, 1.0) if is_negative else split_weight(piece)
        score = read_schedule(body.text)
        parts.append(Part(weight, score.stages(timeline)))
        schedules += outermost(body, score)
        if len(remarks) < MOST_REMARKS:
            remarks += islice(bracket_remarks(body), MOST_REMARKS)
            remarks += islice(schedule_remarks(body, score), MOST_REMARKS)
        if not ands:
            remarks += weight_remarks(piece, len(body.text), weight)
    remarks += islice(network_remarks(networks, schedules), MOST_REMARKS)
    remarks.sort(key=lambda remark: (remark.start, remark.end))
    return PromptPlan(tuple(parts), networks, tuple(remarks[:MOST_REMARKS]))


def split_at_and(prompt: Located) -> tuple[list[tuple[int, int]], list[Located], tuple[int, int] | None]:
    """Where the ANDs are and the texts between them, brackets or no brackets; and the first one that is read as a word.

    There may be ``MOST_PARTS`` texts: a prompt of thousands would keep the network busy for a day.
    """
    found = AND.finditer(prompt.text)
    ands = [each.span() for each in islice(found, MOST_PARTS - 1)]
    surplus = next(found, None)
    starts = [0, *(end for _, end in ands)]
    ends = [*(start for start, _ in ands), len(prompt.text)]
    pieces = [prompt.part(start, end) for start, end in zip(starts, ends, strict=True)]
    return ands, pieces, surplus.span() if surplus else None


def split_weight(part: Located) -> tuple[Located, float]:
    r"""The text of a part and the weight that it ends in; ``\:`` is a letter. Space at the end counts for nothing."""
    text = part.text.rstrip()
    colon = text.rfind(":", max(0, len(text) - _LONGEST_WEIGHT))
    found = _WEIGHT.fullmatch(text, colon + 1) if colon >= 0 else None
    before = text[: max(colon, 0)]
    if found is None or (len(before) - len(before.rstrip("\\"))) % 2:
        return part.part(0, len(text)), 1.0
    return part.part(0, len(before.rstrip())), float(found[1])
