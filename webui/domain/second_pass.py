"""The second pass of hires fix as a request of its own: where it draws, and with what."""

from __future__ import annotations

import dataclasses

from webui.domain.request import PARAMETERS, GenerationRequest
from webui.domain.sizes import HiresTarget, Size, hires_target
from webui.errors import InvalidRequest


def target_of(request: GenerationRequest) -> HiresTarget:
    """How far the first pass' picture is enlarged, and what of it is cut off then."""
    return hires_target(Size(request.width, request.height), request.hires_scale, request.resizes_to)


def second_pass(request: GenerationRequest) -> GenerationRequest:
    """The request by which the enlarged latents are drawn over. Its prompts count steps on from the first pass.

    As in A1111 it takes exactly its steps whatever the denoising strength, and noise is drawn anew from the same seed, at
    the new size. Raises ``InvalidRequest`` for a size that cannot be drawn.
    """
    width, height = target_of(request).picture
    for side, name in ((width, "width"), (height, "height")):
        declared = PARAMETERS[name]
        if not (declared.minimum or 0) <= side <= (declared.maximum or 0):
            raise InvalidRequest(
                f"Hires fix would draw {width} x {height} pixels; a side must be between {declared.minimum} and "
                f"{declared.maximum}. Change its factor or size.",
                "hires_scale" if request.resizes_to == (0, 0) else f"hires_{name}",
            )
    return dataclasses.replace(
        request,
        hires=False,
        width=width,
        height=height,
        steps=request.hires_steps or request.steps,
        sampler=request.hires_sampler or request.sampler,
        schedule=request.hires_schedule or request.schedule,
        cfg_scale=request.hires_cfg_scale or request.cfg_scale,
        prompt=request.hires_prompt or request.prompt,
        negative_prompt=request.hires_negative_prompt or request.negative_prompt,
        exact_steps=True,
        noise_multiplier=1.0,  # A1111 knows it for img2img only
        checkpoint=request.hires_checkpoint or request.checkpoint,
        checkpoint_hash="" if request.hires_checkpoint else request.checkpoint_hash,
    )
