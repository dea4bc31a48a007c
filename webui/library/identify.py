"""What a model file is, told from the names and shapes of its tensors alone.

Published files do not say what they are, but their tensors' names do, because each architecture names its layers in its own
way. The tell-tale names are those that other programs go by too: ``conditioner.embedders.1.model.ln_final.weight`` for SDXL,
``cond_stage_model.model.`` (OpenCLIP) for Stable Diffusion 2 (``identify_checkpoint.py``).

Everything is recognised that people have in their folders; what cannot be used yet gets a ``problem`` that says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from webui.library.embeddings import embedding_family, embedding_tensors, holds_several_words
from webui.library.formats import Header, TensorInfo
from webui.library.hypernetworks import hypernetwork_family, hypernetwork_problem, is_hypernetwork
from webui.library.identify_checkpoint import VAE_WIDTH, identify_checkpoint, unusable, vae_prefix
from webui.library.identity import (
    FAMILY_BY_CONTEXT_WIDTH,
    FAMILY_TITLES,
    KIND_TITLES,
    LATENT_CHANNELS,
    Identity,
    any_starts,
    context_width,
    family_by_context,
)

__all__ = ["FAMILY_TITLES", "KIND_TITLES", "Identity", "family_by_name", "identify", "identify_folder"]


def identify(header: Header, label: str, has_configs: bool = False) -> Identity:
    """The identity of a single file. ``label`` is what problems call it, its file name.

    ``has_configs``: the file brings its component configs, so that sizes other than Stable Diffusion 1's are no problem.
    """
    tensors = header.tensors
    if any_starts(tensors, "control_model.", "controlnet_cond_embedding.", "controlnet_down_blocks.", "adapter.body."):
        return _not_yet("controlnet", family_by_context(tensors), label)
    if _is_lora(tensors):
        return Identity("lora", _lora_family(header))
    for recognise in (identify_checkpoint, _vae):
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
    family = FAMILY_BY_CONTEXT_WIDTH.get(context_width(unet.tensors), "sd1")
    if _is_used(index, "text_encoder_2"):
        family = "sdxl" if _is_used(index, "text_encoder") else "sdxl-refiner"
    elif configs.get("text_encoder", {}).get("hidden_act") == "gelu":  # OpenCLIP's; OpenAI's CLIP has quick_gelu
        family = "sd2"
    prediction = str(configs["scheduler"].get("prediction_type", "epsilon"))
    snr = configs["scheduler"].get("rescale_betas_zero_snr") is True
    first = unet.tensors.get("conv_in.weight")
    return Identity("checkpoint", family, "diffusers", prediction, snr, unusable(family, first, label))


def family_by_name(name: str) -> str:
    """SD 1's and SDXL's autoencoders have the same layers, so only the file's name can tell one from the other."""
    return "sdxl" if re.search(r"sdxl|(?<![a-z])xl|vae_?xl", name.lower()) else "sd1"


def _vae(header: Header, label: str, has_configs: bool) -> Identity | None:
    tensors = header.tensors
    prefix = vae_prefix(tensors)
    if prefix is None:
        return None
    is_original = f"{prefix}decoder.mid.block_1.norm1.weight" in tensors
    layout = "original" if is_original else "diffusers"
    family = family_by_name(label)
    channels = tensors[f"{prefix}decoder.conv_in.weight"].shape[1:2]
    problem = ""
    if channels != (LATENT_CHANNELS,) or f"{prefix}quant_conv.weight" not in tensors:
        family, problem = "unknown", f"{label} is a VAE of another architecture than Stable Diffusion's."
    elif not has_configs and tensors[f"{prefix}encoder.conv_in.weight"].shape[:1] != (VAE_WIDTH,):
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


def _not_yet(kind: str, family: str, label: str) -> Identity:
    title = KIND_TITLES[kind]
    return Identity(kind, family, problem=f"{label} cannot be used: {title} files are not supported yet.")


def _is_used(index: Mapping[str, Any], component: str) -> bool:
    """model_index.json gives [library, class] of each component, [null, null] for one that is left out."""
    entry = index.get(component)
    return isinstance(entry, list) and any(entry)
