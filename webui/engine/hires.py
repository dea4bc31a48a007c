"""Hires fix: the first pass' latents enlarged, for the second pass to draw over.

Either they are stretched as they are (the six "Latent" modes), which leaves a blur that only a strong second pass draws away;
or they become a picture, which an upscaler enlarges, and latents again.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any, TypeVar

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from webui.domain.events import Loading, Notice, Preview, Step
from webui.domain.request import LATENT_PIXELS, GenerationRequest
from webui.domain.sizes import HiresTarget, Size
from webui.engine.enlarge import enlarge
from webui.engine.latents import encode, to_pixels
from webui.engine.model_manager import Model, ModelManager
from webui.engine.recovery import Way, with_recovery
from webui.engine.sampling import build_scheduler
from webui.engine.upscaler import Upscaler
from webui.errors import NumericalFailure

LATENT_MODES: Mapping[str, tuple[str, bool]] = MappingProxyType(  # name -> torch's interpolation, antialias
    {
        "Latent": ("bilinear", False),
        "Latent (antialiased)": ("bilinear", True),
        "Latent (bicubic)": ("bicubic", False),
        "Latent (bicubic antialiased)": ("bicubic", True),
        "Latent (nearest)": ("nearest", False),
        "Latent (nearest-exact)": ("nearest-exact", False),
    }
)

Result = TypeVar("Result")


def stretched(latents: Tensor, target: HiresTarget, mode: str) -> Tensor:
    """Latents (n, c, h, w) at the target's size, by one of ``LATENT_MODES``; what the target cuts off is not cut yet."""
    interpolation, antialias = LATENT_MODES[mode]
    size = (target.height // LATENT_PIXELS, target.width // LATENT_PIXELS)
    return functional.interpolate(latents, size=size, mode=interpolation, antialias=antialias)


def cut(latents: Tensor, target: HiresTarget) -> Tensor:
    """Without the rows and columns that lie beyond the finished picture: half at either side, the odd one behind."""
    height, width = latents.shape[2:]
    rows = slice(target.cut_y // 2, height - (target.cut_y + 1) // 2)
    columns = slice(target.cut_x // 2, width - (target.cut_x + 1) // 2)
    return latents[:, :, rows, columns]


def enlarged(
    images: Sequence[Image.Image],
    target: HiresTarget,
    upscaler: Upscaler | str,
    models: ModelManager,
) -> Generator[Loading | Notice, None, list[Image.Image]]:
    """The pictures at the target's size. Tells how far it is."""
    results = []
    name = upscaler if isinstance(upscaler, str) else upscaler.label
    for place, image in enumerate(images):
        working = enlarge(image, Size(target.width, target.height), upscaler, models)
        while True:
            try:
                event = next(working)
            except StopIteration as finished:
                results.append(finished.value)
                break
            if isinstance(event, Step):
                yield Loading(f"enlarging with {name}", (place + event.step / event.steps) / len(images))
            else:
                yield event
    return results


def encoded(
    images: Sequence[Image.Image], request: GenerationRequest, model: Model, models: ModelManager, *, large: bool
) -> Generator[Notice, None, Tensor]:
    """Latents of the enlarged pictures (n, c, h, w), in strips where they are ``large`` or memory runs out."""
    ways = [
        Way("encoded in strips.", partial(_encoded, images, request, model, tiled=tiled))
        for tiled in ([True] if large else [False, True])
    ]
    return (yield from with_recovery(ways, model, models, "encoding"))


def _encoded(
    images: Sequence[Image.Image], request: GenerationRequest, model: Model, *, tiled: bool
) -> Generator[Notice, None, Tensor]:
    yield from ()
    wrap = (request.tile_x, request.tile_y)
    latents = torch.cat([encode(model.ready(model.vae), to_pixels(image), tiled=tiled, wrap=wrap) for image in images])
    if not torch.isfinite(latents).all():
        raise NumericalFailure("What the VAE makes of the enlarged picture is not a number.")
    return latents


@dataclass(frozen=True)
class Calls:
    """Network calls of the two passes, 0 where a sampler decides by itself. ``counted`` is how A1111 counts the first's."""

    first: int
    second: int
    counted: int

    @classmethod
    def of(cls, request: GenerationRequest, second: GenerationRequest, model: Model) -> Calls:
        scheduler, steps = build_scheduler(request, model.checkpoint)
        later, _ = build_scheduler(second, model.checkpoint, from_picture=True)
        first_calls, second_calls = (0 if each.adaptive else len(each.timesteps) for each in (scheduler, later))
        return cls(first_calls, second_calls, steps * (1 if scheduler.adaptive else scheduler.order))

    @property
    def total(self) -> int:
        return self.first + self.second if self.first and self.second else 0


def counted_through(
    events: Generator[Any, None, Result], calls: Calls, *, is_second: bool
) -> Generator[Any, None, Result]:
    """Steps and previews of one pass as those of a whole, so that the progress does not begin anew."""
    before = calls.first if is_second else 0
    while True:
        try:
            event = next(events)
        except StopIteration as finished:
            result: Result = finished.value
            return result
        if isinstance(event, Step):
            event = replace(event, step=event.step + before, steps=calls.total)
        elif isinstance(event, Preview):
            event = replace(event, step=event.step + before)
        yield event
