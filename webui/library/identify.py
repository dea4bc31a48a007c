"""What a model file is, told from the names and shapes of its tensors alone.

Published files do not say what they are, but their tensors' names do, because each architecture names its layers in its own
way. The tell-tale names are those that other programs go by too: ``conditioner.embedders.1.model.ln_final.weight`` for SDXL,
``cond_stage_model.model.`` (OpenCLIP) for Stable Diffusion 2, the number of input channels of the U-Net's first convolution for
inpainting (4 latent + 4 masked picture + 1 mask) and for instruct-pix2pix (4 + 4).

Everything is recognised that people have in their folders; what cannot be used yet gets a ``problem`` that says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from webui.library.embeddings import embedding_family, embedding_tensors, holds_several_words
from webui.library.formats import Header, TensorInfo
from webui.library.hypernetworks import hypernetwork_family, hypernetwork_problem, is_hypernetwork
from webui.library.original_layout import PREFIXES

SD1_UNET_WIDTH, SD1_CONTEXT_WIDTH, SD1_VAE_WIDTH, LATENT_CHANNELS = 320, 768, 128, 4

# how wide the states of the text encoder(s) are that the U-Net's cross-attention reads
FAMILY_BY_CONTEXT_WIDTH = {768: "sd1", 1024: "sd2", 1280: "sdxl-refiner", 2048: "sdxl"}
FAMILY_TITLES = {
    "sd1": "Stable Diffusion 1",
    "sd2": "Stable Diffusion 2",
    "sdxl": "SDXL",
    "sdxl-refiner": "SDXL refiner",
    "sd3": "Stable Diffusion 3",
    "flux": "Flux",
    "video": "video",
}
KIND_TITLES = {
    "checkpoint": "checkpoint",
    "vae": "VAE",
    "lora": "LoRA",
    "embedding": "embedding",
    "hypernetwork": "hypernetwork",
    "upscaler": "upscaler",
    "taesd": "TAESD",
    "controlnet": "ControlNet",
}
_PURPOSE_BY_CHANNELS = {9: "inpainting", 8: "instruct-pix2pix", 7: "upscaling", 5: "depth"}


@dataclass(frozen=True)
class Identity:
    """``kind`` is "" when nothing is recognised; the other fields are as in ``ModelFile``.

    ``zero_terminal_snr``: the last training step was pure noise, so the noise schedule must be rescaled to end there.
    """

    kind: str
    family: str = "unknown"
    layout: str = "original"
    prediction_type: str = ""
    zero_terminal_snr: bool = False
    problem: str = ""


def identify(header: Header, label: str, has_configs: bool = False) -> Identity:
    """The identity of a single file. ``label`` is what problems call it, its file name.

    ``has_configs``: the file brings its component configs, so that sizes other than Stable Diffusion 1's are no problem.
    """
    tensors = header.tensors
    if _any(tensors, "control_model.", "controlnet_cond_embedding.", "controlnet_down_blocks.", "adapter.body."):
        return _not_yet("controlnet", _family_by_context(tensors), label)
    if _is_lora(tensors):
        return Identity("lora", _lora_family(header))
    for recognise in (_checkpoint, _vae):
        identity = recognise(header, label, has_configs)
        if identity is not None:
            return identity
    if (taesd := _taesd(tensors, label)) is not None:
        return taesd
    if is_hypernetwork(tensors):
        return Identity("hypernetwork", hypernetwork_family(tensors), problem=hypernetwork_problem(header, label))
    if holds_several_words(tensors):
        problem = f"{label} cannot be used: it holds several words, and its name can stand for one only."
        return Identity("embedding", problem=problem)
    if embedding_tensors(tensors):
        return Identity("embedding", embedding_family(tensors))
    if _is_upscaler(tensors):
        return Identity("upscaler")
    return Identity("", problem=f"{label} is not a kind of model that Lucid knows.")


def identify_folder(
    index: Mapping[str, Any], configs: Mapping[str, Mapping[str, Any]], unet: Header, label: str
) -> Identity:
    """The identity of a checkpoint in diffusers layout. ``index`` is the content of its model_index.json."""
    family = FAMILY_BY_CONTEXT_WIDTH.get(_context_width(unet.tensors), "sd1")
    if _is_used(index, "text_encoder_2"):
        family = "sdxl" if _is_used(index, "text_encoder") else "sdxl-refiner"
    elif configs["text_encoder"].get("hidden_act") == "gelu":  # OpenCLIP's; OpenAI's CLIP has quick_gelu
        family = "sd2"
    prediction = str(configs["scheduler"].get("prediction_type", "epsilon"))
    snr = configs["scheduler"].get("rescale_betas_zero_snr") is True
    first = unet.tensors.get("conv_in.weight")
    return Identity("checkpoint", family, "diffusers", prediction, snr, _not_text_to_image(family, first, label))


def family_by_name(name: str) -> str:
    """SD 1's and SDXL's autoencoders have the same layers, so only the file's name can tell one from the other."""
    return "sdxl" if re.search(r"sdxl|(?<![a-z])xl|vae_?xl", name.lower()) else "sd1"


def _checkpoint(header: Header, label: str, has_configs: bool) -> Identity | None:
    tensors = header.tensors
    if _any(tensors, *(f"{prefix}double_blocks." for prefix in PREFIXES["unet"])):
        return _unsupported_checkpoint("flux", label)
    if _any(tensors, *(f"{prefix}joint_blocks." for prefix in PREFIXES["unet"])):
        return _unsupported_checkpoint("sd3", label)
    for prefix in PREFIXES["unet"]:
        if f"{prefix}input_blocks.0.0.weight" in tensors:
            layout, first = "original", tensors[f"{prefix}input_blocks.0.0.weight"]
            break
        if f"{prefix}conv_in.weight" in tensors and f"{prefix}down_blocks.0.resnets.0.norm1.weight" in tensors:
            layout, first = "diffusers", tensors[f"{prefix}conv_in.weight"]
            break
    else:
        if _any(tensors, *PREFIXES["unet"][:-1]):
            return Identity("checkpoint", problem=f"{label} is a diffusion model of a kind that Lucid does not know.")
        return None

    family = _checkpoint_family(tensors)
    problem = _not_text_to_image(family, first, label) or _missing_component(tensors, label)
    if not problem and not has_configs and not _has_sd1_sizes(tensors, first):
        problem = f"{label} is not of Stable Diffusion 1's sizes and does not say which it has (no lucid.configs in its metadata)."
    prediction = _prediction_type(header) if family == "sd1" else ""
    return Identity("checkpoint", family, layout, prediction, "ztsnr" in tensors, problem)


def _checkpoint_family(tensors: Mapping[str, TensorInfo]) -> str:
    if any(".time_stack." in key for key in tensors):
        return "video"
    if "conditioner.embedders.1.model.ln_final.weight" in tensors:
        return "sdxl"
    if "conditioner.embedders.0.model.ln_final.weight" in tensors:
        return "sdxl-refiner"
    if _any(tensors, "cond_stage_model.model.", "depth_model."):
        return "sd2"
    if _any(tensors, "cond_stage_model.transformer."):
        return "sd1"
    return _family_by_context(tensors)


def _not_text_to_image(family: str, first: TensorInfo | None, label: str) -> str:
    """Why a checkpoint of this family, with this first convolution of the U-Net, cannot be used yet; "" if it can."""
    if family != "sd1":
        return _unsupported_checkpoint(family, label).problem
    channels = first.shape[1] if first is not None and len(first.shape) == 4 else 0
    if channels != LATENT_CHANNELS:
        purpose = _PURPOSE_BY_CHANNELS.get(channels, "other")
        return (
            f"{label} is a checkpoint for {purpose} ({channels} input channels); only text-to-image checkpoints "
            f"({LATENT_CHANNELS} channels) are supported yet."
        )
    return ""


def _missing_component(tensors: Mapping[str, TensorInfo], label: str) -> str:
    has_text = any(f"{prefix}embeddings.token_embedding.weight" in tensors for prefix in PREFIXES["text_encoder"])
    has_vae = _vae_prefix(tensors) is not None
    if has_text and has_vae:
        return ""
    missing = " and no ".join(["text encoder"] * (not has_text) + ["VAE"] * (not has_vae))
    return f"{label} holds no {missing}; checkpoints that do not bring their own are not supported yet."


def _has_sd1_sizes(tensors: Mapping[str, TensorInfo], first: TensorInfo) -> bool:
    vae = tensors[f"{_vae_prefix(tensors)}encoder.conv_in.weight"]
    return (
        first.shape[0] == SD1_UNET_WIDTH
        and _context_width(tensors) == SD1_CONTEXT_WIDTH
        and vae.shape[:1] == (SD1_VAE_WIDTH,)
    )


def _prediction_type(header: Header) -> str:
    """By the Stability AI model metadata standard, else by the empty marker tensor that trainers put in; else epsilon."""
    stated = header.metadata.get("modelspec.prediction_type", "")
    if stated:
        return "v_prediction" if stated in ("v", "v_prediction") else "epsilon"
    return "v_prediction" if "v_pred" in header.tensors else "epsilon"


def _vae_prefix(tensors: Mapping[str, TensorInfo]) -> str | None:
    for prefix in PREFIXES["vae"]:
        if f"{prefix}decoder.conv_in.weight" in tensors and f"{prefix}encoder.conv_in.weight" in tensors:
            return prefix
    return None


def _vae(header: Header, label: str, has_configs: bool) -> Identity | None:
    tensors = header.tensors
    prefix = _vae_prefix(tensors)
    if prefix is None:
        return None
    is_original = f"{prefix}decoder.mid.block_1.norm1.weight" in tensors
    layout = "original" if is_original else "diffusers"
    family = family_by_name(label)
    channels = tensors[f"{prefix}decoder.conv_in.weight"].shape[1:2]
    problem = ""
    if channels != (LATENT_CHANNELS,) or f"{prefix}quant_conv.weight" not in tensors:
        family, problem = "unknown", f"{label} is a VAE of another architecture than Stable Diffusion 1's."
    elif family != "sd1":
        problem = f"{label} is by its name an SDXL VAE, and SDXL is not supported yet."
    elif not has_configs and tensors[f"{prefix}encoder.conv_in.weight"].shape[:1] != (SD1_VAE_WIDTH,):
        problem = f"{label} is not of Stable Diffusion 1's sizes and does not say which it has."
    return Identity("vae", family, layout, problem=problem)


def _taesd(tensors: Mapping[str, TensorInfo], label: str) -> Identity | None:
    """TAESD's decoder as published (a numbered list that begins with a clamp), or diffusers' AutoencoderTiny."""
    for key, layout in (("decoder.layers.0.weight", "diffusers"), ("1.weight", "original")):
        first = tensors.get(key)
        if first is not None and len(first.shape) == 4 and first.shape[0] == 64:
            family, problem = family_by_name(label), ""
            if first.shape[1] != LATENT_CHANNELS:
                family, problem = "unknown", f"{label} is a TAESD for another latent space than Stable Diffusion 1's."
            elif family != "sd1":
                problem = f"{label} is by its name made for SDXL, which is not supported yet."
            return Identity("taesd", family, layout, problem=problem)
    first = tensors.get("0.weight")
    if first is not None and first.shape == (64, 3, 3, 3):
        return Identity("taesd", problem=f"{label} is TAESD's encoder; previews need taesd_decoder.safetensors.")
    return None


def _is_lora(tensors: Iterable[str]) -> bool:
    """LoRA, and what LyCORIS has beside it: each names its factors in its own way (``webui/engine/adapters``)."""
    marks = (
        ".lora_down.",
        ".lora_A.",
        ".lora.down.",
        "_lora.down.",
        ".lora_linear_layer.down.",
        ".hada_w1_",
        ".lokr_w",
        ".oft_blocks",
        ".oft_diag",
    )
    endings = (".on_input", ".diff", ".w_norm", ".a1.weight")  # IA3, full differences, norms, GLoRA
    return any(key.endswith(endings) or any(mark in key for mark in marks) for key in tensors)


def _lora_family(header: Header) -> str:
    stated = f"{header.metadata.get('ss_base_model_version', '')} {header.metadata.get('modelspec.architecture', '')}"
    for word, family in (("xl", "sdxl"), ("v1", "sd1"), ("v2", "sd2"), ("flux", "flux"), ("sd3", "sd3")):
        if word in stated.lower():
            return family
    tensors = header.tensors
    if any("double_blocks" in key or "single_transformer_blocks" in key for key in tensors):
        return "flux"
    if any(re.search(r"^lora_te2_|^text_encoder_2\.|transformer_blocks[._][1-9]", key) for key in tensors):
        return "sdxl"  # the only one with two text encoders, and with attention several layers deep
    # what goes into cross-attention's keys, and into the text encoder's layers, is as wide as the text states
    parts = r"(?:lora_down\.weight|lora_A\.weight|lora\.down\.weight|lora_linear_layer\.down\.weight|hada_w1_b|diff)"
    for layer in (r"attn2[._]to_k", r"lora_te_.*mlp_fc1|text_encoder\..*mlp\.fc1"):
        reads_text = re.compile(rf".*(?:{layer})[._]{parts}")
        for key, info in tensors.items():
            if len(info.shape) >= 2 and reads_text.fullmatch(key):
                return FAMILY_BY_CONTEXT_WIDTH.get(info.shape[1], "unknown")
    return "unknown"


def _is_upscaler(tensors: Iterable[str]) -> bool:
    first_layers = (
        "model.1.sub.0.RDB1.conv1.0.weight",  # ESRGAN as first published
        "RRDB_trunk.0.RDB1.conv1.weight",
        "body.0.rdb1.conv1.weight",  # Real-ESRGAN
        "layers.0.residual_group.blocks.0.norm1.weight",  # SwinIR, HAT
    )
    bare = {key.removeprefix("params_ema.").removeprefix("params.") for key in tensors}
    is_compact = {"body.0.weight", "body.1.weight", "body.2.weight"} <= bare  # Real-ESRGAN's small video models
    return is_compact or any(name in bare for name in first_layers)


def _family_by_context(tensors: Mapping[str, TensorInfo]) -> str:
    return FAMILY_BY_CONTEXT_WIDTH.get(_context_width(tensors), "unknown")


def _context_width(tensors: Mapping[str, TensorInfo]) -> int:
    """The width of the text states that cross-attention reads: ``attn2.to_k`` is (inner width, context width)."""
    for key, info in tensors.items():
        if key.endswith(".attn2.to_k.weight") and not key.startswith("model_ema.") and len(info.shape) == 2:
            return info.shape[1]
    return 0


def _unsupported_checkpoint(family: str, label: str) -> Identity:
    title = FAMILY_TITLES.get(family)
    problem = (
        f"{label} is a checkpoint of a family that Lucid does not know."
        if title is None
        else f"{label} cannot be used: {title} checkpoints are not supported yet."
    )
    return Identity("checkpoint", family, problem=problem)


def _not_yet(kind: str, family: str, label: str) -> Identity:
    title = KIND_TITLES[kind]
    return Identity(kind, family, problem=f"{label} cannot be used: {title} files are not supported yet.")


def _is_used(index: Mapping[str, Any], component: str) -> bool:
    """model_index.json gives [library, class] of each component, [null, null] for one that is left out."""
    entry = index.get(component)
    return isinstance(entry, list) and any(entry)


def _any(keys: Iterable[str], *prefixes: str) -> bool:
    return any(key.startswith(prefixes) for key in keys)
