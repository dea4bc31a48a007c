"""Infotexts of pictures found in the wild, and what older versions of A1111 meant by theirs."""

from __future__ import annotations

import pytest
from infotext_samples import IN_THE_WILD

from webui.domain.infotext import parse, to_request
from webui.domain.request import GenerationRequest


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (
            1,
            {
                "prompt": "wood table top",
                "steps": 25,
                "sampler": "Euler a",
                "checkpoint": "",
                "checkpoint_hash": "7460a6fa",
            },
        ),
        (
            3,
            {
                "prompt": "masterpiece,gufeng boy,<lora:gufeng boy_20230805210621:0.8>,armor",
                "negative_prompt": "(worst quality:2),lowres",
                "sampler": "DPM++ 2M",
                "schedule": "Karras",
                "seed": 1008176401,
                "height": 768,
                "checkpoint": "majicMIX alpha 麦橘男团",
                "checkpoint_hash": "87ce93011a",
                "clip_skip": 2,
                "rng": "GPU",
            },
        ),
        (4, {"sampler": "DPM++ 2M", "schedule": "Karras", "cfg_scale": 8.0, "seed": 1429876294}),
        (7, {"negative_prompt": "(umbrella:2),(worst quality:2),", "cfg_scale": 6.0, "schedule": "Automatic"}),
        (9, {"prompt": "", "cfg_scale": 3.5, "width": 912, "height": 1144, "rng": "CPU", "schedule": "Karras"}),
        (12, {"negative_prompt": "blurry, ugly", "seed": 12345, "clip_skip": 2, "checkpoint": "dreamshaper_8"}),
        (13, {"prompt": "AnyLoRA, best quality", "seed": 59944576, "checkpoint": "AnyLoRA"}),
    ],
)
def test_infotexts_in_the_wild(number: int, expected: dict[str, object]) -> None:
    request, _, _ = to_request(parse(IN_THE_WILD[number]))
    assert {name: getattr(request, name) for name in expected} == expected


def test_fields_in_the_wild() -> None:
    assert parse(IN_THE_WILD[4]).fields["TI hashes"].count("EasyNegativeV2: 339cc9210f70") == 2
    assert parse(IN_THE_WILD[7]).fields["ADetailer dilate/erode"] == "4"
    assert parse(IN_THE_WILD[7]).fields["ADetailer model 2nd"] == "hand_yolov8n.pt"
    assert parse(IN_THE_WILD[9]).fields["Negative Template"] == "lowres"
    request, unused, _ = to_request(parse(IN_THE_WILD[3]))
    assert (request.hires, request.hires_upscaler, request.hires_scale, request.hires_steps) == (
        True,
        "R-ESRGAN 4x+",
        2.0,
        10,
    )
    assert request.lora_hashes == "gufeng boy_20230805210621: 60129e9d06ab"
    assert not {"Version", "Steps", "Size", "Model"} & set(unused)


def told(params: str) -> tuple[GenerationRequest, dict[str, str], tuple[str, ...]]:
    return to_request(parse(f"a cat\n{params}"))


def test_pictures_of_2022() -> None:
    request, unused, _ = told("Steps: 20, Sampler: Euler, Seed: 1, Size: 1024x1536, First pass size: 512x768")
    assert (request.width, request.height, unused) == (512, 768, {})
    assert (request.hires, request.resizes_to) == (True, (1024, 1536))
    request, unused, _ = told("Steps: 20, Sampler: Euler, Seed: 1, Size: 1024x1024, First pass size: 0x0")
    assert (request.width, request.height, unused) == (512, 512, {})
    assert request.resizes_to == (1024, 1024)
    request, _, remarks = told("Steps: 20, Sampler: Euler, Seed: 1, Model hash: 7460a6fa")
    assert request.checkpoint_hash == "7460a6fa" and "7460a6fa" in remarks[0]
    request, _, _ = told("Steps: 20, Sampler: Euler, Seed: 1, Hypernet: anime(12345678), Hypernet strength: 0.5")
    assert request.prompt == "a cat<hypernet:anime(12345678):0.5>"
    request, _, _ = told("Steps: 20, Sampler: Euler, Seed: 1, Batch size: 4, Batch pos: 2")
    assert request.batch_size == 1


@pytest.mark.parametrize(
    ("prompt", "params", "implied"),
    [
        ("a", "Version: v1.10.1", {}),
        ("a", "Version: v1.7.0-225-gabc", {}),
        ("a", "Version: v1.7.0-133-gde03882d", {"Downcast alphas_cumprod"}),
        ("a [b:c:0.5]", "Version: 1.5.2", {"Downcast alphas_cumprod"}),
        ("a", "Sampler: DDIM, Version: v1.5.2", {"Downcast alphas_cumprod", "Pad conds v0"}),
        ("a", "Refiner: x, Version: v1.7.0-300", {"Refiner switch by sampling steps"}),
        ("a [b]", "Version: f0.0.17v1.8.0rc-latest-276-g29be1da7", {}),
        ("a [b]", "Version: Lucid 0.1.0", {}),
        ("a [b]", "Clip skip: 2", {}),
    ],
)
def test_what_old_versions_did_otherwise(prompt: str, params: str, implied: set[str]) -> None:
    request, unused, _ = to_request(parse(f"{prompt}\nSteps: 20, Seed: 1, Size: 64x64, {params}"))
    assert request.old_timelines is (prompt == "a [b:c:0.5]")
    assert {key for key in unused if key != "Refiner"} == set(implied)
