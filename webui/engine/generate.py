"""txt2img and img2img, from the request to the picture. The page to read first.

    1. the prompt becomes a text for each step, each text 75-token chunks, and the text encoder turns them into the conditioning
    2. a random latent is drawn from the seed, one generator a picture; img2img lays it over the latent of a picture
    3. the U-Net predicts noise, guided by the prompt; the sampler subtracts it; again for every step; inpainting puts what
       is to stay of the picture back in after each
    4. the VAE decodes the latent to a picture; inpainting lays it over the one it began with

Steps 1 to 3 are in :mod:`webui.engine.sampling`, what makes a picture a beginning in :mod:`webui.engine.canvas` and
:mod:`webui.engine.start`. Everything is a generator: events climb by ``yield``, and who stops pulling stops the work.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from functools import partial

import torch
from PIL import Image, ImageChops
from torch import Tensor

from webui.domain.events import Loading, Notice, Preview, Step
from webui.domain.hires_options import LATENT_UPSCALERS
from webui.domain.request import GenerationRequest
from webui.domain.second_pass import second_pass, target_of
from webui.domain.sizes import Size
from webui.engine.canvas import Canvas, Sources, canvas_of
from webui.engine.drawn import Drawn
from webui.engine.hires import Calls, counted_through, cut, encoded, enlarged, stretched
from webui.engine.latents import decode, to_images
from webui.engine.model_manager import Model, ModelManager, Selection
from webui.engine.recovery import Way, with_recovery
from webui.engine.sampling import Options, sample
from webui.engine.seamless import seamless
from webui.engine.soft_overlay import soft_overlay
from webui.engine.start import Start, start_of
from webui.engine.tiled_upscale import drawn_in_tiles
from webui.errors import NumericalFailure

__all__ = ["Options", "Sources", "generate_batch"]

_NO_SOURCES = Sources()


def generate_batch(
    request: GenerationRequest,
    batch: int,
    models: ModelManager,
    selection: Selection,
    options: Options,
    sources: Sources = _NO_SOURCES,
    second: Selection | None = None,
) -> Iterator[Loading | Step | Preview | Notice | Drawn]:
    """Draw batch number ``batch`` (0 ... batch_count - 1) of the request; ends with a ``Drawn`` for each picture.

    Each picture is the one that ``request.picture(index)`` draws alone. ``sources`` are the input pictures that the request
    names, and ``second`` the models of the second pass, where it draws twice (hires fix).
    """
    first = batch * request.batch_size
    pictures = [request.picture(index) for index in range(first, first + request.batch_size)]
    if request.upscales_in_tiles and sources.picture is not None:
        draw = partial(_over, batch, models, replace(selection, upscaler=None), options)
        images = yield from drawn_in_tiles(request, pictures, sources.picture, selection, models, draw)
        yield from map(Drawn, range(first, first + len(pictures)), (picture.seed for picture in pictures), images)
        return
    canvas = canvas_of(request, sources)
    if canvas is not None and batch == 0:
        yield from map(Notice, canvas.notices)
    if request.draws_twice:
        images = yield from _drawn_twice(request, batch, pictures, models, selection, second or selection, options)
    elif canvas is not None:
        images = yield from _over(batch, models, selection, options, request, pictures, canvas)
    else:
        images = yield from _drawn(request, batch, pictures, None, models, selection, options)
    for index, picture, image in zip(range(first, first + len(pictures)), pictures, images, strict=True):
        yield Drawn(index, picture.seed, image)


def _over(
    batch: int,
    models: ModelManager,
    selection: Selection,
    options: Options,
    request: GenerationRequest,
    pictures: Sequence[GenerationRequest],
    canvas: Canvas,
) -> Generator[Loading | Step | Preview | Notice, None, list[Image.Image]]:
    """The pictures of a batch that is drawn over a canvas, or the canvas itself where nothing of it is to change."""
    if canvas.stays:
        return [canvas.finished(canvas.picture)] * len(pictures)
    return (yield from _drawn(request, batch, pictures, canvas, models, selection, options))


def _drawn(
    request: GenerationRequest,
    batch: int,
    pictures: Sequence[GenerationRequest],
    canvas: Canvas | None,
    models: ModelManager,
    selection: Selection,
    options: Options,
) -> Generator[Loading | Step | Preview | Notice, None, list[Image.Image]]:
    """The pictures of a batch. Each stage is tried in ways that need less and less memory."""
    yield from models.load(selection)
    with models.use(selection) as model, seamless([*model.unets, model.vae], request.tile_x, request.tile_y):
        start = yield from with_recovery(
            [
                Way("encoded in strips.", partial(_start, request, pictures, canvas, model, tiled=tiled))
                for tiled in ([True] if _is_large(request, options) else [False, True])
            ],
            model,
            models,
            "encoding",
        )
        latents = yield from _sampled(request, batch, pictures, model, models, options, start, canvas)
        images = yield from _decoded(request, latents, model, models, options)
    if canvas is None:
        return images
    return [
        canvas.finished(image, _overlay(request, canvas, start.rows(slice(row, row + 1)), latents[row]))
        for row, image in enumerate(images)
    ]


def _drawn_twice(
    request: GenerationRequest,
    batch: int,
    pictures: Sequence[GenerationRequest],
    models: ModelManager,
    selection: Selection,
    second_selection: Selection,
    options: Options,
) -> Generator[Loading | Step | Preview | Notice, None, list[Image.Image]]:
    """Hires fix: small, as the model was trained, then enlarged, then drawn over; noise anew from the same seeds."""
    target, second = target_of(request), second_pass(request)
    seconds = [second_pass(picture) for picture in pictures]
    by_latents = request.hires_upscaler in LATENT_UPSCALERS
    images: list[Image.Image] = []
    yield from models.load(selection)
    with models.use(selection) as model, seamless([*model.unets, model.vae], request.tile_x, request.tile_y):
        calls = Calls.of(request, second, model)
        start = start_of(request, pictures, None, model)
        sampling = _sampled(request, batch, pictures, model, models, options, start)
        latents = yield from counted_through(sampling, calls, is_second=False)
        if not by_latents:
            images = yield from _decoded(request, latents, model, models, options)
    yield from models.load(second_selection)
    with models.use(second_selection) as model, seamless([*model.unets, model.vae], request.tile_x, request.tile_y):
        if by_latents:
            latents = stretched(latents, target, request.hires_upscaler)
        else:
            file = second_selection.upscaler
            upscaler = request.hires_upscaler if file is None else models.upscaler(file)
            images = yield from enlarged(images, target, upscaler, models)
            latents = yield from encoded(images, second, model, models, large=_is_large(second, options))
        start = replace(start_of(second, seconds, None, model), latents=cut(latents, target))
        sampling = _sampled(second, batch, seconds, model, models, options, start, first_steps=calls.counted)
        latents = yield from counted_through(sampling, calls, is_second=True)
        return (yield from _decoded(second, latents, model, models, options))


def _sampled(
    request: GenerationRequest,
    batch: int,
    pictures: Sequence[GenerationRequest],
    model: Model,
    models: ModelManager,
    options: Options,
    start: Start,
    canvas: Canvas | None = None,
    first_steps: int | None = None,
) -> Generator[Step | Preview | Notice, None, Tensor]:
    ways = [
        Way(
            f"{group} of the {len(pictures)} pictures at a time.",
            partial(sample, request, batch, pictures, model, options, group, start, canvas, first_steps),
        )
        for group in _halving(models.compute.pictures_per_call or len(pictures))
    ]
    return (yield from with_recovery(ways, model, models, "sampling"))


def _decoded(
    request: GenerationRequest, latents: Tensor, model: Model, models: ModelManager, options: Options
) -> Generator[Notice, None, list[Image.Image]]:
    """Decoded whole; in strips where it is large or memory runs out; then with the strips' states in main memory."""
    wrap, main_memory = (request.tile_x, request.tile_y), torch.device("cpu")
    ways = [
        Way("decoded in strips.", partial(_decode, latents, model, tiled=tiled, wrap=wrap))
        for tiled in ([True] if _is_large(request, options) else [False, True])
    ]
    if models.compute.device.type != "cpu":
        kept = partial(_decode, latents, model, tiled=True, wrap=wrap, keep_on=main_memory)
        ways.append(Way("decoded in strips, from main memory.", kept))
    return (yield from with_recovery(ways, model, models, "decoding"))


def _is_large(request: GenerationRequest, options: Options) -> bool:
    return max(request.width, request.height) > options.tile_vae_above


def _start(
    request: GenerationRequest,
    pictures: Sequence[GenerationRequest],
    canvas: Canvas | None,
    model: Model,
    *,
    tiled: bool,
) -> Generator[Notice, None, Start]:
    yield from ()  # nothing to tell, but a generator as every stage is
    return start_of(request, pictures, canvas, model, tiled=tiled)


def _overlay(request: GenerationRequest, canvas: Canvas, start: Start, result: Tensor) -> Image.Image | None:
    """The mask by which soft inpainting lays a picture over its source; None is the canvas' own."""
    if canvas.mask is None or start.kept is None or not request.soft_inpainting:
        return None
    kept, size = start.kept, Size(*canvas.source.size)
    overlay = soft_overlay(request, kept.latents[0], result, kept.mask[0, 0], size, canvas.mask.region)
    # What the mask leaves out altogether stays to the last bit; in A1111 a trace of the result gets there by enlarging.
    reach = canvas.mask.overlay.point([255 * (value > 0) for value in range(256)])
    return ImageChops.darker(overlay, reach)


def _decode(
    latents: Tensor, model: Model, *, tiled: bool, wrap: tuple[bool, bool], keep_on: torch.device | None = None
) -> Generator[Notice, None, list[Image.Image]]:
    """Step 4. Yields nothing, but is a generator as every stage is."""
    pixels = decode(model.ready(model.vae), latents, tiled=tiled, keep_on=keep_on, wrap=wrap)
    if not torch.isfinite(pixels).all():
        raise NumericalFailure("The VAE's picture is not a number.")
    yield from ()
    return to_images(pixels)


def _halving(count: int) -> list[int]:
    """``count``, half of it, ... 1."""
    return [count] if count <= 1 else [count, *_halving(count // 2)]
