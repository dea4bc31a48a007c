"""The networks that the families are made of, from a model file into memory."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from webui.engine.device import Compute
from webui.engine.families.base import LATENT_SCALES, Checkpoint, Family
from webui.engine.latents import fit_preview, sd1_preview
from webui.engine.lending import store_in_8_bits
from webui.engine.tokenizer import END_TOKEN
from webui.engine.weights import assemble, open_tensors
from webui.library.formats import component_files
from webui.library.identity import TEXT_ENCODERS
from webui.library.model_file import ModelFile
from webui.library.original_layout import names_in_file

# A1111's "Approx cheap" table for SDXL, as that of SD 1 in latents.py
SDXL_PREVIEW = (
    (0.3448, 0.4168, 0.4395),
    (-0.1953, -0.0290, 0.0250),
    (0.1074, 0.0886, -0.0163),
    (-0.3730, -0.2499, -0.2088),
    (0.0, 0.0, 0.0),
)


def load_checkpoint(file: ModelFile, family: Family, compute: Compute) -> Generator[int, None, Checkpoint]:
    """All networks of a checkpoint; yields the bytes of each tensor as it is read. ``UnreadableModel`` if one is missing."""
    text_encoders = {}
    for component in TEXT_ENCODERS[file.family].values():
        text_encoders[component] = yield from _load_text_encoder(file, component, compute)
    unet = yield from _load(file, "unet", UNet2DConditionModel.from_config, compute, compute.network)
    if compute.float8:
        store_in_8_bits(unet)
    if compute.attention == "xformers":
        unet.enable_xformers_memory_efficient_attention()
    vae = (yield from load_vae(file, compute)) if "vae" in file.configs else None
    factors = torch.tensor(SDXL_PREVIEW) if file.family.startswith("sdxl") else sd1_preview()
    if vae is not None and abs(vae.config.scaling_factor - LATENT_SCALES[file.family]) > 1e-6:
        factors = fit_preview(vae)
    return Checkpoint(file, family, text_encoders, unet, vae, factors, file.prediction_type)


def load_vae(file: ModelFile, compute: Compute) -> Generator[int, None, AutoencoderKL]:
    """A VAE file, or the VAE of a checkpoint, on its own."""
    return (yield from _load(file, "vae", AutoencoderKL.from_config, compute, compute.vae_for(file.family)))


def padded_with_zeros(ids: Tensor) -> Tensor:
    """Token ids (n, 77) as OpenCLIP was trained to read them: 0 behind the first end token instead of more of them."""
    is_end = (ids == END_TOKEN).long()
    return ids.masked_fill(is_end.cumsum(-1) > is_end, 0)


def _load_text_encoder(file: ModelFile, component: str, compute: Compute) -> Generator[int, None, Any]:
    pools = component == "text_encoder_2"
    encoder = yield from _load(file, component, _pooling if pools else _plain, compute, compute.network)
    for part in encoder.modules():  # the only buffer that no file holds; it was built on the meta device
        if hasattr(part, "position_ids"):
            part.position_ids = torch.arange(part.position_ids.shape[-1], device=compute.device)[None]
    return encoder


def _plain(config: dict[str, Any]) -> CLIPTextModel:
    return CLIPTextModel(CLIPTextConfig(**config))


def _pooling(config: dict[str, Any]) -> CLIPTextModelWithProjection:
    return CLIPTextModelWithProjection(CLIPTextConfig(**config))


def _load(
    file: ModelFile,
    component: str,
    build: Callable[[dict[str, Any]], Any],
    compute: Compute,
    dtype: torch.dtype,
) -> Generator[int, None, Any]:
    config = dict(file.configs[component])
    with torch.device("meta"):
        module = build(config)
    with open_tensors(component_files(file, component)) as tensors:
        return (
            yield from assemble(
                module,
                names_in_file(component, module.state_dict(), tensors.keys()),
                tensors,
                device=compute.device,
                dtype=dtype,
                label=f"{file.path.name} ({component})",
                channels_last=component == "unet",
            )
        )
