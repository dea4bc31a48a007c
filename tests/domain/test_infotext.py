"""Requests as text and back; what A1111 and other readers make of our text; what we make of theirs."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webui.domain.infotext import compose, parse, to_request, write
from webui.domain.infotext_fields import HASHES_AND_ORIGIN, SETTINGS
from webui.domain.request import PARAMETERS, GenerationRequest, Parameter
from webui.domain.samplers import SAMPLERS
from webui.domain.schedules import SCHEDULES

ROW = "Steps: 20, Sampler: Euler a, Schedule type: Karras, CFG scale: 7, Seed: 1, Size: 512x768, RNG: CPU"

# what might be mistaken for a part of the grammar
FRAGMENTS = (
    "Negative prompt: x",
    "Negative prompt:",
    "negative prompt",
    "Steps: 20, Sampler: Euler, CFG scale: 7",
    "Steps:",
    "Template: {a|b}",
    "Negative Template: c",
    'Exact prompt: "no"',
    "Lora hashes: ",
    'Hashes: {"model": "ab"}',
    "<lora:a b:0.8>",
    "a cat",
    "(red:1.2)",
    *'\n\r\t ",:\\{}[]\0\x0b\x1c\x85\u2028\u3000\ufeff猫😀é',
    "\r\n",
    ", ",
    ": ",
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.lists(
    st.sampled_from(FRAGMENTS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=3), max_size=12
).map("".join)


def values_of(parameter: Parameter) -> st.SearchStrategy[Any]:
    if parameter.name == "sampler":
        return st.sampled_from([row.name for row in SAMPLERS])
    if parameter.name == "schedule":
        return st.sampled_from([row.name for row in SCHEDULES])
    if parameter.choices:
        return st.sampled_from(parameter.choices)
    if parameter.type is bool:
        return st.booleans()
    if parameter.type is str:
        return texts
    assert parameter.minimum is not None and parameter.maximum is not None, parameter.name
    if parameter.type is float:
        return st.floats(parameter.minimum, parameter.maximum)
    step = 8 if parameter.step == 8 else 1
    return st.integers(int(parameter.minimum) // step, int(parameter.maximum) // step).map(lambda n: n * step)


requests = st.builds(GenerationRequest, **{name: st.just(p.default) | values_of(p) for name, p in PARAMETERS.items()})


@given(requests)
def test_every_request_comes_back(request_: GenerationRequest) -> None:
    again, unused, remarks = to_request(parse(write(request_, version="1.2.3")))
    assert again == request_
    assert unused == {}
    assert remarks == () or "hash of 2022" in remarks[0]


@given(requests, requests)
def test_a_whole_infotext_leaves_nothing_of_the_form(request_: GenerationRequest, form: GenerationRequest) -> None:
    request_ = replace(request_, checkpoint="dream", batch_size=2, batch_count=3)
    assert to_request(parse(write(request_, version="")), form)[0] == request_


@given(texts, st.dictionaries(st.sampled_from((*SETTINGS[20:], "ControlNet 0", "My extension", "X values")), texts))
def test_every_field_comes_back(prompt: str, extra: dict[str, str]) -> None:
    taken = {parameter.infotext for parameter in PARAMETERS.values()} | {
        "Seed resize from",
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
        "Mask blur": 4,
    }
    assert write(request, version="0.1.0", extra=extra) == (
        "a cat\n"
        "Negative prompt: blurry\n"
        "Steps: 20, Sampler: Euler a, Schedule type: Karras, CFG scale: 6.5, Seed: 5, Size: 512x768, "
        "Model hash: abc123def0, Model: dream_8, VAE hash: 0123456789, VAE: vae-ft-mse.pt, Variation seed: 7, "
        "Variation seed strength: 0.1, Seed resize from: 512x512, Denoising strength: 0.4, Clip skip: 2, ENSD: 31337, "
        "RNG: NV, Hires upscale: 2, Mask blur: 4, ADetailer model 2nd: hand.pt, Wildcards: True, "
        'Lora hashes: "a: 1, b: 2", Hashes: {"model": "abc123def0"}, Version: Lucid 0.1.0'
    )


def test_what_is_a1111s_default_is_not_written() -> None:
    text = write(GenerationRequest(prompt="a cat", seed=1, rng="GPU"), version="")
    assert text == (
        "a cat\nSteps: 20, Sampler: DPM++ 2M, Schedule type: Automatic, CFG scale: 7, Seed: 1, Size: 512x512"
    )


def test_a_field_of_the_request_cannot_be_written_twice() -> None:
    with pytest.raises(ValueError, match="Steps"):
        write(GenerationRequest(), version="", extra={"Steps": 3})


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("Euler a", "Euler a"),
        ("a, b", '"a, b"'),
        ("a: b", '"a: b"'),
        ('quote"s', 'quote"s'),
        ('say "hi", ok', r'"say \"hi\", ok"'),
        ("日本語, x", '"日本語, x"'),
        ("two\nlines", r'"two\nlines"'),
        ("", '""'),
        (" padded ", '" padded "'),
        ('"quoted"', r'"\"quoted\""'),
        ("[a", '"[a"'),
        (True, "True"),
        (7.0, "7"),
        (0.75, "0.75"),
        ("half \ud800", r'"half \ud800"'),
    ],
)
def test_quoting(value: object, written: str) -> None:
    text = write(GenerationRequest(), version="", extra={"My key": value})
    assert text.endswith(f", My key: {written}")
    assert parse(text).fields["My key"] == (value if isinstance(value, str) else written)


def test_a_value_that_equals_its_key_is_the_key_alone() -> None:
    text = write(GenerationRequest(), version="", extra={"Tiling": "Tiling"})
    assert text.endswith(", Tiling")
    assert parse(text).fields["Tiling"] == "Tiling"


@pytest.mark.parametrize(
    ("prompt", "negative"),
    [
        ("a\nNegative prompt: b", "c"),
        ("a Negative prompt: b", ""),
        ("Steps: 20, Sampler: Euler, CFG scale: 7", ""),
        ("a\n  Steps: 20, Sampler: Euler, CFG scale: 7\nb", "Steps: 1"),
        (" leading", ""),
        ("a\r\nb", "c\rd"),
        ("", "only negative"),
        ("", "\n"),
        ("nul\0", ""),
        ("Template: {a|b}", "Negative Template: c"),
        ("\ud83d alone", ""),
    ],
)
def test_prompts_that_the_grammar_cannot_carry(prompt: str, negative: str) -> None:
    request = GenerationRequest(prompt=prompt, negative_prompt=negative)
    text = write(request, version="1")
    text.encode()
    assert to_request(parse(text))[0] == request


def test_the_exact_prompt_is_added_only_where_it_must_be() -> None:
    assert "Exact" not in write(
        GenerationRequest(prompt="a cat, \n  on a mat,  ", negative_prompt="x \n y "), version=""
    )
    text = write(GenerationRequest(prompt="a, b\nNegative prompt: c"), version="1")
    assert text.startswith("a, b\nNegative prompt : c\nSteps: 20, ")
    assert text.endswith(r', Exact prompt: "a\u002c b\nNegative prompt\u003a c", Version: Lucid 1')


# pairs computed with A1111's code, but for what it says of values that it breaks
@pytest.mark.parametrize(
    ("text", "prompt", "negative", "fields"),
    [
        (
            "a\nNegative prompt: b\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x768, "
            'Lora hashes: "lora1: aaa, lora2: bbb", Version: v1.10.1',
            "a",
            "b",
            {
                "Steps": "20",
                "Sampler": "Euler a",
                "CFG scale": "7",
                "Seed": "1",
                "Size": "512x768",
                "Lora hashes": "lora1: aaa, lora2: bbb",
                "Version": "v1.10.1",
            },
        ),
        ("a\nSteps: 20, Sampler: Euler a", "a\nSteps: 20, Sampler: Euler a", "", {}),
        (
            "Negative prompt: n\nSteps: 20, Sampler: Euler a, CFG scale: 7",
            "",
            "n",
            {"Steps": "20", "Sampler": "Euler a", "CFG scale": "7"},
        ),
        (
            "multi\nline\n\nprompt\nNegative prompt: n1\nn2\nSteps: 1, Sampler: Euler, Seed: 2",
            "multi\nline\n\nprompt",
            "n1\nn2",
            {"Steps": "1", "Sampler": "Euler", "Seed": "2"},
        ),
        ("a: b, c: d, e: f", "a: b, c: d, e: f", "", {}),
        ("red: 1, blue: 2, green: 3", "red: 1, blue: 2, green: 3", "", {}),
        ("Steps: many, Scene: a stair, Mood: sad", "Steps: many, Scene: a stair, Mood: sad", "", {}),
        (
            r'Steps: 1, Sampler: Euler, Hires prompt: "x, \"y\"\nz", Seed: 5',
            "",
            "",
            {"Steps": "1", "Sampler": "Euler", "Hires prompt": 'x, "y"\nz', "Seed": "5"},
        ),
        (
            "Steps: 1, Sampler: Euler, Wildcard prompt: , Seed: 5",
            "",
            "",
            {"Steps": "1", "Sampler": "Euler", "Seed": "5"},
        ),
        (
            'Steps: 1, Sampler: Euler, Civitai resources: [{"type":"checkpoint","modelVersionId":128713},'
            '{"type":"lora","weight":0.8}], Civitai metadata: {}, Version: v1.9.4',
            "",
            "",
            {
                "Steps": "1",
                "Sampler": "Euler",
                "Civitai resources": '[{"type":"checkpoint","modelVersionId":128713},{"type":"lora","weight":0.8}]',
                "Civitai metadata": "{}",
                "Version": "v1.9.4",
            },
        ),
        (
            'Steps: 1, Sampler: Euler, Hashes: {"model": "6ce0161689", "lora:x": "abc"}',
            "",
            "",
            {"Steps": "1", "Sampler": "Euler", "Hashes": '{"model": "6ce0161689", "lora:x": "abc"}'},
        ),
        # a broken quote, broken JSON, a key that comes twice, a comma that nobody quoted
        (
            'Steps: 1, Sampler: Euler, Model: "half, VAE: [half, Model: other, Seed: 5',
            "",
            "",
            {"Steps": "1", "Sampler": "Euler", "Model": '"half', "VAE": "[half", "Seed": "5"},
        ),
        (r'Steps: 1, Seed: 2, Note: "\q"', "", "", {"Steps": "1", "Seed": "2", "Note": r'"\q"'}),
        (
            "Steps: 1, Seed: 2, Styles: a, bold, Size: 8x8",
            "",
            "",
            {"Steps": "1", "Seed": "2", "Styles": "a", "bold": "bold", "Size": "8x8"},
        ),
    ],
)
def test_parsing(text: str, prompt: str, negative: str, fields: dict[str, str]) -> None:
    parsed = parse(text)
    assert (parsed.prompt, parsed.negative_prompt) == (prompt, negative)
    assert list(parsed.fields.items()) == list(fields.items())


@pytest.mark.parametrize(
    "text",
    [
        f"a cat\r\nNegative prompt: blurry\r\n{ROW}\r\n",
        f"\n\na cat\nNegative prompt:blurry\n{ROW}",
        f"a cat Negative prompt: blurry {ROW}",
        f"a cat\nNegative prompt: blurry\n{ROW}\n\nUsed embeddings: easy [119b]\nTime taken: 3.1 sec.",
        f"a cat\nTemplate: a {{cat|dog}}\nmore\nNegative Template: bad\nNegative prompt: blurry\n{ROW}",
        f"a cat\nNegative prompt: blurry\nTemplate: a {{cat|dog}}\n{ROW}",
        f"a cat\nNegative prompt: blurry\n{ROW}\nTemplate: a {{cat|dog}}\nNegative Template: bad",
    ],
    ids=["windows", "blank lines", "one line", "notes", "template", "template in negative", "template behind"],
)
def test_ways_in_which_text_is_copied(text: str) -> None:
    parsed = parse(text)
    assert (parsed.prompt.strip(), parsed.negative_prompt.strip()) == ("a cat", "blurry")
    assert parsed.fields["Seed"] == "1"
    assert parsed.fields["RNG"] == "CPU"
    assert "Template" not in text or parsed.fields["Template"].startswith("a {cat|dog}")
    assert compose(parse(compose(parsed))) == compose(parsed)


@given(texts.map(lambda text: text.replace("Euler", "Euler a")) | st.text() | st.just(ROW).map(lambda row: f"x\n{row}"))
def test_no_text_breaks_the_parser(text: str) -> None:
    parsed = parse(text)
    request, _, _ = to_request(parsed)
    assert request.prompt == parsed.prompt
    row = f"{ROW}, {text}".replace("\n", " ").replace("\r", " ")
    assert to_request(parse(f"{text}\n{row}"))[0].seed == 1


@pytest.mark.parametrize(
    "unit",
    ["aa: [", 'aa: "', 'aa: ["a", ', "[", '"', "\\", " ", "aa: {", "Steps: 1, ", "\nSteps: 1", "\nTemplate: ", ","],
)
def test_long_hostile_texts_are_read(unit: str) -> None:
    text = unit * 50_000
    assert parse(f"x\n{ROW}\nnote: {text}").prompt.startswith("x")
    assert parse(f"x\n{ROW}, zz: {text.replace(chr(10), ' ')}").fields["Seed"] == "1"


def test_the_program_is_told_by_its_version() -> None:
    def source(more: str) -> str:
        return parse(f"a\n{ROW}{more}").source

    assert source(", Version: v1.10.1") == source(", Version: 1.6.0") == source("") == "AUTOMATIC1111"
    assert source(", Version: f2.0.1v1.10.1-previous-661-g0b261213") == "Forge"
    assert source(", App: SD.Next, Version: 1234567") == "SD.Next"
    assert source(", Version: ComfyUI") == "ComfyUI"
    assert source(", Version: Lucid 0.1.0") == "Lucid"
    assert parse("a cat").source == ""


# infotexts found in public repositories

IN_THE_WILD = {
    1: "wood table top\nSteps: 25, Sampler: Euler a, CFG scale: 7, Seed: 1057871485, Size: 512x512, Model hash: 7460a6fa",
    3: "masterpiece,gufeng boy,<lora:gufeng boy_20230805210621:0.8>,armor\nNegative prompt: (worst quality:2),lowres\n"
    "Steps: 30, Sampler: DPM++ 2M Karras, CFG scale: 7, Seed: 1008176401, Size: 512x768, Model hash: 87ce93011a, "
    "Model: majicMIX alpha 麦橘男团, Denoising strength: 0.45, Clip skip: 2, Hires upscale: 2, Hires steps: 10, "
    'Hires upscaler: R-ESRGAN 4x+, Lora hashes: "gufeng boy_20230805210621: 60129e9d06ab", Version: v1.3.1',
    4: "a\nSteps: 40, Sampler: DPM++ 2M Karras, CFG scale: 8, Seed: 1429876294, Size: 512x512, Model hash: 61bc7001e8, "
    "Model: anyhentai_20, Denoising strength: 0.7, Clip skip: 2, Hires upscale: 1.5, Hires steps: 10, "
    'Hires upscaler: Latent, Lora hashes: "concept_sunbathing: 7b93421e39bd", TI hashes: "EasyNegativeV2: 339cc9210f70, '
    'FastNegativeV2: a7465e7cc2a2, EasyNegativeV2: 339cc9210f70, FastNegativeV2: a7465e7cc2a2", Version: 1.6.0',
    7: "1 girl <lora:身材调节器S-shape body(1.5-2.5)_v1.0:0.9> <lora:20231026-1698309368847:0.9>\n"
    "Negative prompt: (umbrella:2),(worst quality:2),\n"
    "Steps: 26, Sampler: Euler a, CFG scale: 6, Seed: 656613292, Size: 512x768, Model hash: 1a17bcd93d, "
    "Model: beautifulRealistic_v7, Clip skip: 2, ADetailer model: face_yolov8n.pt, ADetailer confidence: 0.3, "
    "ADetailer dilate/erode: 4, ADetailer model 2nd: hand_yolov8n.pt, ADetailer confidence 2nd: 0.3, "
    'ADetailer version: 23.7.11, Lora hashes: "身材调节器S-shape body(1.5-2.5)_v1.0: 4221edfe4df6, '
    '20231026-1698309368847: 4d7aef12f497", Version: v1.6.0',
    9: "Steps: 30, Sampler: DPM++ 2M SDE, Schedule type: Karras, CFG scale: 3.5, Seed: 1516059803, Size: 912x1144, "
    "Model hash: c34728806b, Model: cyberillustrious_v38, Denoising strength: 0.5, RNG: CPU, "
    "ADetailer model: face_yolov8n.pt, Template: a girl, Negative Template: lowres, "
    "Hires Module 1: Use same choices, Hires prompt: a girl, Hires CFG Scale: 5, Hires upscale: 2, Hires steps: 20, "
    'Hires upscaler: 4x-UltraMix_Balanced, Lora hashes: "MuscleUp-Ilustrious Edition: 7437f7a09915", '
    "Version: f2.0.1v1.10.1-previous-661-g0b261213",
    12: "a cat\nNegative prompt: blurry, ugly\nSteps: 20, Sampler: Euler a, Schedule type: Karras, CFG scale: 7, "
    "Seed: 12345, Size: 512x768, Model hash: abc123def, Model: dreamshaper_8, Denoising strength: 0.4, Clip skip: 2, "
    'Lora hashes: "castleLora: deadbeef", Version: v1.10.1',
    13: "AnyLoRA, best quality Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 59944576, Size: 512x512, "
    'Model hash: ef49fbb25f, Model: AnyLoRA, Lora hashes: "大月阿露露_base_loraYabuki: e96f805afa76", Version: v1.4.0',
}


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
    _, unused, _ = to_request(parse(IN_THE_WILD[3]))
    assert unused["Hires upscaler"] == "R-ESRGAN 4x+"
    assert unused["Lora hashes"] == "gufeng boy_20230805210621: 60129e9d06ab"
    assert not {"Version", "Steps", "Size", "Model"} & set(unused)


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


def test_pictures_of_2022() -> None:
    request, unused, _ = told("Steps: 20, Sampler: Euler, Seed: 1, Size: 1024x1536, First pass size: 512x768")
    assert (request.width, request.height, unused) == (512, 768, {"Hires resize": "1024x1536"})
    request, unused, _ = told("Steps: 20, Sampler: Euler, Seed: 1, Size: 1024x1024, First pass size: 0x0")
    assert (request.width, request.height, unused) == (512, 512, {"Hires resize": "1024x1024"})
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
        ("a [b:c:0.5]", "Version: 1.5.2", {"Downcast alphas_cumprod", "Old prompt editing timelines"}),
        ("a", "Sampler: DDIM, Version: v1.5.2", {"Downcast alphas_cumprod", "Pad conds v0"}),
        ("a", "Refiner: x, Version: v1.7.0-300", {"Refiner switch by sampling steps"}),
        ("a [b]", "Version: f0.0.17v1.8.0rc-latest-276-g29be1da7", {}),
        ("a [b]", "Version: Lucid 0.1.0", {}),
        ("a [b]", "Clip skip: 2", {}),
    ],
)
def test_what_old_versions_did_otherwise(prompt: str, params: str, implied: set[str]) -> None:
    _, unused, _ = to_request(parse(f"{prompt}\nSteps: 20, Seed: 1, Size: 64x64, {params}"))
    assert {key for key in unused if key != "Refiner"} == set(implied)


def test_the_order_names_no_field_twice() -> None:
    keys = (*SETTINGS, *HASHES_AND_ORIGIN)
    assert len(set(keys)) == len(keys)
    assert {parameter.infotext for parameter in PARAMETERS.values()} - {None} <= set(keys)
