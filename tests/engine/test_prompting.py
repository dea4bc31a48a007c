"""Which texts steer the network in which call."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from webui.domain.prompt_plan import plan_prompt
from webui.engine.conditioning import Conditioning
from webui.engine.guidance import Guidance
from webui.engine.prompting import PromptedGuidance


class Followed:
    """A prompt whose states hold the number of the text that they stand for."""

    def __init__(self, prompt: str, negative: str = "", steps: int = 10, **plan: bool) -> None:
        self.texts: list[str] = []
        self.encoded: list[list[str]] = []
        self.guide = PromptedGuidance(
            plan_prompt(prompt, steps, **plan),
            plan_prompt(negative, steps, is_negative=True),
            self.encode,
            partial(Guidance, scale=7.0, rescale=0.5),
        )

    def encode(self, texts, is_negative):
        self.encoded.append(list(texts))
        self.texts += texts
        return Conditioning(torch.arange(len(self.texts) - len(texts), len(self.texts)).reshape(-1, 1, 1).float())

    def read(self, state) -> str:
        return self.texts[int(state.text.item())]

    def at(self, call: int):
        guidance = self.guide.at(call)
        others = [(weight, self.read(state)) for weight, state in guidance.others]
        return [(guidance.weight, self.read(guidance.cond)), *others], self.read(guidance.uncond)


def test_a_plain_prompt_is_encoded_once_and_never_changes():
    followed = Followed("a fox", "a dog")
    assert followed.encoded == [["a fox"], ["a dog"]]
    assert followed.at(0) == ([(1.0, "a fox")], "a dog")
    assert len({id(followed.guide.at(call)) for call in range(12)}) == 1
    assert (followed.guide.at(3).scale, followed.guide.at(3).rescale) == (7.0, 0.5)


def test_a_schedule_changes_after_the_call_that_a1111_changes_after():
    followed = Followed("a [red:blue:5] fox", "[day::2]")
    texts = [followed.at(call) for call in range(11)]
    assert [prompt[0][1] for prompt, _ in texts] == ["a red fox"] * 6 + ["a blue fox"] * 5
    assert [negative for _, negative in texts] == ["day"] * 3 + [""] * 8
    assert len({id(followed.guide.at(call)) for call in (0, 1, 2)}) == 1


def test_an_alternation_encodes_each_of_its_texts_once():
    followed = Followed("[cow|horse]")
    assert followed.encoded[0] == ["cow", "horse"]
    assert [followed.at(call)[0][0][1] for call in range(5)] == ["cow", "cow", "horse", "cow", "horse"]


def test_parts_are_scheduled_each_by_itself():
    followed = Followed("a :1.5 AND [b:c:5] :-0.5", "d AND e")
    assert followed.at(0) == ([(1.5, "a"), (-0.5, " b")], "d AND e")
    assert followed.at(9) == ([(1.5, "a"), (-0.5, " c")], "d AND e")


@pytest.mark.parametrize(("old", "last"), [(False, 9), (True, 1)])
def test_the_timelines_of_old_pictures(old, last):
    followed = Followed("[a:b:1.0]", old_timelines=old)
    assert [call for call in range(10) if followed.at(call)[0][0][1] == "a"][-1] == last
