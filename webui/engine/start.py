"""Where a run begins that starts from a picture: its latents, what of them stays, and how noisy they are made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from webui.domain.picture_options import LATENT
from webui.domain.request import LATENT_PIXELS, GenerationRequest
from webui.engine.beside import seen_beside
from webui.engine.canvas import Canvas
from webui.engine.kept_latents import AnyKept, HardKept, SoftKept, rows_of
from webui.engine.latents import encode, to_pixels
from webui.engine.masks import latent_mask
from webui.engine.model_manager import Model
from webui.engine.noise import BatchNoise, generator
from webui.engine.schedulers.base import Scheduler
from webui.errors import NumericalFailure


@dataclass(frozen=True, eq=False)
class Start:
    """``latents`` (n, c, h, w) are clean, or None where the run begins with noise alone.

    ``kept`` is what inpainting keeps of them, ``beside`` (n, k, h, w) what the network sees beside them.
    """

    latents: Tensor | None = None
    kept: AnyKept | None = None
    beside: Tensor | None = None

    def rows(self, rows: slice) -> Start:
        """The same for some of the pictures."""
        return Start(
            None if self.latents is None else self.latents[rows],
            None if self.kept is None else rows_of(self.kept, rows),
            None if self.beside is None else self.beside[rows],
        )


def start_of(
    request: GenerationRequest,
    pictures: Sequence[GenerationRequest],
    canvas: Canvas | None,
    model: Model,
    *,
    tiled: bool = False,
) -> Start:
    """Encode the canvas for these pictures, the members of a batch. ``tiled`` takes less memory.

    All begin with the same latents; only "latent noise" under a mask is each picture's own.
    """
    mask = None if canvas is None or canvas.mask is None else canvas.mask.drawn
    drawn = None if canvas is None else canvas.picture
    beside = seen_beside(request, model, drawn, mask, None if canvas is None else canvas.depth, tiled=tiled)
    if beside is not None:
        beside = beside.expand(len(pictures), -1, -1, -1)
    if drawn is None:
        return Start(beside=beside)
    latents = encode(model.ready(model.vae), to_pixels(drawn), tiled=tiled, wrap=(request.tile_x, request.tile_y))
    if not torch.isfinite(latents).all():
        raise NumericalFailure("What the VAE makes of the picture is not a number.")
    height, width = request.height // LATENT_PIXELS, request.width // LATENT_PIXELS
    if request.resize_mode == LATENT:
        latents = functional.interpolate(latents, size=(height, width), mode="bilinear")
    latents = latents.expand(len(pictures), -1, -1, -1)
    if mask is None:
        return Start(latents, beside=beside)
    anew = latent_mask(mask, width, height, soft=request.soft_inpainting).to(latents.device)
    latents = _with_content(request, pictures, latents, anew)
    return Start(latents, _kept(request, latents, anew), beside)


def _with_content(
    request: GenerationRequest, pictures: Sequence[GenerationRequest], latents: Tensor, anew: Tensor
) -> Tensor:
    """What lies under the mask; "fill" and "original" are in the pixels already."""
    if request.masked_content == "latent nothing":
        return latents * (1 - anew)
    if request.masked_content != "latent noise":
        return latents
    noise = [generator(picture.seed, picture.rng, latents.device)(tuple(latents.shape[1:])) for picture in pictures]
    return latents * (1 - anew) + torch.stack(noise) * anew


def _kept(request: GenerationRequest, latents: Tensor, anew: Tensor) -> AnyKept:
    if not request.soft_inpainting:
        return HardKept(latents, anew)
    return SoftKept(
        latents,
        anew,
        request.soft_schedule_bias,
        request.soft_preservation_strength,
        request.soft_transition_contrast,
    )


def noised(request: GenerationRequest, scheduler: Scheduler, latents: Tensor, noise: BatchNoise) -> Tensor:
    """The clean latents as noisy as where the run begins, and a little more if "extra noise" was asked for.

    The sampler does not know of that, and takes it for detail.
    """
    first = noise.first() * request.noise_multiplier
    entered = scheduler.enter(latents, first)
    if not request.extra_noise:
        return entered
    signal, _ = scheduler.signal_and_noise(scheduler.entry_level)
    return entered + first * (request.extra_noise * signal)
