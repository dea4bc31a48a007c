"""Guidance that follows the prompts: which texts steer the network in each of its calls.

A plan (:mod:`webui.domain.prompt_plan`) tells the texts. All of them are encoded before the first call, each once, and the
guidance of a call is made anew only where a text changes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from webui.domain.prompt_plan import Part, PromptPlan
from webui.engine.conditioning import Conditioning
from webui.engine.guidance import Guidance

Encode = Callable[[Sequence[str], bool], Conditioning]
"""Texts that take turns, and whether they are the negative prompt's -> their conditioning, a row each."""


@dataclass(frozen=True, eq=False)
class Encoded:
    """One part of a plan, and the conditioning (one row) of each of its texts."""

    part: Part
    states: dict[str, Conditioning]

    @classmethod
    def of(cls, part: Part, encode: Encode, *, is_negative: bool = False) -> Encoded:
        texts = list(dict.fromkeys(stage.text for stage in part.stages))
        return cls(part, dict(zip(texts, encode(texts, is_negative).rows(), strict=True)))

    def at(self, step: int) -> Conditioning:
        return self.states[self.part.text_at(step)]


class PromptedGuidance:
    """A guide for :func:`webui.engine.denoise.denoise`.

    ``guidance`` makes the guidance of a call out of ``cond``, ``uncond``, ``weight`` and ``others``. The negative prompt's
    plan has one part.
    """

    def __init__(
        self, prompt: PromptPlan, negative: PromptPlan, encode: Encode, guidance: Callable[..., Guidance]
    ) -> None:
        self._parts = [Encoded.of(part, encode) for part in prompt.parts]
        self._negative = Encoded.of(negative.parts[0], encode, is_negative=True)
        self._guidance = guidance
        self._texts: list[Conditioning] = []  # of the guidance below
        self._latest: Guidance | None = None

    def at(self, call: int) -> Guidance:
        """The guidance of a network call, counted from 0.

        A schedule counts its steps from 1, and A1111 looks up step number ``call``: so the first text holds for one call
        more than it says. ``[a:b:5]`` changes after 6 calls, and ``[a|b]`` draws a, a, b, a, b. We do the same, as pictures
        made there would not come out the same otherwise.
        """
        texts = [encoded.at(call) for encoded in (*self._parts, self._negative)]
        if self._latest is None or any(new is not old for new, old in zip(texts, self._texts, strict=True)):
            cond, *others, uncond = texts
            weight, *weights = (encoded.part.weight for encoded in self._parts)
            self._latest = self._guidance(
                cond=cond, uncond=uncond, weight=weight, others=tuple(zip(weights, others, strict=True))
            )
            self._texts = texts
        return self._latest
