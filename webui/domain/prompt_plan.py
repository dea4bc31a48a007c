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

from webui.domain.comments import LEFT, comments
from webui.domain.located import Located, Remark
from webui.domain.network_tags import NetworkTag, cut_networks
from webui.domain.prompt_schedule import Stage, Timeline, read_schedule

__all__ = ["NetworkTag", "Part", "PromptPlan", "Remark", "Stage", "plan_prompt"]

_AND = re.compile(r"\bAND\b")
_WEIGHT = re.compile(r"\s*([-+]?(?:[0-9]+\.?|[0-9]*\.[0-9]+))\s*")
_LONGEST_WEIGHT = 40


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
    written = Located.whole(text)
    prompt = written.without(comments(text), LEFT)
    timeline = Timeline(max(1, steps), first_steps, old_timelines)
    if is_negative:
        return PromptPlan((Part(1.0, read_schedule(prompt.text).stages(timeline)),))
    prompt, networks, remarks = cut_networks(prompt)
    parts: list[Part] = []
    for piece in split_at_and(prompt):
        body, weight = split_weight(piece)
        parts.append(Part(weight, read_schedule(body.text).stages(timeline)))
    return PromptPlan(tuple(parts), networks, remarks)


def split_at_and(prompt: Located) -> list[Located]:
    """The texts between the ANDs, brackets or no brackets."""
    cuts = [found.span() for found in _AND.finditer(prompt.text)]
    starts = [0, *(end for _, end in cuts)]
    ends = [*(start for start, _ in cuts), len(prompt.text)]
    return [prompt.part(start, end) for start, end in zip(starts, ends, strict=True)]


def split_weight(part: Located) -> tuple[Located, float]:
    r"""The text of a part and the weight that it ends in; ``\:`` is a letter. Space at the end counts for nothing."""
    text = part.text.rstrip()
    colon = text.rfind(":", max(0, len(text) - _LONGEST_WEIGHT))
    found = _WEIGHT.fullmatch(text, colon + 1) if colon >= 0 else None
    before = text[: max(colon, 0)]
    if found is None or (len(before) - len(before.rstrip("\\"))) % 2:
        return part.part(0, len(text)), 1.0
    return part.part(0, len(before.rstrip())), float(found[1])
