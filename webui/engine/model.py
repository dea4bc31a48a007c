"""What a selection of model files amounts to in memory: the networks that draw, for as long as they are lent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from webui.domain.request import GenerationRequest
from webui.engine.chunks import chunk_prompt
from webui.engine.conditioning import Conditioning, Prompt, Reading, encode_prompts
from webui.engine.denoise import unet_network
from webui.engine.device import Compute
from webui.engine.embedding_words import EmbeddingWords
from webui.engine.embeddings import AddedWords
from webui.engine.families.base import Checkpoint
from webui.engine.guidance import Network
from webui.engine.tokenizer import ClipTokenizer
from webui.library.identity import TEXT_ENCODERS

AnyNetwork = TypeVar("AnyNetwork", bound=nn.Module)


@dataclass(frozen=True)
class Model:
    """What ``ModelManager.use`` hands out.

    Where the device cannot hold all networks at once, one that is to compute must be made ``ready`` before.
    """

    checkpoint: Checkpoint
    vae: AutoencoderKL
    taesd: nn.Module | None
    tokenizer: ClipTokenizer
    compute: Compute
    added: AddedWords
    bring: Callable[[nn.Module], None]
    refiner: Model | None = None

    @property
    def words(self) -> EmbeddingWords:
        """The embeddings that prompts may name: to be given to :func:`webui.engine.chunks.chunk_prompt`."""
        return self.added.words

    def ready(self, network: AnyNetwork) -> AnyNetwork:
        """The same network, on the device; it stays there until another is made ready."""
        self.bring(network)
        return network

    def network(self) -> Network:
        ask = unet_network(self.checkpoint.unet)

        def ready(x: Tensor, timestep: float, told: Conditioning) -> Tensor:
            self.bring(self.checkpoint.unet)
            return ask(x, timestep, told)

        return ready

    def condition(
        self, prompts: tuple[Prompt, ...], request: GenerationRequest, *, is_negative: bool, is_empty: bool = False
    ) -> Conditioning:
        """What the network is told of texts that take turns, cut into chunks; encoded once and remembered by content.

        ``is_empty``: there is nothing in any of the texts, not even a space.
        """
        checkpoint = self.checkpoint
        keep_mean = request.emphasis != "No norm"
        told = checkpoint.prompts.get(
            (prompts, request.clip_skip, keep_mean),
            lambda: encode_prompts(
                prompts,
                chunk_prompt("", self.tokenizer)[0],
                [
                    partial(self.read, clip_skip=request.clip_skip, encoder=encoder)
                    for encoder in TEXT_ENCODERS[checkpoint.file.family]
                ],
                self.compute.device,
                keep_mean=keep_mean,
            ),
        )
        return checkpoint.family.complete(told, request, is_negative=is_negative, is_empty=is_empty)

    def read(self, ids: Tensor, clip_skip: int, encoder: str = "clip_l") -> Reading:
        """What a text encoder makes of token ids (n, 77), those of embeddings among them."""
        checkpoint = self.checkpoint
        component = TEXT_ENCODERS[checkpoint.file.family][encoder]
        return self.added.encode(
            self.ready(checkpoint.text_encoders[component]),
            encoder,
            ids,
            lambda known: checkpoint.family.read(checkpoint, component, known, clip_skip),
        )

    @property
    def is_float32(self) -> bool:
        return all(next(module.parameters()).dtype == torch.float32 for module in (*self.unets, self.vae))

    @property
    def unets(self) -> tuple[nn.Module, ...]:
        """That of the checkpoint, and that of the refiner if there is one."""
        return (self.checkpoint.unet, *(self.refiner.unets if self.refiner else ()))

    @contextmanager
    def in_float32(self) -> Iterator[None]:
        """Everything in full precision inside; half precision returns bit for bit, as widening it loses nothing."""
        checkpoints = [model.checkpoint for model in (self, self.refiner) if model is not None]
        encoders = (encoder for checkpoint in checkpoints for encoder in checkpoint.text_encoders.values())
        modules = (*self.unets, *encoders, self.vae)
        before = [(parameter, parameter.dtype) for module in modules for parameter in module.parameters()]
        for checkpoint in checkpoints:
            checkpoint.prompts.clear()
        try:
            for module in modules:
                module.float()
            yield
        finally:
            for checkpoint in checkpoints:
                checkpoint.prompts.clear()
            for parameter, dtype in before:
                parameter.data = parameter.data.to(dtype)
