"""What a picture of a batch takes from its own infotext: what is ticked, where it is said."""

from __future__ import annotations

from webui.tabs.picture_batch import entry

SAID = (
    "a fox\nNegative prompt: fog\nSteps: 30, Sampler: Heun, Schedule type: Karras, CFG scale: 5, Seed: 9, Size: 64x64"
)


def test_only_what_is_ticked_and_said() -> None:
    picture = {"id": "1" * 32, "infotext": SAID}
    assert entry(picture, set()) == {"init_image": "1" * 32}
    told = entry(picture, {"prompt", "seed", "sampler", "checkpoint", "denoising_strength"})
    assert {name: value for name, value in told.items() if value} == {
        "init_image": "1" * 32,
        "prompt": "a fox",
        "seed": 9,
        "sampler": "Heun",
        "schedule": "Karras",
    }
    assert not {"checkpoint", "denoising_strength", "negative_prompt"} & set(told)


def test_a_picture_that_says_nothing_is_drawn_as_the_form_says() -> None:
    assert entry({"id": "1" * 32, "infotext": ""}, {"prompt", "seed"}) == {"init_image": "1" * 32}
