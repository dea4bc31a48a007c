"""Checkpoints of a few thousand parameters of every family, written as the published files are: original names, OpenCLIP's too.

The text encoders that OpenCLIP trained are converted from transformers' here by hand, so that what the library reads was not
written by itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from tiny import TINY_CONFIGS
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from webui.training.single_file import to_original

_UNET, _TEXT = TINY_CONFIGS["unet"], TINY_CONFIGS["text_encoder"]
_OPEN_CLIP = {**_TEXT, "hidden_act": "gelu", "hidden_size": 48, "num_hidden_layers": 3, "projection_dim": 40}
_SDXL_VAE = {**TINY_CONFIGS["vae"], "scaling_factor": 0.13025}
_TOLD_OF_SIZES = {
    "block_out_channels": [32, 64],
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
    "transformer_layers_per_block": [1, 2],
    "attention_head_dim": [2, 4],
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 8,
}

CONFIGS: Mapping[str, dict[str, dict[str, Any]]] = {
    "sd1": {**TINY_CONFIGS},
    "sd2": {
        **TINY_CONFIGS,
        "unet": {**_UNET, "cross_attention_dim": 48, "attention_head_dim": [2, 4], "use_linear_projection": True},
        "text_encoder": _OPEN_CLIP,
    },
    "sdxl": {
        **TINY_CONFIGS,
        "unet": {
            **_UNET,
            **_TOLD_OF_SIZES,
            "cross_attention_dim": 32 + 48,
            "projection_class_embeddings_input_dim": 40 + 6 * 8,
        },
        "vae": _SDXL_VAE,
        "text_encoder_2": _OPEN_CLIP,
    },
    "sdxl-refiner": {
        "unet": {
            **_UNET,
            **_TOLD_OF_SIZES,
            "cross_attention_dim": 48,
            "projection_class_embeddings_input_dim": 40 + 5 * 8,
        },
        "vae": _SDXL_VAE,
        "text_encoder_2": _OPEN_CLIP,
        "scheduler": TINY_CONFIGS["scheduler"],
    },
}
PREFIXES = {
    ("sd1", "text_encoder"): "cond_stage_model.transformer.text_model.",
    ("sd2", "text_encoder"): "cond_stage_model.model.",
    ("sdxl", "text_encoder"): "conditioner.embedders.0.transformer.text_model.",
    ("sdxl", "text_encoder_2"): "conditioner.embedders.1.model.",
    ("sdxl-refiner", "text_encoder_2"): "conditioner.embedders.0.model.",
}


def family_components(family: str, seed: int = 0, **unet: Any) -> dict[str, Any]:
    """The networks of a family by their component names, random from ``seed``, float32; ``unet`` changes its config."""
    configs = CONFIGS[family]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        parts = {
            "unet": UNet2DConditionModel.from_config({**configs["unet"], **unet}),
            "vae": AutoencoderKL.from_config(configs["vae"]),
        }
        if "text_encoder" in configs:
            parts["text_encoder"] = CLIPTextModel(CLIPTextConfig(**configs["text_encoder"]))
        if "text_encoder_2" in configs:
            parts["text_encoder_2"] = CLIPTextModelWithProjection(CLIPTextConfig(**configs["text_encoder_2"]))
    return {name: part.eval().requires_grad_(False) for name, part in parts.items()}


def original_tensors(family: str, parts: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors under the names of published files, contiguous and apart from one another."""
    tensors = to_original(parts["unet"].state_dict(), parts["vae"].state_dict(), {})
    for component in ("text_encoder", "text_encoder_2"):
        if component in parts:
            state = {key.removeprefix("text_model."): value for key, value in parts[component].state_dict().items()}
            prefix = PREFIXES[family, component]
            stored = open_clip_tensors(state) if prefix.endswith(".model.") else state
            tensors.update({prefix + name: tensor for name, tensor in stored.items()})
    return {name: tensor.clone().contiguous() for name, tensor in tensors.items()}


def open_clip_tensors(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """transformers' text encoder as OpenCLIP stores it, with one layer more, of which nothing may come into a picture."""
    tensors = {
        "token_embedding.weight": state["embeddings.token_embedding.weight"],
        "positional_embedding": state["embeddings.position_embedding.weight"],
        "ln_final.weight": state["final_layer_norm.weight"],
        "ln_final.bias": state["final_layer_norm.bias"],
        "logit_scale": torch.tensor(4.6),
    }
    if "text_projection.weight" in state:
        tensors["text_projection"] = state["text_projection.weight"].T
    layers = 1 + max(int(match[1]) for key in state if (match := re.match(r"encoder\.layers\.(\d+)", key)))
    for number in range(layers):
        ours, theirs = f"encoder.layers.{number}", f"transformer.resblocks.{number}"
        for part in ("weight", "bias"):
            qkv = [state[f"{ours}.self_attn.{letter}_proj.{part}"] for letter in "qkv"]
            tensors[f"{theirs}.attn.in_proj_{part}"] = torch.cat(qkv)
            for a, b in (
                ("self_attn.out_proj", "attn.out_proj"),
                ("layer_norm1", "ln_1"),
                ("layer_norm2", "ln_2"),
                ("mlp.fc1", "mlp.c_fc"),
                ("mlp.fc2", "mlp.c_proj"),
            ):
                tensors[f"{theirs}.{b}.{part}"] = state[f"{ours}.{a}.{part}"]
    if "text_projection.weight" not in state:  # SD 2, whose last layer is not loaded
        last, extra = f"transformer.resblocks.{layers - 1}.", f"transformer.resblocks.{layers}."
        tensors |= {
            extra + key.removeprefix(last): torch.full_like(value, 7.0)
            for key, value in tensors.items()
            if key.startswith(last)
        }
    return tensors


def write_family(
    path: Path,
    family: str,
    seed: int = 0,
    *,
    dtype: torch.dtype = torch.float32,
    marks: tuple[str, ...] = (),
    metadata: Mapping[str, str] | None = None,
    **unet: Any,
) -> Path:
    """A single-file checkpoint. ``marks`` are empty tensors that say something; ``unet`` changes the U-Net's config."""
    tensors = original_tensors(family, family_components(family, seed, **unet))
    tensors = {name: tensor.to(dtype) for name, tensor in tensors.items()}
    tensors |= {mark: torch.empty(0) for mark in marks}
    configs = {**CONFIGS[family], "unet": {**CONFIGS[family]["unet"], **unet}}
    del configs["scheduler"]  # so that the marks count
    save_file(tensors, path, {"lucid.configs": json.dumps(configs), **(metadata or {})})
    return path
