from __future__ import annotations

import torch

from webui.engine.guidance import guided_prediction

COND, LONG_COND, UNCOND = torch.full((1, 77, 2), 3.0), torch.full((1, 154, 2), 3.0), torch.full((1, 77, 2), 1.0)
X = torch.zeros(2, 4, 8, 8)


class Recorder:
    """A network whose answer is the mean of its conditioning, so that 3 is the prompt and 1 is none."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, x, timestep, text):
        self.batches.append(len(x))
        return x + text.mean(dim=(1, 2))[:, None, None, None]


def test_scale_1_is_the_prompt_alone_with_one_call():
    network = Recorder()
    assert guided_prediction(network, X, 5.0, COND, UNCOND, 1).unique().tolist() == [3.0]
    assert network.batches == [2]


def test_scale_0_ignores_the_prompt_with_one_call():
    network = Recorder()
    assert guided_prediction(network, X, 5.0, COND, UNCOND, 0).unique().tolist() == [1.0]
    assert network.batches == [2]


def test_other_scales_extrapolate_with_both_in_one_call():
    network = Recorder()
    assert guided_prediction(network, X, 5.0, COND, UNCOND, 7.5).unique().tolist() == [1 + 7.5 * 2]
    assert network.batches == [4]


def test_prompts_of_different_lengths_are_asked_apart():
    network = Recorder()
    assert guided_prediction(network, X, 5.0, LONG_COND, UNCOND, 2).unique().tolist() == [5.0]
    assert network.batches == [2, 2]
