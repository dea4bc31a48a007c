"""A picture is the same alone, in a batch and at any place of it, whatever sampler draws it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from webui.domain.request import GenerationRequest
from webui.domain.samplers import SAMPLERS
from webui.engine.device import Hardware, choose_compute
from webui.engine.drawn import Drawn
from webui.engine.generate import Options, generate_batch
from webui.engine.model_manager import ModelManager, Selection

CPU = choose_compute("cpu", "auto", Hardware())
REQUEST = GenerationRequest(prompt="a cat", negative_prompt="a dog", width=64, height=64, steps=3, seed=3, batch_size=4)


@pytest.fixture(scope="module")
def models() -> ModelManager:
    """One for all samplers: loading takes longer than drawing."""
    return ModelManager(CPU, budget=2**33)


@pytest.mark.parametrize("sampler", [row.name for row in SAMPLERS])
def test_a_picture_is_the_same_alone_in_a_batch_and_second_of_four(models, tiny_library, sampler):
    selection = Selection(tiny_library.find("checkpoint", "a"))

    def draw(request: GenerationRequest) -> list[bytes]:
        happened = generate_batch(request, 0, models, selection, Options(preview="off"))
        return [event.image.tobytes() for event in happened if isinstance(event, Drawn)]

    four = replace(REQUEST, sampler=sampler)
    together = draw(four)
    assert len(set(together)) == 4
    assert draw(four.picture(1)) == together[1:2]
    assert draw(replace(four, seed=four.seed + 1, batch_size=2)) == together[1:3]
