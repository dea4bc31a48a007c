"""What a model family must say of itself, and what a checkpoint is once it is in memory."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor

from webui.domain.request import GenerationRequest
from webui.engine.conditioning import Conditioning, ConditioningCache, Reading
from webui.engine.device import Compute
from webui.library.model_file import ModelFile

LATENT_SCALES = {"sd1": 0.18215, "sd2": 0.18215, "sdxl": 0.13025, "sdxl-refiner": 0.13025}


@dataclass
class Checkpoint:
    """The networks of one checkpoint file, ready to draw.

    ``text_encoders`` by the names that diffusers gives them: "text_encoder", "text_encoder_2". ``vae`` is None where the file
    brings none. ``prediction_type`` is "epsilon" or "v_prediction", what the file says or what was measured.
    """

    file: ModelFile
    family: Family
    text_encoders: Mapping[str, torch.nn.Module]
    unet: UNet2DConditionModel
    vae: AutoencoderKL | None
    preview_factors: Tensor
    prediction_type: str
    prompts: ConditioningCache = field(default_factory=ConditioningCache)

    @property
    def latent_scale(self) -> float:
        """What the network's latents are the VAE's times."""
        stated = self.file.configs.get("vae", {}).get("scaling_factor")
        return float(stated or LATENT_SCALES[self.file.family])

    @property
    def scheduler_config(self) -> Mapping[str, Any]:
        """Betas and prediction type, as diffusers' schedulers take them."""
        return {**self.file.configs["scheduler"], "prediction_type": self.prediction_type}


class Family(Protocol):
    """One way of building and conditioning the networks; each has one file here and a row in ``FAMILIES``."""

    def load(self, file: ModelFile, compute: Compute) -> Generator[int, None, Checkpoint]:
        """Bring the file's networks into memory: yields the bytes of each tensor as it is read."""
        ...

    def read(self, checkpoint: Checkpoint, component: str, ids: Tensor, clip_skip: int) -> Reading:
        """What a text encoder makes of token ids (n, 77), padded with the end token.

        ``clip_skip`` counts layers from the last, for the families that heed it.
        """
        ...

    def complete(
        self, told: Conditioning, request: GenerationRequest, *, is_negative: bool, is_empty: bool
    ) -> Conditioning:
        """What the network is told of this request beside the prompt or the negative prompt, which are ``told`` already."""
        ...
