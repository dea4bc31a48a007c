"""ComfyUI graphs, in the shapes that people build."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webui.domain.comfyui_graph import read_graph
from webui.domain.foreign_infotext import read_chunks
from webui.domain.infotext import ParsedInfotext, to_request

Nodes = dict[str, dict[str, Any]]


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs, "_meta": {"title": class_type}}


DEFAULT: Nodes = {  # what a fresh ComfyUI shows, with a LoRA, a VAE and CLIP skip
    "3": node(
        "KSampler",
        seed=156680208700286,
        steps=20,
        cfg=8.0,
        sampler_name="dpmpp_2m",
        scheduler="karras",
        denoise=1,
        model=["10", 0],
        positive=["6", 0],
        negative=["7", 0],
        latent_image=["5", 0],
    ),
    "4": node("CheckpointLoaderSimple", ckpt_name="sd15\\v1-5-pruned.safetensors"),
    "5": node("EmptyLatentImage", width=512, height=768, batch_size=1),
    "6": node("CLIPTextEncode", text="a glass bottle", clip=["12", 0]),
    "7": node("CLIPTextEncode", text="text, watermark", clip=["12", 0]),
    "8": node("VAEDecode", samples=["3", 0], vae=["11", 0]),
    "9": node("SaveImage", filename_prefix="ComfyUI", images=["8", 0]),
    "10": node(
        "LoraLoader",
        lora_name="glass.safetensors",
        strength_model=0.8,
        strength_clip=1.0,
        model=["4", 0],
        clip=["4", 1],
    ),
    "11": node("VAELoader", vae_name="vae-ft-mse.safetensors"),
    "12": node("CLIPSetLastLayer", stop_at_clip_layer=-2, clip=["10", 1]),
}


def summary(nodes: Nodes) -> ParsedInfotext:
    parsed = read_chunks({"prompt": json.dumps(nodes), "workflow": "{}"})
    assert parsed is not None and parsed.source == "ComfyUI"
    return parsed


def test_the_default_graph() -> None:
    parsed = summary(DEFAULT)
    assert parsed.prompt == "a glass bottle <lora:glass:1:0.8>"
    assert parsed.negative_prompt == "text, watermark"
    assert dict(parsed.fields) == {
        "Steps": "20",
        "Sampler": "DPM++ 2M",
        "Schedule type": "Karras",
        "CFG scale": "8",
        "Seed": "156680208700286",
        "Size": "512x768",
        "Model": "v1-5-pruned",
        "VAE": "vae-ft-mse",
        "Clip skip": "2",
        "RNG": "CPU",
        "SGM noise multiplier": "True",
    }


def test_webp_keeps_it_in_exif() -> None:
    text = json.dumps(DEFAULT)
    assert read_chunks({"Model": f"prompt:{text}", "Make": "workflow:{}"}) == summary(DEFAULT)


def test_the_first_of_two_passes() -> None:
    second = node("KSampler", **{**DEFAULT["3"]["inputs"], "steps": 10, "denoise": 0.5, "latent_image": ["20", 0]})
    nodes = {"1": second, "20": node("LatentUpscale", samples=["3", 0], width=1024, height=1536), **DEFAULT}
    assert summary(nodes) == summary(DEFAULT)


def test_image_to_image() -> None:
    inputs = {**DEFAULT["3"]["inputs"], "denoise": 0.6, "latent_image": ["30", 0]}
    parsed = summary(
        {**DEFAULT, "3": node("KSampler", **inputs), "30": node("VAEEncode", pixels=["31", 0], vae=["4", 2])}
    )
    assert parsed.fields["Denoising strength"] == "0.6"
    assert "Size" not in parsed.fields


def test_values_from_other_nodes() -> None:
    nodes = {
        **DEFAULT,
        "3": node("KSampler", **{**DEFAULT["3"]["inputs"], "seed": ["40", 0]}),
        "6": node("CLIPTextEncode", text=["41", 0], clip=["4", 1]),
        "40": node("Seed Everywhere", seed=12),
        "41": node("Reroute", value=["42", 0]),
        "42": node("String Literal", string="from afar"),
    }
    parsed = summary(nodes)
    assert parsed.fields["Seed"] == "12"
    assert parsed.prompt.startswith("from afar")


def test_combined_prompts_and_controlnet() -> None:
    nodes = {
        **DEFAULT,
        "3": node("KSampler", **{**DEFAULT["3"]["inputs"], "positive": ["50", 0], "negative": ["50", 1]}),
        "50": node(
            "ControlNetApplyAdvanced", positive=["51", 0], negative=["7", 0], control_net=["52", 0], image=["53", 0]
        ),
        "51": node("ConditioningCombine", conditioning_1=["6", 0], conditioning_2=["54", 0]),
        "54": node("CLIPTextEncode", text="a sunset", clip=["4", 1]),
    }
    parsed = summary(nodes)
    assert parsed.prompt.startswith("a glass bottle, a sunset ")
    assert parsed.negative_prompt == "text, watermark"


def test_a_sampler_in_parts() -> None:
    nodes = {
        "1": node(
            "SamplerCustomAdvanced",
            noise=["2", 0],
            guider=["3", 0],
            sampler=["4", 0],
            sigmas=["5", 0],
            latent_image=["6", 0],
        ),
        "2": node("RandomNoise", noise_seed=5),
        "3": node("CFGGuider", cfg=3.5, model=["7", 0], positive=["8", 0], negative=["9", 0]),
        "4": node("KSamplerSelect", sampler_name="euler"),
        "5": node("BasicScheduler", scheduler="sgm_uniform", steps=12, denoise=1.0, model=["7", 0]),
        "6": node("EmptyLatentImage", width=640, height=640),
        "7": node("UNETLoader", unet_name="flow.sft"),
        "8": node("CLIPTextEncodeSDXL", text_g="a boat", text_l="a boat", clip=["10", 0]),
        "9": node("CLIPTextEncode", text="", clip=["10", 0]),
    }
    parsed = summary(nodes)
    assert (parsed.prompt, parsed.negative_prompt) == ("a boat", "")
    expected = {
        "Steps": "12",
        "Sampler": "Euler",
        "Schedule type": "SGM Uniform",
        "CFG scale": "3.5",
        "Seed": "5",
        "Size": "640x640",
    }
    assert dict(parsed.fields) == {**expected, "Model": "flow", "RNG": "CPU", "SGM noise multiplier": "True"}


def parts(sampler: dict[str, Any], sigmas: dict[str, Any], model: dict[str, Any]) -> Nodes:
    inputs = {"noise_seed": 5, "cfg": 7, "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["5", 0]}
    links = {"model": ["70", 0], "sampler": ["71", 0], "sigmas": ["72", 0]}
    return {**DEFAULT, "3": node("SamplerCustom", **inputs, **links), "70": model, "71": sampler, "72": sigmas}


PLAIN_SAMPLER = node("KSamplerSelect", sampler_name="euler_ancestral")
PLAIN_SIGMAS = node("KarrasScheduler", steps=12, sigma_max=14.614642, sigma_min=0.0291675, rho=7.0)
PLAIN_MODEL = node("Reroute", model=["10", 0])


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ((PLAIN_SAMPLER, PLAIN_SIGMAS, PLAIN_MODEL), {"schedule": "Karras", "rho": 7.0, "sgm_noise_multiplier": True}),
        (
            (node("SamplerEulerAncestral", eta=0.5, s_noise=1.01), PLAIN_SIGMAS, PLAIN_MODEL),
            {"sampler": "Euler a", "eta": 0.5, "s_noise": 1.01},
        ),
        (
            (node("SamplerDPMPP_2M_SDE", solver_type="heun", eta=1.0, s_noise=1.0), PLAIN_SIGMAS, PLAIN_MODEL),
            {"sampler": "DPM++ 2M SDE Heun", "eta": -1.0, "s_noise": 1.0},
        ),
        (
            (
                PLAIN_SAMPLER,
                node("PolyexponentialScheduler", steps=12, sigma_max=10.0, sigma_min=0.1, rho=2.0),
                PLAIN_MODEL,
            ),
            {
                "schedule": "Polyexponential",
                "sigma_max": 10.0,
                "sigma_min": 0.1,
                "rho": 2.0,
                "sgm_noise_multiplier": False,
            },
        ),
        (
            (PLAIN_SAMPLER, node("BetaSamplingScheduler", steps=12, alpha=0.5, beta=0.7), PLAIN_MODEL),
            {"schedule": "Beta (ComfyUI)", "beta_alpha": 0.5, "beta_beta": 0.7, "steps": 12},
        ),
        (
            (PLAIN_SAMPLER, node("AlignYourStepsScheduler", model_type="SD1", steps=10, denoise=1.0), PLAIN_MODEL),
            {"schedule": "Align Your Steps", "discard_penultimate": True},
        ),
        (
            (PLAIN_SAMPLER, node("ManualSigmas", sigmas="14.6, 3, 1, 0"), PLAIN_MODEL),
            {"schedule": "Custom", "custom_sigmas": "14.6, 3, 1, 0"},
        ),
        (
            (PLAIN_SAMPLER, PLAIN_SIGMAS, node("RescaleCFG", multiplier=0.7, model=["10", 0])),
            {"cfg_rescale": 0.7, "checkpoint": "v1-5-pruned"},
        ),
        (
            (
                PLAIN_SAMPLER,
                PLAIN_SIGMAS,
                node("ModelSamplingDiscrete", sampling="v_prediction", zsnr=True, model=["10", 0]),
            ),
            {"zero_terminal_snr": True, "prediction_type": "v_prediction"},
        ),
    ],
)
def test_nodes_that_replace_a_part_of_the_sampler(nodes: tuple[Any, ...], expected: dict[str, Any]) -> None:
    request, _, remarks = to_request(summary(parts(*nodes)))
    assert {name: getattr(request, name) for name in expected} == expected
    assert remarks == ()


def test_a_loader_with_prompts_and_a_node_with_several_loras() -> None:
    nodes = {
        "1": node(
            "KSampler (Efficient)",
            seed=1,
            steps=9,
            cfg=7,
            sampler_name="euler",
            scheduler="normal",
            denoise=1.0,
            model=["3", 0],
            positive=["2", 1],
            negative=["2", 2],
            latent_image=["2", 3],
        ),
        "2": node("Efficient Loader", ckpt_name="a.ckpt", positive="a house", negative="rain", empty_latent_width=512),
        "3": node(
            "Power Lora Loader",
            lora_1={"on": True, "lora": "one.safetensors", "strength": 0.5},
            lora_2={"on": False, "lora": "two.safetensors", "strength": 1},
            model=["2", 0],
        ),
    }
    parsed = summary(nodes)
    assert parsed.prompt.startswith("a house")
    assert "<lora:one:0.5>" in parsed.prompt and "two" not in parsed.prompt
    assert parsed.fields["Model"] == "a"


@pytest.mark.parametrize(
    "nodes",
    [
        {"1": node("KSampler", steps=1, latent_image=["1", 0], model=["1", 0], positive=["1", 0], seed=["1", 0])},
        {"1": node("A", steps=["2", 0], latent_image=["2", 0]), "2": node("B", steps=["1", 0], latent_image=["1", 0])},
        {"1": {"class_type": "KSampler"}, "2": {"class_type": 3, "inputs": [1]}},
    ],
    ids=["itself", "two in a circle", "no inputs"],
)
def test_circles_and_holes(nodes: Nodes) -> None:
    parsed = read_chunks({"prompt": json.dumps(nodes)})
    assert parsed is None or parsed.source == "ComfyUI"


def test_what_is_no_graph() -> None:
    for text in (None, "a cat", "{}", "[]", '{"1": 2}', '{"1": {}}', "{broken"):
        assert read_graph(text) is None


@settings(deadline=None)
@given(st.data())
def test_no_wiring_breaks_the_reader(data: st.DataObject) -> None:
    names = sorted(DEFAULT)
    value = (
        st.tuples(st.sampled_from(names), st.integers(-1, 3)).map(list)
        | st.integers()
        | st.text(max_size=3)
        | st.none()
        | st.lists(st.integers(), max_size=2)
        | st.just({"on": True, "lora": 3})
    )
    nodes = {
        name: {**DEFAULT[name], "inputs": {key: data.draw(value) for key in DEFAULT[name]["inputs"]}} for name in names
    }
    parsed = read_chunks({"prompt": json.dumps(nodes)})
    assert parsed is not None and parsed.source == "ComfyUI"
