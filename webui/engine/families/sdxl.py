"""SDXL (Podell et al. 2023, arXiv 2307.01952): a U-Net three times larger, told of sizes; and its refiner.

Cross-attention reads CLIP ViT-L/14's states (768 wide) and OpenCLIP ViT-bigG/14's (1280) side by side, each from the last layer
but one and without a final layer norm. bigG's pooled text and the picture's sizes are added to the timestep.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from torch import Tensor

from webui.domain.request import GenerationRequest
from webui.engine.conditioning import Conditioning, Reading
from webui.engine.device import Compute
from webui.engine.families.base import Checkpoint
from webui.engine.families.networks import load_checkpoint, padded_with_zeros
from webui.library.model_file import ModelFile

CROP = (0, 0)  # top, left: as if the picture had been cut out of a larger one there


class StableDiffusionXL:
    """The base model. Clip skip is not heeded, as in A1111."""

    def load(self, file: ModelFile, compute: Compute) -> Generator[int, None, Checkpoint]:
        return (yield from load_checkpoint(file, self, compute))

    def read(self, checkpoint: Checkpoint, component: str, ids: Tensor, clip_skip: int) -> Reading:
        """The last layer but one; of bigG also the last layer at the end token, through norm and projection."""
        encoder: Any = checkpoint.text_encoders[component]
        is_pooling = component == "text_encoder_2"
        answer = encoder(padded_with_zeros(ids) if is_pooling else ids, output_hidden_states=True)
        return Reading(answer.hidden_states[-2], answer.text_embeds if is_pooling else None)

    def complete(
        self, told: Conditioning, request: GenerationRequest, *, is_negative: bool, is_empty: bool
    ) -> Conditioning:
        """The sizes in pixels. A negative prompt with nothing in it is told as zeros, as in A1111."""
        if is_negative and is_empty:
            told = told.silenced()
        return told.with_time_ids(self.sizes(request, is_negative))

    def sizes(self, request: GenerationRequest, is_negative: bool) -> tuple[float, ...]:
        """Height and width of the original, where it was cropped, height and width wanted."""
        size = (request.height, request.width)
        return (*size, *CROP, *size)


class StableDiffusionXLRefiner(StableDiffusionXL):
    """The second model, for the last steps: it reads bigG alone, and is told how beautiful the picture should be."""

    def sizes(self, request: GenerationRequest, is_negative: bool) -> tuple[float, ...]:
        """Height and width of the original, where it was cropped, and the score."""
        score = request.negative_aesthetic_score if is_negative else request.aesthetic_score
        return (request.height, request.width, *CROP, score)
