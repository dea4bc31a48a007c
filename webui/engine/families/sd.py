"""Stable Diffusion 1.x: CLIP ViT-L/14's text transformer, a U-Net of 860 M parameters, an f = 8 autoencoder.

Sizes come from the file's component configs, so smaller models of the same architecture are of this family too.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel

from webui.domain.request import GenerationRequest
from webui.engine.conditioning import Conditioning, Reading
from webui.engine.device import Compute
from webui.engine.families.base import Checkpoint
from webui.engine.latents import fit_preview, sd1_preview
from webui.engine.weights import assemble, open_tensors
from webui.errors import InvalidRequest
from webui.library.formats import component_files
from webui.library.model_file import ModelFile
from webui.library.original_layout import names_in_file

SD1_LATENT_SCALE = 0.18215


class StableDiffusion1:
    """The family of SD 1.x checkpoints, single files in the original key layout and diffusers folders."""

    def load(self, file: ModelFile, compute: Compute) -> Generator[int, None, Checkpoint]:
        text_encoder = yield from _component(file, "text_encoder", _build_text_encoder, compute, compute.network)
        unet = yield from _component(file, "unet", UNet2DConditionModel.from_config, compute, compute.network)
        vae = yield from _component(file, "vae", AutoencoderKL.from_config, compute, compute.vae)
        # the only buffer that no file holds; it was built on the meta device
        positions = torch.arange(file.configs["text_encoder"]["max_position_embeddings"], device=compute.device)
        text_encoder.embeddings.position_ids = positions[None]
        is_standard = abs(vae.config.scaling_factor - SD1_LATENT_SCALE) < 1e-6
        factors = sd1_preview() if is_standard else fit_preview(vae)
        return Checkpoint(file, self, {"text_encoder": text_encoder}, unet, vae, factors)

    def read(self, checkpoint: Checkpoint, component: str, ids: Tensor, clip_skip: int) -> Reading:
        """States of the chosen layer through the final layer norm, as A1111 does for every clip skip."""
        encoder: Any = checkpoint.text_encoders[component]
        layers = len(encoder.encoder.layers)
        if clip_skip > layers:
            raise InvalidRequest(
                f'Clip skip {clip_skip} is too much: the text encoder of "{checkpoint.file.name}" has {layers} layers.',
                "clip_skip",
            )
        answer = encoder(ids, output_hidden_states=True)
        if clip_skip == 1:
            return Reading(answer.last_hidden_state)
        return Reading(encoder.final_layer_norm(answer.hidden_states[-clip_skip]))

    def complete(
        self, told: Conditioning, request: GenerationRequest, *, is_negative: bool, is_empty: bool
    ) -> Conditioning:
        """The text is all that this family is told."""
        return told


def load_vae(file: ModelFile, compute: Compute) -> Generator[int, None, AutoencoderKL]:
    """A VAE file, or the VAE in a diffusers folder, on its own."""
    return (yield from _component(file, "vae", AutoencoderKL.from_config, compute, compute.vae))


def _build_text_encoder(config: dict[str, Any]) -> CLIPTextModel:
    return CLIPTextModel(CLIPTextConfig(**config))


def _component(
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
