"""A checkpoint with random weights in the real layout and sizes of Stable Diffusion 1.5: 2.1 GB in float16."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from webui.training.single_file import export_single_file

CONFIGS_FOLDER = Path(__file__).resolve().parent.parent / "webui" / "data" / "sd1"


def write_sd15(path: Path) -> Path:
    """Write it, unless it is there. Weights are small enough that pictures stay finite; they show nothing."""
    if path.exists():
        return path
    configs = {name: json.loads((CONFIGS_FOLDER / f"{name}.json").read_text()) for name in _BUILDERS | {"scheduler": 0}}
    states = {}
    for name, build in _BUILDERS.items():
        with torch.device("meta"):
            shapes = build(configs[name]).state_dict()
        generator = torch.Generator().manual_seed(0)
        states[name] = {
            key: _weights(key, tensor.shape, generator) for key, tensor in shapes.items() if tensor.is_floating_point()
        }
    path.parent.mkdir(parents=True, exist_ok=True)
    export_single_file(path, **states, configs=configs)
    return path


def _weights(key: str, shape: torch.Size, generator: torch.Generator) -> torch.Tensor:
    if "norm" in key and key.endswith("weight"):
        return torch.ones(shape, dtype=torch.float16)
    if key.endswith("bias"):
        return torch.zeros(shape, dtype=torch.float16)
    inputs = max(1, torch.Size(shape[1:]).numel())
    return (torch.randn(shape, generator=generator) * inputs**-0.5).half()


_BUILDERS = {
    "unet": UNet2DConditionModel.from_config,
    "vae": AutoencoderKL.from_config,
    "text_encoder": lambda config: CLIPTextModel(CLIPTextConfig(**config)),
}
