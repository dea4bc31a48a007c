"""Requests as text and back; what A1111 and other readers make of our text."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from infotext_samples import texts

from webui.domain.hires_options import HIRES_OPTIONS
from webui.domain.infotext import parse, to_request, write
from webui.domain.infotext_fields import HASHES_AND_ORIGIN, SETTINGS
from webui.domain.picture_options import PICTURE_OPTIONS
from webui.domain.request import PARAMETERS, GenerationRequest, Parameter
from webui.domain.samplers import SAMPLERS
from webui.domain.schedules import SCHEDULES


def values_of(parameter: Parameter) -> st.SearchStrategy[Any]:
    if parameter.name == "sampler":
        return st.sampled_from([row.name for row in SAMPLERS])
    if parameter.name == "schedule":
        return st.sampled_from([row.name for row in SCHEDULES])
    if parameter.name in ("init_image", "mask", "depth_map"):
        return st.sampled_from(["", "0123456789abcdef" * 2])
    if parameter.name == "transparent_ground":
        return st.integers(0, 2**24 - 1).map(lambda colour: f"#{colour:06x}")
    if parameter.choices:
        return st.sampled_from(parameter.choices)
    if parameter.type is bool:
        return st.booleans()
    if parameter.name in HIRES_OPTIONS and parameter.type is str:  # for which prompt and model names stand already
        return st.sampled_from(["", "a dog, red\nin snow", "model [6ce0161689]"])
    if parameter.type is str:
        return texts
    if parameter.type is tuple:
        return st.just(())  # by then the styles are in the prompts
    assert parameter.minimum is not None and parameter.maximum is not None, parameter.name
    if parameter.type is float:
        return st.floats(max(0.0, parameter.minimum), parameter.maximum)  # eta: between -1 and 0 there is nothing
    step = 8 if parameter.step == 8 else 1
    return st.integers(int(parameter.minimum) // step, int(parameter.maximum) // step).map(lambda n: n * step)


requests = st.builds(GenerationRequest, **{name: st.just(p.default) | values_of(p) for name, p in PARAMETERS.items()})


def as_drawn(request: GenerationRequest, form: GenerationRequest | None = None) -> GenerationRequest:
    """What means nothing is not written; and no text can hold a picture, which stays the one of the form."""
    form = form or GenerationRequest()
    idle = {name: PARAMETERS[name].default for name in set(PICTURE_OPTIONS) - request.acting_picture_options()}
    if not request.draws_twice:
        idle |= {name: PARAMETERS[name].default for name in HIRES_OPTIONS}
    elif any(request.resizes_to):
        idle["hires_scale"] = PARAMETERS["hires_scale"].default
    if "denoising_strength" in idle and request.draws_twice:
        del idle["denoising_strength"]
    elif "denoising_strength" in idle:
        idle["denoising_strength"] = form.denoising_strength
    request = replace(
        request,
        **{
            **idle,
            "init_image": form.init_image,
            "mask": form.mask,
            "depth_map": form.depth_map,
            "batch_pictures": form.batch_pictures,
        },
    )
    signs = [*"([", *(["\\", "BREAK"] if request.emphasis == "None" else [])]
    stressed = any(sign in request.prompt + request.negative_prompt for sign in signs)
    return request if stressed else replace(request, emphasis="Original")


@settings(deadline=None)
@given(requests)
def test_every_request_comes_back(request_: GenerationRequest) -> None:
    again, unused, remarks = to_request(parse(write(request_, version="1.2.3")))
    assert again == as_drawn(request_)
    assert unused == {}
    assert remarks == () or "hash of 2022" in remarks[0]


@settings(deadline=None)
@given(requests, requests)
def test_a_whole_infotext_leaves_nothing_of_the_form(request_: GenerationRequest, form: GenerationRequest) -> None:
    request_ = replace(request_, checkpoint="dream", batch_size=2, batch_count=3)
    assert to_request(parse(write(request_, version="")), form)[0] == as_drawn(request_, form)


@settings(deadline=None)
@given(texts, st.dictionaries(st.sampled_from((*SETTINGS[20:], "ControlNet 0", "My extension", "X values")), texts))
def test_every_field_comes_back(prompt: str, extra: dict[str, str]) -> None:
    taken = {parameter.infotext for parameter in PARAMETERS.values()} | {
        "Eta DDIM",
        "Hires resize",
        "Seed resize from",
        "Mask blur",
        "Tiling",
        "Init image hash",
        "Mask hash",
        "Batch size",
        "Batch count",
    }
    extra = {key: value for key, value in extra.items() if key not in taken}
    parsed = parse(write(GenerationRequest(prompt=prompt), version="1", extra=extra))
    assert {key: parsed.fields[key] for key in extra} == extra
    assert parsed.prompt == prompt


def a1111_pairs(line: str) -> dict[str, str]:
    """A1111 1.10's own way of reading a parameters line: its expression, first element quoted values undone."""
    pairs = {}
    for key, value in re.findall(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)', line):
        pairs[key] = json.loads(value) if value[:1] == value[-1:] == '"' else value
    return pairs


@settings(deadline=None)
@given(requests)
def test_other_readers_understand(request_: GenerationRequest) -> None:
    text = write(request_, version="1.2.3")
    *lines, last = text.split("\n")
    theirs = a1111_pairs(last)
    for name in ("steps", "sampler", "schedule", "seed", "checkpoint", "checkpoint_hash"):
        parameter = PARAMETERS[name]
        value = str(getattr(request_, name))
        if value not in ("", parameter.infotext):  # the latter is written as the key alone, which A1111 does not read
            assert theirs[str(parameter.infotext)] == value
    assert theirs["Size"] == f"{request_.width}x{request_.height}"
    assert theirs["Version"] == "Lucid 1.2.3"
    assert last.startswith("Steps: ")
    assert not any(line.lstrip().startswith("Steps:") for line in lines)
    assert "\n".join(lines).count("Negative prompt:") <= 1


def test_the_text_is_what_a1111_writes() -> None:
    request = GenerationRequest(
        prompt="a cat",
        negative_prompt="blurry",
        sampler="Euler a",
        schedule="Karras",
        cfg_scale=6.5,
        seed=5,
        width=512,
        height=768,
        checkpoint="dream_8",
        checkpoint_hash="abc123def0",
        vae="vae-ft-mse.pt",
        vae_hash="0123456789",
        variation_seed=7,
        variation_strength=0.1,
        seed_resize_width=512,
        seed_resize_height=512,
        clip_skip=2,
        ensd=31337,
    )
    extra = {
        "Lora hashes": "a: 1, b: 2",
        "Wildcards": True,
        "Hires upscale": 2.0,
        "Hires steps": None,
        "Denoising strength": 0.4,
        "Hashes": '{"model": "abc123def0"}',
        "ADetailer model 2nd": "hand.pt",
    }
    assert write(request, version="0.1.0", extra=extra) == (
        "a cat\n"
        "Negative prompt: blurry\n"
        "Steps: 20, Sampler: Euler a, Schedule type: Karras, CFG scale: 6.5, Seed: 5, Size: 512x768, "
        "Model hash: abc123def0, Model: dream_8, VAE hash: 0123456789, VAE: vae-ft-mse.pt, Variation seed: 7, "
        "Variation seed strength: 0.1, Seed resize from: 512x512, Denoising strength: 0.4, Clip skip: 2, ENSD: 31337, "
        "RNG: NV, Hires upscale: 2, ADetailer model 2nd: hand.pt, Wildcards: True, "
        'Lora hashes: "a: 1, b: 2", Hashes: {"model": "abc123def0"}, Version: Lucid 0.1.0'
    )


def test_inpainting_is_told_as_a1111_tells_it() -> None:
    request = GenerationRequest(
        prompt="a cat",
        seed=1,
        rng="GPU",
        init_image="ab" * 16,
        mask="cd" * 16,
        denoising_strength=0.6,
        mask_invert=True,
        masked_content="latent noise",
        inpaint_area="Only masked",
        conditioning_mask_strength=0.5,
        image_cfg_scale=2.0,
        noise_multiplier=0.9,
        extra_noise=0.05,
        soft_inpainting=True,
        tile_x=True,
        tile_y=True,
    )
    assert write(request, version="") == (
        "a cat\n"
        "Steps: 20, Sampler: DPM++ 2M, Schedule type: Automatic, CFG scale: 7, Image CFG scale: 2, Seed: 1, Size: 512x512, "
        "Denoising strength: 0.6, Conditional mask weight: 0.5, "
        f"Init image hash: {'ab' * 16}, Mask hash: {'cd' * 16}, Tiling: True, "
        "Mask blur: 4, Mask mode: Inpaint not masked, Inpaint area: Only masked, Masked area padding: 32, "
        "Masked content: latent noise, Noise multiplier: 0.9, Extra noise: 0.05, Soft inpainting enabled: True, "
        "Soft inpainting schedule bias: 1, Soft inpainting preservation strength: 0.5, "
        "Soft inpainting transition contrast boost: 4, Soft inpainting mask influence: 0, "
        "Soft inpainting difference threshold: 0.5, Soft inpainting difference contrast: 2"
    )
    without_picture = write(replace(request, init_image="", tile_y=False), version="")
    assert without_picture.endswith("Seed: 1, Size: 512x512, Tiling: x")  # the rest means nothing


@pytest.mark.parametrize(
    ("told_blur", "blur"), [("Mask blur: 8", (8, 8)), ("Mask blur: 4.5x6", (4.5, 6)), ("Seed: 1", (4, 4))]
)
def test_one_blur_or_two(told_blur: str, blur: tuple[float, float]) -> None:
    request, _, remarks = told(f"Steps: 20, Sampler: Euler a, Size: 64x64, Denoising strength: 0.5, {told_blur}")
    assert ((request.mask_blur_x, request.mask_blur_y), request.denoising_strength, remarks) == (blur, 0.5, ())


def test_what_is_a1111s_default_is_not_written() -> None:
    text = write(GenerationRequest(prompt="a cat", seed=1, rng="GPU"), version="")
    assert text == (
        "a cat\nSteps: 20, Sampler: DPM++ 2M, Schedule type: Automatic, CFG scale: 7, Seed: 1, Size: 512x512"
    )


def test_a_field_of_the_request_cannot_be_written_twice() -> None:
    with pytest.raises(ValueError, match="Steps"):
        write(GenerationRequest(), version="", extra={"Steps": 3})


FORM = GenerationRequest(
    prompt="form", steps=33, sampler="Heun", schedule="Exponential", rng="CPU", clip_skip=3, width=640
)


def told(params: str) -> tuple[GenerationRequest, dict[str, str], tuple[str, ...]]:
    return to_request(parse(f"a cat\n{params}"), FORM)


def test_a_prompt_alone_changes_nothing_else() -> None:
    request, unused, remarks = to_request(parse("just a prompt"), FORM)
    assert request == replace(FORM, prompt="just a prompt")
    assert (unused, remarks) == ({}, ())


def test_what_is_missing_has_a1111s_meaning() -> None:
    request, _, remarks = told("Steps: 20, Sampler: Euler a, Seed: 1")
    assert (request.rng, request.clip_skip, request.schedule, request.ensd) == ("GPU", 1, "Automatic", 0)
    assert (request.width, request.cfg_scale) == (FORM.width, FORM.cfg_scale)
    assert remarks == ()


@pytest.mark.parametrize(
    ("named", "sampler", "schedule"),
    [
        ("Sampler: DPM++ 2M Karras", "DPM++ 2M", "Karras"),
        ("Sampler: dpm++ 2m karras", "DPM++ 2M", "Karras"),
        ("Sampler: LMS Karras", "LMS", "Karras"),
        ("Sampler: Euler SGM Uniform", "Euler", "SGM Uniform"),
        ("Sampler: k_euler_a", "Euler a", "Automatic"),
        ("Sampler: Euler, Schedule type: karras", "Euler", "Karras"),
        ("Sampler: DPM++ 2M Karras, Schedule type: Exponential", "DPM++ 2M", "Exponential"),
    ],
)
def test_old_and_other_names_of_samplers(named: str, sampler: str, schedule: str) -> None:
    request, _, remarks = told(f"Steps: 20, Seed: 1, {named}, CFG scale: 7")
    assert (request.sampler, request.schedule, remarks) == (sampler, schedule, ())


def test_the_schedule_that_a1111_did_not_name() -> None:
    _, _, remarks = told("Steps: 20, Sampler: DPM++ 2M, Seed: 1, Version: v1.8.0")
    assert len(remarks) == 1 and "Uniform" in remarks[0]


@pytest.mark.parametrize(
    ("params", "kept", "says"),
    [
        ("Sampler: Eulr", "sampler", 'Did you mean "Euler"'),
        ("Schedule type: Karas", "schedule", 'Did you mean "Karras"'),
        ("CFG scale: 1000", "cfg_scale", "between 0 and 100"),
        ("CFG scale: nan", "cfg_scale", "between"),
        ("CFG scale: lots", "cfg_scale", "'lots'"),
        ("Seed: 99999999999999999999999999", "seed", "Seed must be between"),
        ("Size: 511x512", "width", "multiple of 8"),
        ("Size: big", "width", "'big'"),
        ("Clip skip: 1.5", "clip_skip", "whole number"),
        ("RNG: dice", "rng", "one of NV, GPU, CPU"),
    ],
)
def test_values_that_cannot_be_used_are_told_and_not_replaced(params: str, kept: str, says: str) -> None:
    request, _, remarks = told(f"Steps: 20, Face restoration: GFPGAN, Tiling: True, {params}")
    assert getattr(request, kept) == getattr(FORM, kept)
    assert request.steps == 20
    assert len(remarks) == 1 and says in remarks[0] and "Kept" in remarks[0]


def test_name_and_hash_of_a_checkpoint_are_one() -> None:
    form = replace(FORM, checkpoint="mine", checkpoint_hash="0123456789")

    def checkpoint(params: str) -> tuple[str, str]:
        request, _, _ = to_request(parse(f"a\nSteps: 20, Seed: 1, Size: 64x64{params}"), form)
        return request.checkpoint, request.checkpoint_hash

    assert checkpoint("") == ("mine", "0123456789")
    assert checkpoint(", Model: other") == ("other", "")
    assert checkpoint(", Model hash: abc") == ("", "abc")


def test_keys_are_known_in_any_case() -> None:
    request, unused, _ = told("steps: 20, sampler: Euler, Cfg Scale: 3, seed: 4")
    assert (request.steps, request.cfg_scale, request.seed, unused) == (20, 3.0, 4, {})


def test_the_order_names_no_field_twice() -> None:
    keys = (*SETTINGS, *HASHES_AND_ORIGIN)
    assert len(set(keys)) == len(keys)
    assert {parameter.infotext for parameter in PARAMETERS.values()} - {None} <= set(keys)


def test_the_documentation_names_every_field() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "infotext.md").read_text(encoding="utf-8")
    written = {parameter.infotext for parameter in PARAMETERS.values()} - {None}
    assert [key for key in written if f"`{key}`" not in page] == []
