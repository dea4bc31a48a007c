"""The finished networks in one file, as users of Stable Diffusion have them, with all that is needed to use it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextModel

from webui.library.configs import CONFIGS_KEY, public_config
from webui.library.original_layout import original_names
from webui.training.single_file import export_single_file

DEFAULTS: Mapping[str, Any] = {"cfg_scale": 2.5, "width": 128, "height": 128}


def write_checkpoint(path: Path, vae_folder: Path, diffusion_folder: Path, *, title: str, description: str) -> None:
    """The autoencoder, and the noise predictor with its text model, in float16 and in the original layout."""
    vae = AutoencoderKL.from_pretrained(vae_folder)
    unet = UNet2DConditionModel.from_pretrained(diffusion_folder / "unet")
    text = CLIPTextModel.from_pretrained(diffusion_folder / "text_encoder")
    scheduler = DDPMScheduler.from_pretrained(diffusion_folder / "scheduler")
    configs = {
        "unet": dict(unet.config),
        "vae": dict(vae.config),
        "text_encoder": text.config.to_dict(),
        "scheduler": dict(scheduler.config),
    }
    export_single_file(
        path,
        unet=unet.state_dict(),
        vae=vae.state_dict(),
        text_encoder=text.state_dict(),
        configs=configs,
        defaults=DEFAULTS,
        modelspec={
            "title": title,
            "author": "The Lucid authors",
            "license": "Apache-2.0",
            "description": description,
            "tags": "starter, icons",
        },
    )


def write_vae(path: Path, vae_folder: Path) -> None:
    """The autoencoder alone, as VAE files are published: bare original names, float16, with its config."""
    vae = AutoencoderKL.from_pretrained(vae_folder)
    state = vae.state_dict()
    names = original_names("vae", state)
    tensors = {names[key]: tensor.half().contiguous() for key, tensor in state.items()}
    save_file(tensors, path, {"format": "pt", CONFIGS_KEY: json.dumps({"vae": public_config(dict(vae.config))})})
