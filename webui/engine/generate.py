"""txt2img, from the request to the picture. The page to read first.

    1. the prompt becomes a text for each step, each text 75-token chunks, and the text encoder turns them into the conditioning
    2. a random latent is drawn from the seed, one generator a picture
    3. the U-Net predicts noise, guided by the prompt; the sampler subtracts it; again for every step
    4. the VAE decodes the latent to a picture

Everything is a generator: events climb by ``yield``, and who stops pulling stops the work.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from PIL import Image
from torch import Tensor

from webui.domain.events import Loading, Notice, Preview, Step
from webui.domain.prompt_plan import plan_prompt
from webui.domain.request import GenerationRequest
from webui.domain.sampling_options import SAMPLING_OPTIONS
from webui.engine.chunks import chunk_prompt
from webui.engine.conditioning import Conditioning
from webui.engine.denoise import denoise
from webui.engine.drawn import Drawn
from webui.engine.families.base import Checkpoint
from webui.engine.guidance import Guidance
from webui.engine.latents import decode, linear_preview, preview_jpeg, tiny_preview, to_images
from webui.engine.model_manager import Model, ModelManager, Selection
from webui.engine.noise import BatchNoise, PictureNoise
from webui.engine.prompting import PromptedGuidance
from webui.engine.recovery import Way, with_recovery
from webui.engine.samplers import build
from webui.engine.schedulers.base import Scheduler
from webui.engine.schedulers.solver import Noise
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
    scheduler = build_scheduler(request, model.checkpoint)
    guidance = guided_by_prompts(request, scheduler, model)
    channels = model.vae.config.latent_channels
    drawn = [PictureNoise.of(picture, channels, model.compute.device) for picture in pictures]
    finished: list[Tensor] = []
    calls = 0
    for noise in [BatchNoise([one]) for one in drawn] if scheduler.adaptive else [BatchNoise(drawn)]:
        latents = first_latents(request, scheduler, noise)
        added = sampling_noise(scheduler, noise)
        for state in denoise(model.network(), scheduler, latents, added, guidance, pictures_per_call):
            calls += 1
            yield Step(calls, state.steps, batch, request.batch_count, state.sigma)
            is_due = calls % options.preview_every == 0 and state.step != state.steps
            if options.preview != "off" and is_due:
                yield Preview(_preview(state.predicted, model, request), calls, batch)
            latents = state.latents
        finished.append(latents)
    return torch.cat(finished)


def build_scheduler(request: GenerationRequest, checkpoint: Checkpoint) -> Scheduler:
    """The sampler that the request names, along its schedule, for what this checkpoint was trained on."""
    return build(
        request.sampler,
        request.schedule,
        request.steps,
        checkpoint.scheduler_config,
        family=checkpoint.file.family,
        **{name: getattr(request, name) for name in SAMPLING_OPTIONS},
    )


def guided_by_prompts(request: GenerationRequest, scheduler: Scheduler, model: Model) -> PromptedGuidance:
    """What the prompts say for each network call of the sampler, encoded.

    Their schedules are laid over the calls that A1111 counts: two for each step of a sampler of second order, also the last.
    """
    steps = scheduler.num_inference_steps * (1 if scheduler.adaptive else scheduler.order)
    guidance = partial(
        Guidance,
        scale=request.cfg_scale,
        rescale=request.cfg_rescale,
        skip_early=request.skip_early_cfg,
        ngms=request.ngms,
        ngms_all_steps=request.ngms_all_steps,
    )

    def encode(texts: Sequence[str], is_negative: bool) -> Conditioning:
        prompts = tuple(
            chunk_prompt(text, model.tokenizer, emphasis=request.emphasis, words=model.words) for text in texts
        )
        return model.condition(prompts, request, is_negative=is_negative, is_empty=not any(texts))

    return PromptedGuidance(
        plan_prompt(request.prompt, steps, old_timelines=request.old_timelines),
        plan_prompt(request.negative_prompt, steps, old_timelines=request.old_timelines, is_negative=True),
        encode,
        guidance,
    )


def first_latents(request: GenerationRequest, scheduler: Scheduler, noise: BatchNoise) -> Tensor:
    """Noise as strong as at the first level: times σ. Stability AI's code has √(1 + σ²) there, as if a picture lay below."""
    if request.sgm_noise_multiplier:
        return noise.first() * math.hypot(*scheduler.signal_and_noise(scheduler.levels[0]))
    return noise.first() * scheduler.init_noise_sigma


def sampling_noise(scheduler: Scheduler, noise: BatchNoise) -> Noise:
    """What the sampler adds on its way: a Brownian path for those that want one, else the streams of the pictures."""
    if scheduler.brownian:
        return noise.brownian(scheduler.whole_levels)
    return lambda level_from, level_to: noise.next()


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
