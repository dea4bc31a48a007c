"""The sampling loop: ask the network, let the sampler take a step, tell what came of it. All else is arrangement."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from webui.engine.conditioning import Conditioning
from webui.engine.guidance import Guide, Network, predict
from webui.engine.kept_latents import AnyKept
from webui.engine.schedulers.solver import Noise, Solver
from webui.errors import NumericalFailure


@dataclass(frozen=True)
class Denoised:
    """After one call of the network.

    ``latents`` is the sampler's state and ``predicted`` what the network takes the finished picture to be, both (n, c, h, w)
    in float32. ``step`` counts network calls from 1 to ``steps``, or to an unknown number where that is 0; ``sigma`` is the
    noise level that was asked about.
    """

    step: int
    steps: int
    sigma: float
    latents: Tensor
    predicted: Tensor


def denoise(
    network: Network,
    scheduler: Solver,
    latents: Tensor,
    noise: Noise,
    guidance: Guide,
    pictures_per_call: int | None = None,
    beside: Tensor | None = None,
    kept: AnyKept | None = None,
) -> Iterator[Denoised]:
    """Subtract predicted noise from ``latents`` (n, c, h, w, float32, as noisy as the first level) step by step.

    A generator: who pulls it owns progress, preview and stopping. ``guidance`` is asked before each call of the network.
    ``noise`` is what samplers that add noise draw from; ``pictures_per_call`` bounds how many pictures share a call.
    ``beside`` (n, k, h, w) is what a network for inpainting and the like sees behind the latents' channels, at every step.
    ``kept`` is what inpainting puts in place of a part of each prediction. An
    ``adaptive`` scheduler wants a single picture, or the pictures of a batch would depend on one another. Raises
    ``NumericalFailure`` as soon as a prediction is not finite.
    """
    steps = 0 if scheduler.adaptive else len(scheduler.timesteps)
    calls = scheduler.num_inference_steps * scheduler.order  # as A1111 counts: two for each step of Heun, also the last
    group = pictures_per_call or len(latents)
    latents = scheduler.begin(latents, noise)
    while not scheduler.done:
        with torch.inference_mode():
            sigma, timestep = scheduler.sigma, scheduler.timestep
            here = guidance.at(scheduler.call)
            wants_uncond = here.wants_uncond(scheduler.call, calls, sigma)
            here = replace(here, scale=here.scale * scheduler.cfg_factor) if wants_uncond else here.without_uncond()
            pair = wants_uncond and scheduler.needs_uncond
            scaled = scheduler.scale_model_input(latents)
            seen = [None] * len(latents) if beside is None else torch.split(beside, group)
            said = [
                predict(network, x, timestep, here, beside=more, pair=pair)
                for x, more in zip(torch.split(scaled, group), seen, strict=False)
            ]
            predicted = scheduler.predict_x0(torch.cat([each.guided for each in said]), latents)
            uncond = scheduler.predict_x0(torch.cat([each.uncond for each in said]), latents) if pair else None
            if not torch.isfinite(predicted).all():
                raise NumericalFailure(f"The network's prediction at step {scheduler.call + 1} is not a number.")
            if kept is not None:
                predicted = kept.during(predicted, sigma)
            latents = scheduler.advance(predicted, uncond)
        yield Denoised(scheduler.call, steps, sigma, latents, predicted)


def unet_network(unet: torch.nn.Module) -> Network:
    """The ONE place that calls the U-Net: in its own precision, its answer in float32."""
    dtype = next(unet.parameters()).dtype

    def network(x: Tensor, timestep: float, told: Conditioning) -> Tensor:
        added = None
        if told.pooled is not None:
            added = {"text_embeds": told.pooled.to(dtype), "time_ids": told.time_ids}
        text = told.text.to(dtype)
        answer = unet(x.to(dtype), timestep, encoder_hidden_states=text, added_cond_kwargs=added, return_dict=False)
        return answer[0].float()  # type: ignore[no-any-return]

    return network
