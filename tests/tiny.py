"""A Stable Diffusion of a few thousand parameters: the real architecture, random weights from a fixed seed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel

from webui.library.original_layout import original_names
from webui.training.single_file import export_single_file

TINY_CONFIGS: dict[str, dict[str, Any]] = {
    "unet": {
        "sample_size": 8,
        "in_channels": 4,
        "out_channels": 4,
        "block_out_channels": [32, 64],
        "layers_per_block": 1,
        "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
        "cross_attention_dim": 32,
        "attention_head_dim": 2,
        "norm_num_groups": 8,
    },
    "vae": {
        "in_channels": 3,
        "out_channels": 3,
        "latent_channels": 4,
        "block_out_channels": [8, 8, 16, 16],
        "down_block_types": ["DownEncoderBlock2D"] * 4,
        "up_block_types": ["UpDecoderBlock2D"] * 4,
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "sample_size": 64,
        "scaling_factor": 0.18215,
    },
    "text_encoder": {
        "vocab_size": 49408,
        "hidden_size": 32,
        "intermediate_size": 37,
        "num_hidden_layers": 5,
        "num_attention_heads": 4,
        "max_position_embeddings": 77,
        "hidden_act": "quick_gelu",
        "bos_token_id": 49406,
        "eos_token_id": 49407,
        "pad_token_id": 49407,
    },
    "scheduler": {
        "num_train_timesteps": 1000,
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "prediction_type": "epsilon",
    },
}


def tiny_components(seed: int = 0) -> dict[str, Any]:
    """A U-Net of two levels, a VAE and a text encoder with random weights from ``seed``, float32."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return {
            "unet": UNet2DConditionModel.from_config(TINY_CONFIGS["unet"]).eval(),
            "vae": AutoencoderKL.from_config(TINY_CONFIGS["vae"]).eval(),
            "text_encoder": CLIPTextModel(CLIPTextConfig(**TINY_CONFIGS["text_encoder"])).eval(),
        }


def write_tiny_checkpoint(path: Path, seed: int = 0, **scheduler: Any) -> Path:
    """A single-file checkpoint in the original key layout of :func:`tiny_components`, float32."""
    states = {name: component.state_dict() for name, component in tiny_components(seed).items()}
    configs = {**TINY_CONFIGS, "scheduler": {**TINY_CONFIGS["scheduler"], **scheduler}}
    export_single_file(path, **states, configs=configs, dtype=torch.float32)
    return path


def write_tiny_vae(path: Path, seed: int = 0) -> Path:
    """The VAE of :func:`tiny_components` alone, as VAE files are published: bare original names. With its config."""
    state = tiny_components(seed)["vae"].state_dict()
    names = original_names("vae", state)
    tensors = {names[key]: tensor.contiguous() for key, tensor in state.items()}
    save_file(tensors, path, {"lucid.configs": json.dumps({"vae": TINY_CONFIGS["vae"]})})
    return path
