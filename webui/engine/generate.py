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
from functools import partial

import torch
from PIL import Image, ImageChops
from torch import Tensor

from webui.domain.events import Loading, Notice, Preview, Step
from webui.domain.request import GenerationRequest
from webui.domain.sizes import Size
from webui.engine.canvas import Canvas, Sources, canvas_of
from webui.engine.drawn import Drawn
from webui.engine.latents import decode, to_images
from webui.engine.model_manager import Model, ModelManager, Selection
from webui.engine.recovery import Way, with_recovery
from webui.engine.sampling import Options, sample
from webui.engine.seamless import seamless
from webui.engine.soft_overlay import soft_overlay
from webui.engine.start import Start, start_of
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
) -> Iterator[Loading | Step | Preview | Notice | Drawn]:
    """Draw batch number ``batch`` (0 ... batch_count - 1) of the request; ends with a ``Drawn`` for each picture.

    Each picture is the one that ``request.picture(index)`` draws alone. ``sources`` are the input pictures that the request
    names.
    """
    first = batch * request.batch_size
    pictures = [request.picture(index) for index in range(first, first + request.batch_size)]
    canvas = canvas_of(request, sources)
    if canvas is not None and batch == 0:
        yield from map(Notice, canvas.notices)
    if canvas is not None and canvas.stays:
        images = [canvas.finished(canvas.picture)] * len(pictures)
    else:
        images = yield from _drawn(request, batch, pictures, canvas, models, selection, options)
    for index, picture, image in zip(range(first, first + len(pictures)), pictures, images, strict=True):
        yield Drawn(index, picture.seed, image)


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
    is_large = max(request.width, request.height) > options.tile_vae_above
    with models.use(selection) as model, seamless([*model.unets, model.vae], request.tile_x, request.tile_y):
        start = yield from with_recovery(
            [
                Way("encoded in strips.", partial(_start, request, pictures, canvas, model, tiled=tiled))
                for tiled in ([True] if is_large else [False, True])
            ],
            model,
            models,
            "encoding",
        )
        latents = yield from with_recovery(
            [
                Way(
                    f"{group} of the {len(pictures)} pictures at a time.",
                    partial(sample, request, batch, pictures, model, options, group, start, canvas),
                )
                for group in _halving(models.compute.pictures_per_call or len(pictures))
            ],
            model,
            models,
            "sampling",
        )
        wrap = (request.tile_x, request.tile_y)
        images = yield from with_recovery(
            [
                Way("decoded in strips.", partial(_decode, latents, model, tiled=tiled, wrap=wrap))
                for tiled in ([True] if is_large else [False, True])
            ],
            model,
            models,
            "decoding",
        )
    if canvas is None:
        return images
    return [
        canvas.finished(image, _overlay(request, canvas, start.rows(slice(row, row + 1)), latents[row]))
        for row, image in enumerate(images)
    ]


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
    latents: Tensor, model: Model, *, tiled: bool, wrap: tuple[bool, bool]
) -> Generator[Notice, None, list[Image.Image]]:
    """Step 4. Yields nothing, but is a generator as every stage is."""
    pixels = decode(model.vae, latents, tiled=tiled, wrap=wrap)
    if not torch.isfinite(pixels).all():
        raise NumericalFailure("The VAE's picture is not a number.")
    yield from ()
    return to_images(pixels)


def _halving(count: int) -> list[int]:
    """``count``, half of it, ... 1."""
    return [count] if count <= 1 else [count, *_halving(count // 2)]
