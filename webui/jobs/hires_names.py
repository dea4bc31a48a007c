"""The names that a request with hires fix, a refiner or SD upscale holds, as they stand in the tables and among the model files."""

from __future__ import annotations

import dataclasses

from webui.domain.enlarging import NO_UPSCALER, RESAMPLERS
from webui.domain.hires_options import LATENT_UPSCALERS
from webui.domain.request import GenerationRequest
from webui.domain.sampler_names import find_sampler_and_schedule
from webui.library.index import Library


def upscaler_name(library: Library, name: str) -> str:
    """An upscaler of pictures, by its name in full. ``ModelNotFound`` names near matches."""
    for known in (NO_UPSCALER, *RESAMPLERS):
        if name.casefold() == known.casefold():
            return known
    return library.find("upscaler", name).name


def refiner_name(library: Library, request: GenerationRequest) -> str:
    """The second checkpoint, in full where it means something."""
    name = request.refiner_checkpoint
    return library.find("checkpoint", name).name if request.refines else name


def tile_upscaler_name(library: Library, request: GenerationRequest) -> str:
    """What enlarges in SD upscale, in full where it means something."""
    name = request.sd_upscale_upscaler
    return upscaler_name(library, name) if request.upscales_in_tiles else name


def named_in_full(library: Library, request: GenerationRequest) -> GenerationRequest:
    """The request with the names of its second pass in full. "None" enlarges by Lanczos, as in A1111."""
    modes = {mode.casefold(): mode for mode in LATENT_UPSCALERS}
    upscaler = modes.get(request.hires_upscaler.casefold()) or upscaler_name(library, request.hires_upscaler)
    checkpoint, sampler, schedule = request.hires_checkpoint, request.hires_sampler, request.hires_schedule
    if sampler or schedule:
        found = find_sampler_and_schedule(sampler or request.sampler, schedule or request.schedule)
        sampler = found[0].name if sampler else ""
        schedule = "" if found[1].name == request.schedule else found[1].name
    return dataclasses.replace(
        request,
        hires_upscaler=RESAMPLERS[0] if upscaler == NO_UPSCALER else upscaler,
        hires_sampler=sampler,
        hires_schedule=schedule,
        hires_checkpoint=library.find("checkpoint", checkpoint).name if checkpoint else "",
    )
