"""txt2img, from the request to the picture. The page to read first.

    1. the prompt becomes 75-token chunks, and the text encoder turns them into the conditioning
    2. a random latent is drawn from the seed, one generator a picture
    3. the U-Net predicts noise, guided by the prompt; the sampler subtracts it; again for every step
    4. the VAE decodes the latent to a picture

Everything is a generator: events climb by ``yield``, and who stops pulling stops the work.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from PIL import Image
from torch import Tensor

from webui.domain.events import Loading, Notice, Preview, Step
from webui.domain.request import GenerationRequest
from webui.engine.chunks import chunk_prompt
from webui.engine.denoise import denoise
from webui.engine.drawn import Drawn
from webui.engine.latents import decode, linear_preview, preview_jpeg, tiny_preview, to_images
from webui.engine.model_manager import Model, ModelManager, Selection
from webui.engine.noise import BatchNoise, PictureNoise
from webui.engine.recovery import Way, with_recovery
from webui.engine.samplers import build
from webui.errors import NumericalFailure


@dataclass(frozen=True)
class Options:
    """What the installation decides rather than the request. ``preview`` is "linear", "taesd" or "off"."""

    preview: str = "linear"
    preview_every: int = 1
    tile_vae_above: int = 1024


def generate_batch(
    request: GenerationRequest, batch: int, models: ModelManager, selection: Selection, options: Options
) -> Iterator[Loading | Step | Preview | Notice | Drawn]:
    """Draw batch number ``batch`` (0 ... batch_count - 1) of the request; ends with a ``Drawn`` for each picture.

    Each picture is the one that ``request.picture(index)`` draws alone.
    """
    yield from models.load(selection)
    first = batch * request.batch_size
    pictures = [request.picture(index) for index in range(first, first + request.batch_size)]
    with models.use(selection) as model:
        latents = yield from with_recovery(
            [
                Way(
                    f"{group} of the {len(pictures)} pictures at a time.",
                    partial(_sample, request, batch, pictures, model, options, group),
                )
                for group in _halving(models.compute.pictures_per_call or len(pictures))
            ],
            model,
            models,
            "sampling",
        )
        is_large = max(request.width, request.height) > options.tile_vae_above
        in_tiles = Way("decoded in tiles.", partial(_decode, latents, model, tiled=True))
        whole = Way("decoded whole.", partial(_decode, latents, model, tiled=False))
        images = yield from with_recovery([in_tiles] if is_large else [whole, in_tiles], model, models, "decoding")
    for index, picture, image in zip(range(first, first + len(pictures)), pictures, images, strict=True):
        yield Drawn(index, picture.seed, image)


def _sample(
    request: GenerationRequest,
    batch: int,
    pictures: Sequence[GenerationRequest],
    model: Model,
    options: Options,
    pictures_per_call: int,
) -> Generator[Step | Preview, None, Tensor]:
    """Steps 1 to 3: yields progress, returns the finished latents (n, 4, h/8, w/8)."""
    cond = _condition(request.prompt, request.clip_skip, model)
    uncond = _condition(request.negative_prompt, request.clip_skip, model)
    scheduler = build(request.sampler, request.schedule, request.steps, model.checkpoint.scheduler_config)
    channels = model.vae.config.latent_channels
    noise = BatchNoise([PictureNoise.of(picture, channels, model.compute.device) for picture in pictures])
    latents = noise.first() * scheduler.init_noise_sigma
    for state in denoise(
        model.network(),
        scheduler,
        latents,
        lambda level_from, level_to: noise.next(),
        cond,
        uncond,
        request.cfg_scale,
        pictures_per_call,
    ):
        yield Step(state.step, state.steps, batch, request.batch_count, state.sigma)
        is_due = state.step % options.preview_every == 0 and state.step < state.steps
        if options.preview != "off" and is_due:
            yield Preview(_preview(state.predicted, model, request), state.step, batch)
        latents = state.latents
    return latents


def _condition(text: str, clip_skip: int, model: Model) -> Tensor:
    return model.encode(chunk_prompt(text, model.tokenizer), clip_skip)


def _preview(predicted: Tensor, model: Model, request: GenerationRequest) -> bytes:
    if model.taesd is None:
        pixels = linear_preview(predicted, model.checkpoint.preview_factors)
    else:
        pixels = tiny_preview(model.taesd, predicted)
    return preview_jpeg(pixels, request.width, request.height)


def _decode(latents: Tensor, model: Model, *, tiled: bool) -> Generator[Notice, None, list[Image.Image]]:
    """Step 4. Yields nothing, but is a generator as every stage is."""
    pixels = decode(model.vae, latents, tiled=tiled)
    if not torch.isfinite(pixels).all():
        raise NumericalFailure("The VAE's picture is not a number.")
    yield from ()
    return to_images(pixels)


def _halving(count: int) -> list[int]:
    """``count``, half of it, ... 1."""
    return [count] if count <= 1 else [count, *_halving(count // 2)]
