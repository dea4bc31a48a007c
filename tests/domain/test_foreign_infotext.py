"""Pictures of other programs: each with what it really writes, shortened."""

from __future__ import annotations

import html
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webui.domain.foreign_infotext import READERS, XMP, read_chunks
from webui.domain.foreign_names import SAMPLERS, SCHEDULES, file_stem, lora_tag, sampler_and_schedule
from webui.domain.infotext import compose, parse, to_request

INVOKEAI_3 = {
    "generation_mode": "sdxl_txt2img",
    "positive_prompt": "oil painting",
    "negative_prompt": "photo",
    "width": 1024,
    "height": 768,
    "seed": 3293022630,
    "rand_device": "cpu",
    "cfg_scale": 7.5,
    "cfg_rescale_multiplier": 0.0,
    "steps": 35,
    "scheduler": "dpmpp_2m_k",
    "clip_skip": 1,
    "model": {"key": "ab", "hash": "blake3:0123", "name": "juggernautXL", "base": "sdxl", "type": "main"},
    "loras": [{"model": {"name": "detail.v2", "base": "sdxl"}, "weight": 0.75}],
    "vae": None,
    "app_version": "5.4.0",
}
INVOKEAI_2 = {
    "model": "stable diffusion",
    "model_weights": "deliberate",
    "model_hash": "56d1442a0feefd64836a19ac8e3527ec71c884fc962e246ddf67b03e42921272",
    "app_id": "invoke-ai/InvokeAI",
    "app_version": "2.3.0",
    "image": {
        "prompt": [{"prompt": "a photo of a woman [glowing eyes, skinny] at night", "weight": 1}],
        "steps": 50,
        "cfg_scale": 5.0,
        "height": 768,
        "width": 512,
        "seed": 2980747362,
        "seamless": False,
        "sampler": "k_lms",
        "type": "txt2img",
    },
}
SWARM = {
    "sui_image_params": {
        "prompt": "a lake",
        "negativeprompt": "fog",
        "model": "SDXL/dream.safetensors",
        "seed": 9,
        "steps": "20",
        "cfgscale": "6.5",
        "width": "1152",
        "height": 896,
        "sampler": "dpmpp_2m_sde_gpu",
        "scheduler": "karras",
        "loras": ["folder/glow"],
        "loraweights": ["0.6"],
        "clipstopatlayer": "-2",
        "swarm_version": "0.9.3.1",
    },
    "sui_extra_data": {"date": "2024-10-01"},
    "sui_models": [{"name": "dream.safetensors", "param": "model", "hash": "0xabc"}],
}
FOOOCUS = {
    "adm_guidance": "(1.5, 0.8, 0.3)",
    "base_model": "juggernautXL_v8Rundiffusion",
    "base_model_hash": "aeb7e9e689",
    "clip_skip": 2,
    "full_prompt": ["a smiling goldfish, cinematic"],
    "guidance_scale": 4,
    "loras": [["offset_lora.safetensors", 0.1, "4852686128"]],
    "metadata_scheme": "fooocus",
    "negative_prompt": "blurry",
    "performance": "Speed",
    "prompt": "a smiling goldfish",
    "resolution": "(768, 1280)",
    "sampler": "dpmpp_2m_sde_gpu",
    "scheduler": "karras",
    "seed": "6952411511246973023",
    "sharpness": 2,
    "steps": 30,
    "styles": "['Fooocus V2']",
    "version": "Fooocus v2.4.3",
}
FOOOCUS_A1111 = (
    "a goldfish, cinematic\nNegative prompt: blurry\nSteps: 30, Sampler: DPM++ 2M SDE Karras, Seed: 6, Size: 896x1152, "
    'CFG scale: 4, Sharpness: 2, ADM Guidance: "(1.5, 0.8, 0.3)", Model: juggernaut, Model hash: aeb7e9e689, '
    "Performance: Speed, Scheduler: karras, VAE: Default (model), Raw prompt: a goldfish, "
    'Lora hashes: "offset: 4852686128", Lora weights: "offset: 0.1", Version: Fooocus v2.4.3'
)
SDNEXT = (
    "a fox\nNegative prompt: dull\nSteps: 25, Size: 768x512, Sampler: Euler a, Seed: 4, CFG scale: 6, CFG rescale: 0.7, "
    "Clip skip: 2, Model: dream, Model hash: 0123456789, App: SD.Next, Version: 5c9ce9e, "
    "Pipeline: StableDiffusionPipeline, Parser: native, Operations: txt2img"
)
NOVELAI = {
    "Title": "AI generated image",
    "Description": "masterpiece, cat, space",
    "Software": "NovelAI",
    "Source": "Stable Diffusion 1D44365E",
    "Comment": '{"steps": 28, "sampler": "k_euler_ancestral", "seed": 2253955223, "strength": 0.4, "noise": 0.0, '
    '"scale": 10.0, "uc": "lowres, text"}',
}
EASY = {
    "prompt": "a tree",
    "seed": 77,
    "num_inference_steps": 25,
    "guidance_scale": 7.5,
    "width": 512,
    "height": 640,
    "sampler_name": "euler_a",
    "use_stable_diffusion_model": "C:\\models\\sd-v1-5.ckpt",
    "use_vae_model": "",
    "clip_skip": True,
    "negative_prompt": "leaves",
}
DRAW_THINGS = {
    "c": "a <big> hill",
    "uc": "snow",
    "sampler": "DPM++ 2M Karras",
    "scale": 4.5,
    "seed": 123,
    "size": "512x768",
    "steps": 16,
    "strength": 1,
    "model": "dream_f16.ckpt",
    "lora": [{"model": "hills.ckpt", "weight": 0.8}],
}
DRAW_THINGS_XMP = f"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description>
<xmp:CreatorTool>Draw Things</xmp:CreatorTool>
<exif:UserComment><rdf:Alt><rdf:li xml:lang="x-default">{html.escape(json.dumps(DRAW_THINGS))}</rdf:li></rdf:Alt>
</exif:UserComment></rdf:Description></rdf:RDF></x:xmpmeta>"""

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
    assert set(unused) == {"CFG rescale", "Pipeline", "Parser", "Operations"}
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


@given(st.data())
def test_no_record_breaks_the_readers(data: st.DataObject) -> None:
    """Real records in which values have been replaced by anything."""

    def damaged(record: dict[str, Any]) -> dict[str, Any]:
        keys = data.draw(st.sets(st.sampled_from(sorted(record)), max_size=4))
        return {**record, **{key: data.draw(JSON) for key in sorted(keys)}}

    record = data.draw(
        st.sampled_from([INVOKEAI_3, INVOKEAI_2, SWARM["sui_image_params"], FOOOCUS, EASY, INVOKEAI_2["image"]])
    )
    text = json.dumps(damaged(record))  # type: ignore[arg-type]
    for key in ("invokeai_metadata", "sd-metadata", "parameters", "UserComment", "Comment", "prompt"):
        read_chunks({key: text, "Software": "NovelAI"})
    read_chunks({"sd-metadata": f'{{"image": {text}}}'})
    read_chunks({"parameters": f'{{"sui_image_params": {text}}}'})
    read_chunks({XMP: f"<exif:UserComment>{text}</exif:UserComment>"})


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


def test_names() -> None:
    assert sampler_and_schedule("DPM++ 2M") == {"Sampler": "DPM++ 2M", "Schedule type": ""}
    assert sampler_and_schedule("k_dpmpp_2m", "exponential") == {"Sampler": "DPM++ 2M", "Schedule type": "Exponential"}
    assert sampler_and_schedule("something_new", "else")["Sampler"] == "something_new"
    assert file_stem("a/b\\c.v1.5.safetensors") == "c.v1.5"
    assert file_stem("model.v1.5") == "model.v1.5"
    assert file_stem(None) is None
    assert lora_tag("x/glow.safetensors", 1.0) == "<lora:glow:1>"
    assert lora_tag("glow", 0.5, 0.8) == "<lora:glow:0.5:0.8>"
    assert all(name == name.casefold() for name in (*SAMPLERS, *SCHEDULES))
