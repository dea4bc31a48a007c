"""From noise, or from the noised latents of a picture, to finished latents: sampler, prompts and network at work together."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from webui.domain.custom_sigmas import parse_sigmas
from webui.domain.events import Preview, Step
from webui.domain.img2img_steps import most_steps, part_of_run
from webui.domain.prompt_plan import plan_prompt
from webui.domain.request import GenerationRequest
from webui.domain.samplers import find_sampler
from webui.domain.sampling_options import SAMPLING_OPTIONS
from webui.domain.schedules import CUSTOM
from webui.engine.beside import INSTRUCTIONS, extra_channels
from webui.engine.canvas import Canvas
from webui.engine.chunks import chunk_prompt
from webui.engine.conditioning import Conditioning
from webui.engine.denoise import denoise
from webui.engine.families.base import Checkpoint
from webui.engine.guidance import Guidance, Guide, Network
from webui.engine.latents import linear_preview, preview_jpeg, tiny_preview
from webui.engine.model_manager import Model
from webui.engine.noise import BatchNoise, PictureNoise
from webui.engine.prompting import PromptedGuidance
from webui.engine.refiner import relay_of
from webui.engine.samplers import build
from webui.engine.schedulers.base import Scheduler
from webui.engine.schedulers.solver import Noise
from webui.engine.start import Start, noised

_FROM_NOISE = Start()


@dataclass(frozen=True)
class Options:
    """What the installation decides rather than the request. ``preview`` is "linear", "taesd" or "off"."""

    preview: str = "linear"
    preview_every: int = 1
    tile_vae_above: int = 1024


def sample(
    request: GenerationRequest,
    batch: int,
    pictures: Sequence[GenerationRequest],
    model: Model,
    options: Options,
    pictures_per_call: int,
    start: Start = _FROM_NOISE,
    canvas: Canvas | None = None,
    first_steps: int | None = None,
) -> Generator[Step | Preview, None, Tensor]:
    """Steps 1 to 3: yields progress, returns the finished latents (n, 4, h/8, w/8).

    ``first_steps``: in the second pass of hires fix, the steps of the first, from which its prompts count on.
    Begins with noise, or with the latents of ``start`` as far along the schedule as the request's denoising strength says.
    """
    scheduler, steps = build_scheduler(request, model.checkpoint, from_picture=start.latents is not None)
    guidance = guided_by_prompts(request, scheduler, model, steps, first_steps)
    # of a picture that is drawn twice the refiner has a part in the second pass only, as in A1111
    refiner = None if request.draws_twice else model.refiner
    refined = guided_by_prompts(request, scheduler, refiner, steps, first_steps) if refiner else None
    channels = model.vae.config.latent_channels
    noises = [PictureNoise.of(picture, channels, model.compute.device) for picture in pictures]
    together = 1 if scheduler.adaptive else len(pictures)
    finished: list[Tensor] = []
    calls = 0
    for rows in (slice(row, row + together) for row in range(0, len(pictures), together)):
        noise, here = BatchNoise(noises[rows]), start.rows(rows)
        if here.latents is None:
            latents = first_latents(request, scheduler, noise)
        else:
            latents = noised(request, scheduler, here.latents, noise)
        added = sampling_noise(scheduler, noise)
        network: Network = model.network()
        guide: Guide = guidance
        if refiner is not None and refined is not None:
            relay = relay_of(model, refiner, guidance, refined, scheduler, request.refiner_switch_at)
            network, guide = relay.network, relay
        running = denoise(network, scheduler, latents, added, guide, pictures_per_call, here.beside, here.kept)
        for state in running:
            calls += 1
            yield Step(calls, state.steps, batch, request.batch_count, state.sigma)
            is_due = calls % options.preview_every == 0 and state.step != state.steps
            if options.preview != "off" and is_due:
                yield Preview(_preview(state.predicted, model, request, canvas), calls, batch)
            latents = state.latents
        finished.append(latents if here.kept is None else here.kept.after(latents))
    return torch.cat(finished)


def build_scheduler(
    request: GenerationRequest, checkpoint: Checkpoint, *, from_picture: bool = False
) -> tuple[Scheduler, int]:
    """The sampler that the request names, along its schedule, for what this checkpoint was trained on.

    Also returns how many steps prompts count from its first call on: those of the whole schedule, however late a run from a
    picture begins, as in A1111.
    """
    steps, skip = request.steps, None
    if from_picture:
        typed = len(parse_sigmas(request.custom_sigmas)) - 1 if request.schedule == CUSTOM.name else 0
        exact = request.exact_steps and not typed  # what was typed cannot be stretched
        most = most_steps(find_sampler(request.sampler))
        steps, skip = part_of_run(typed or request.steps, request.denoising_strength, exact=exact, most=most)
    scheduler = build(
        request.sampler,
        request.schedule,
        steps,
        checkpoint.scheduler_config,
        skip=skip,
        family=checkpoint.file.family,
        **{name: getattr(request, name) for name in SAMPLING_OPTIONS},
    )
    if skip is None:
        return scheduler, scheduler.num_inference_steps
    return scheduler, steps - skip if request.exact_steps else steps


def guided_by_prompts(
    request: GenerationRequest, scheduler: Scheduler, model: Model, steps: int, first_steps: int | None = None
) -> PromptedGuidance:
    """What the prompts say for each network call of the sampler, encoded.

    Their schedules are laid over the calls that A1111 counts for ``steps`` steps: two for each of a sampler of second order,
    also the last.
    """
    steps *= 1 if scheduler.adaptive else scheduler.order
    guided_by_picture = request.has_picture and extra_channels(model) == INSTRUCTIONS
    guidance = partial(
        Guidance,
        picture_scale=request.image_cfg_scale if guided_by_picture else 1.0,
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
        plan_prompt(request.prompt, steps, first_steps=first_steps, old_timelines=request.old_timelines),
        plan_prompt(
            request.negative_prompt,
            steps,
            first_steps=first_steps,
            old_timelines=request.old_timelines,
            is_negative=True,
        ),
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


def _preview(predicted: Tensor, model: Model, request: GenerationRequest, canvas: Canvas | None) -> bytes:
    if model.taesd is None:
        pixels = linear_preview(predicted, model.checkpoint.preview_factors)
    else:
        pixels = tiny_preview(model.taesd, predicted)
    if canvas is None:
        return preview_jpeg(pixels, request.width, request.height)
    return preview_jpeg(pixels, *canvas.source.size, canvas.placed)
