"""Pictures of other programs, each with what it really writes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from foreign_records import (
    DRAW_THINGS_XMP,
    EASY,
    FOOOCUS,
    FOOOCUS_A1111,
    INVOKEAI_2,
    INVOKEAI_3,
    NOVELAI,
    SDNEXT,
    SWARM,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from webui.domain.foreign_infotext import READERS, XMP, read_chunks
from webui.domain.infotext import compose, parse, to_request

ROW = "Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x512, Version: v1.10.1"


@pytest.mark.parametrize(
    ("chunks", "source", "prompt", "negative", "expected"),
    [
        (
            {"invokeai_metadata": json.dumps(INVOKEAI_3), "invokeai_graph": "{}"},
            "InvokeAI",
            "oil painting <lora:detail.v2:0.75>",
            "photo",
            {
                "Steps": "35",
                "Sampler": "DPM++ 2M",
                "Schedule type": "Karras",
                "CFG scale": "7.5",
                "Seed": "3293022630",
                "Size": "1024x768",
                "Model": "juggernautXL",
                "Clip skip": "2",
                "RNG": "CPU",
                "Version": "InvokeAI 5.4.0",
            },
        ),
        (
            {"sd-metadata": json.dumps(INVOKEAI_2), "Dream": '"other" -s 1 -S 1'},
            "InvokeAI",
            "a photo of a woman at night",
            "glowing eyes, skinny",
            {
                "Steps": "50",
                "Sampler": "LMS",
                "Schedule type": "Uniform",
                "CFG scale": "5",
                "Seed": "2980747362",
                "Size": "512x768",
                "Model hash": "56d1442a0f",
                "Model": "deliberate",
                "Version": "InvokeAI 2.3.0",
            },
        ),
        (
            {"Dream": '"a "red" cat [dog]" -s 50 -S 2980747362 -W 512 -H 768 -C 7.5 -A k_euler_a --fnformat x.png'},
            "InvokeAI",
            'a "red" cat',
            "dog",
            {
                "Steps": "50",
                "Sampler": "Euler a",
                "Schedule type": "Uniform",
                "CFG scale": "7.5",
                "Seed": "2980747362",
                "Size": "512x768",
            },
        ),
        (
            {"Dream": "an unquoted cat -s20 -b1 -W512 -H512 -C7.5 -Ak_lms -S42"},
            "InvokeAI",
            "an unquoted cat",
            "",
            {
                "Steps": "20",
                "Sampler": "LMS",
                "Schedule type": "Uniform",
                "CFG scale": "7.5",
                "Seed": "42",
                "Size": "512x512",
            },
        ),
        (
            {"parameters": json.dumps(SWARM)},
            "SwarmUI",
            "a lake <lora:glow:0.6>",
            "fog",
            {
                "Steps": "20",
                "Sampler": "DPM++ 2M SDE",
                "Schedule type": "Karras",
                "CFG scale": "6.5",
                "Seed": "9",
                "Size": "1152x896",
                "Model": "dream",
                "Clip skip": "2",
                "RNG": "CPU",
                "SGM noise multiplier": "True",
                "Version": "SwarmUI 0.9.3.1",
            },
        ),
        (
            {"parameters": json.dumps(FOOOCUS), "fooocus_scheme": "fooocus"},
            "Fooocus",
            "a smiling goldfish <lora:offset_lora:0.1>",
            "blurry",
            {
                "Steps": "30",
                "Sampler": "DPM++ 2M SDE",
                "Schedule type": "Karras",
                "CFG scale": "4",
                "Seed": "6952411511246973023",
                "Size": "768x1280",
                "Model hash": "aeb7e9e689",
                "Model": "juggernautXL_v8Rundiffusion",
                "Clip skip": "2",
                "RNG": "CPU",
                "SGM noise multiplier": "True",
                "Sharpness": "2",
                "ADM Guidance": "(1.5, 0.8, 0.3)",
                "Performance": "Speed",
                "Styles": "['Fooocus V2']",
                "Version": "Fooocus v2.4.3",
            },
        ),
        (
            NOVELAI,
            "NovelAI",
            "masterpiece, cat, space",
            "lowres, text",
            {
                "Steps": "28",
                "Sampler": "Euler a",
                "CFG scale": "10",
                "Seed": "2253955223",
                "Clip skip": "2",
                "ENSD": "31337",
                "NovelAI model": "Stable Diffusion 1D44365E",
                "Size": "640x960",
            },
        ),
        (
            {key: str(value) for key, value in EASY.items()},
            "Easy Diffusion",
            "a tree",
            "leaves",
            {
                "Steps": "25",
                "Sampler": "Euler a",
                "CFG scale": "7.5",
                "Seed": "77",
                "Size": "512x640",
                "Model": "sd-v1-5",
                "Clip skip": "2",
            },
        ),
        (
            {XMP: DRAW_THINGS_XMP},
            "Draw Things",
            "a <big> hill <lora:hills:0.8>",
            "snow",
            {
                "Steps": "16",
                "Sampler": "DPM++ 2M",
                "Schedule type": "Karras",
                "CFG scale": "4.5",
                "Seed": "123",
                "Size": "512x768",
                "Model": "dream_f16",
            },
        ),
    ],
    ids=["InvokeAI 3", "InvokeAI 2", "InvokeAI 1", "lstein", "SwarmUI", "Fooocus", "NovelAI", "Easy", "Draw Things"],
)
def test_programs_with_a_format_of_their_own(
    chunks: dict[str, str], source: str, prompt: str, negative: str, expected: dict[str, str]
) -> None:
    parsed = read_chunks(chunks, (640, 960))
    assert parsed is not None
    assert (parsed.source, parsed.prompt, parsed.negative_prompt) == (source, prompt, negative)
    assert dict(parsed.fields) == expected
    again = parse(compose(parsed))
    assert (again.prompt, again.negative_prompt, dict(again.fields)) == (prompt, negative, expected)


def test_the_same_records_elsewhere() -> None:
    """In EXIF, under other names, or in what early versions wrote."""
    swarm, fooocus, easy = json.dumps(SWARM), json.dumps(FOOOCUS), json.dumps(EASY)
    assert read_chunks({"UserComment": swarm}) == read_chunks({"Model": swarm}) == read_chunks({"parameters": swarm})
    assert (
        read_chunks({"UserComment": fooocus, "MakerNote": "fooocus"})
        == read_chunks({"Comment": fooocus})
        == read_chunks({"parameters": fooocus})
    )
    assert read_chunks({"UserComment": easy}) == read_chunks({key: str(value) for key, value in EASY.items()})
    labels = {
        "Prompt": "a tree",
        "Negative Prompt": "leaves",
        "Seed": "77",
        "Steps": "25",
        "Guidance Scale": "7.5",
        "Width": "512",
        "Height": "640",
        "Sampler": "euler_a",
        "Stable Diffusion model": "sd-v1-5",
        "Clip Skip": "True",
    }
    assert read_chunks(labels) == read_chunks({"UserComment": easy})


def test_sampling_options_of_other_programs() -> None:
    swarm = {**SWARM["sui_image_params"], "samplersigmamax": "10", "samplersigmamin": 0.1, "samplerrho": 3}
    swarm["rescalecfgmultiplier"] = 0.7
    parsed = read_chunks({"parameters": json.dumps({"sui_image_params": swarm})})
    assert parsed is not None and "SGM noise multiplier" not in parsed.fields
    request, _, remarks = to_request(parsed)
    assert (request.sigma_min, request.sigma_max, request.rho, request.cfg_rescale) == (0.1, 10.0, 3.0, 0.7)
    assert remarks == ()
    invoke = read_chunks({"invokeai_metadata": json.dumps({**INVOKEAI_3, "cfg_rescale_multiplier": 0.5})})
    assert invoke is not None and to_request(invoke)[0].cfg_rescale == 0.5
    novelai = read_chunks({**NOVELAI, "Comment": json.dumps({"uc": "", "steps": 28, "cfg_rescale": 0.2})})
    assert novelai is not None and novelai.fields["CFG rescale"] == "0.2"


def test_fooocus_in_the_grammar_of_a1111() -> None:
    for chunks in (
        {"parameters": FOOOCUS_A1111, "fooocus_scheme": "a1111"},
        {"UserComment": FOOOCUS_A1111, "MakerNote": "a1111"},
    ):
        parsed = read_chunks(chunks)
        assert parsed is not None
        assert parsed.source == "Fooocus"
        assert parsed.prompt == "a goldfish, cinematic"
        assert parsed.fields["Schedule type"] == "Karras"
        assert "Scheduler" not in parsed.fields
        assert parsed.fields["Lora weights"] == "offset: 0.1"


def test_sdnext() -> None:
    parsed = read_chunks({"parameters": SDNEXT})
    assert parsed is not None and parsed.source == "SD.Next"
    request, unused, remarks = to_request(parsed)
    assert (request.prompt, request.width, request.height, request.clip_skip) == ("a fox", 768, 512, 2)
    assert request.cfg_rescale == 0.7
    assert set(unused) == {"Pipeline", "Parser", "Operations"}
    assert remarks == ()


def test_where_an_infotext_is_looked_for() -> None:
    exif, chunk = f"from exif\n{ROW}", f"from chunk\n{ROW}"
    found = [
        read_chunks({"parameters": chunk, "UserComment": exif}),
        read_chunks({"parameters": chunk, "UserComment": "Screenshot"}),
        read_chunks({"comment": exif}),
        read_chunks({"parameters": chunk, "prompt": '{"1": {"class_type": "KSampler", "inputs": {}}}'}),
        read_chunks({"parameters": "a prompt without parameters"}),
    ]
    assert [parsed and parsed.prompt for parsed in found] == [
        "from exif",
        "from chunk",
        "from exif",
        "from chunk",
        "a prompt without parameters",
    ]


def test_what_the_extras_tab_adds() -> None:
    extras = "Postprocess upscale by: 2, Postprocess upscaler: R-ESRGAN 4x+"
    parsed = read_chunks({"parameters": f"a\n{ROW}", "extras": extras})
    assert parsed is not None
    assert parsed.fields["Postprocess upscaler"] == "R-ESRGAN 4x+" and parsed.fields["Seed"] == "1"
    alone = read_chunks({"postprocessing": extras})
    assert alone is not None and alone.fields["Postprocess upscale by"] == "2"


@pytest.mark.parametrize(
    "chunks",
    [
        {},
        {"Software": "GIMP", "comment": "Created with GIMP"},
        {"UserComment": "Screenshot", "Make": "Canon", "Model": "EOS 5D"},
        {"parameters": '{"unknown": 1}'},
        {"parameters": ""},
        {
            "invokeai_metadata": "{broken",
            "sd-metadata": "[1]",
            "Dream": "no options",
            "prompt": "{",
            XMP: "<exif:UserComment>",
        },
        {"sd-metadata": '{"image": 3}', "Comment": "{}", "Software": "NovelAI", "fooocus_scheme": "a1111"},
        {"parameters": '{"sui_image_params": "no"}', "prompt": "a cat"},
    ],
)
def test_other_pictures_say_nothing(chunks: dict[str, str]) -> None:
    assert read_chunks(chunks) is None


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["1", "-2", "euler", "a, b"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.data())
def test_no_record_breaks_the_readers(data: st.DataObject) -> None:
    """Real records in which values have been replaced by anything."""

    def damaged(record: dict[str, Any]) -> dict[str, Any]:
        keys = data.draw(st.sets(st.sampled_from(sorted(record)), max_size=4))
        return {**record, **{key: data.draw(JSON) for key in sorted(keys)}}

    record = data.draw(
        st.sampled_from([INVOKEAI_3, INVOKEAI_2, SWARM["sui_image_params"], FOOOCUS, EASY, INVOKEAI_2["image"]])
    )
    text = json.dumps(damaged(record))
    for key in ("invokeai_metadata", "sd-metadata", "parameters", "UserComment", "Comment", "prompt"):
        read_chunks({key: text, "Software": "NovelAI"})
    read_chunks({"sd-metadata": f'{{"image": {text}}}'})
    read_chunks({"parameters": f'{{"sui_image_params": {text}}}'})
    read_chunks({XMP: f"<exif:UserComment>{text}</exif:UserComment>"})


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["parameters", "UserComment", "comment", "Comment", "Dream", "prompt", XMP]), st.text()
    )
)
def test_no_text_breaks_the_readers(chunks: dict[str, str]) -> None:
    for reader in READERS:
        reader(chunks)


def test_deep_and_long_records_are_refused_or_read() -> None:
    for text in ("[" * 100_000, '{"a":' * 100_000, '{"uc":' + "[" * 500 + "]" * 500 + "}", "1" * 10_000, " " * 100_000):
        for key in ("parameters", "Comment", "prompt", "invokeai_metadata", "Dream", XMP):
            read_chunks({key: text})
            read_chunks({key: f"<exif:UserComment>{text}"})
