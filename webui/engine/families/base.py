"""What a model family must say of itself, and what a checkpoint is once it is in memory."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor

from webui.engine.conditioning import ConditioningCache
from webui.engine.device import Compute
from webui.library.model_file import ModelFile


@dataclass
class Checkpoint:
    """The networks of one checkpoint file, ready to draw."""

    file: ModelFile
    family: Family
    text_encoder: torch.nn.Module
    unet: UNet2DConditionModel
    vae: AutoencoderKL
    preview_factors: Tensor
    prompts: ConditioningCache = field(default_factory=ConditioningCache)

    @property
    def scheduler_config(self) -> Mapping[str, Any]:
        """Betas and prediction type, as diffusers' schedulers take them."""
        return {**self.file.configs["scheduler"], "prediction_type": self.file.prediction_type}


class Family(Protocol):
    """One way of building and conditioning the networks; each has one file here and a row in ``FAMILIES``."""

    def load(self, file: ModelFile, compute: Compute) -> Generator[int, None, Checkpoint]:
        """Bring the file's networks into memory: yields the bytes of each tensor as it is read."""
        ...

    def encode(self, checkpoint: Checkpoint, ids: Tensor, clip_skip: int) -> Tensor:
        """Token ids (n, 77) to states (n, 77, width) from the ``clip_skip``-th layer counted from the last."""
        ...
