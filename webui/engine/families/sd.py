"""Stable Diffusion 1.x and 2.x: one text encoder, a U-Net of 860 M parameters, an f = 8 autoencoder.

Sizes come from the file's component configs, so smaller models of the same architecture are of these families too.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from webui.domain.request import GenerationRequest
from webui.engine.conditioning import Conditioning, Reading
from webui.engine.device import Compute
from webui.engine.families.base import Checkpoint
from webui.engine.families.networks import load_checkpoint, padded_with_zeros
from webui.errors import InvalidRequest
from webui.library.model_file import ModelFile


class StableDiffusion1:
    """CLIP ViT-L/14's text transformer, whose last layer is read unless clip skip says another."""

    def load(self, file: ModelFile, compute: Compute) -> Generator[int, None, Checkpoint]:
        return (yield from load_checkpoint(file, self, compute))

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


class StableDiffusion2(StableDiffusion1):
    """OpenCLIP ViT-H/14's text transformer, of which the last layer but one is read.

    The last layer is in the files, but it is not loaded: nothing reads it. Clip skip is not heeded, as in A1111.
    """

    def load(self, file: ModelFile, compute: Compute) -> Generator[int, None, Checkpoint]:
        checkpoint = yield from load_checkpoint(file, self, compute)
        if checkpoint.prediction_type:
            return checkpoint
        return replace(checkpoint, prediction_type="v_prediction" if predicts_v(checkpoint.unet) else "epsilon")

    def read(self, checkpoint: Checkpoint, component: str, ids: Tensor, clip_skip: int) -> Reading:
        """States of the last layer that was loaded, through the final layer norm."""
        encoder: Any = checkpoint.text_encoders[component]
        return Reading(encoder(padded_with_zeros(ids)).last_hidden_state)


def predicts_v(unet: torch.nn.Module) -> bool:
    """Whether a U-Net answers as one that predicts v: A1111's test, as the published files of SD 2 do not say.

    At the last timestep x is all noise, which a network that predicts it gives back. v there is minus the picture.
    """
    some: Any = unet
    weight = next(unet.parameters())
    x = torch.full((1, some.config.in_channels, 8, 8), 0.5, device=weight.device, dtype=weight.dtype)
    text = torch.full((1, 2, some.config.cross_attention_dim), 0.5, device=weight.device, dtype=weight.dtype)
    with torch.inference_mode():
        said = some(x, 999, encoder_hidden_states=text, return_dict=False)[0]
    return bool((said.float() - x.float()).mean() < -1)
