"""Our loop against diffusers' own pipeline on the same tiny components."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, EulerDiscreteScheduler, StableDiffusionPipeline
from tiny import TINY_CONFIGS, tiny_components

from webui.engine.conditioning import Conditioning
from webui.engine.denoise import denoise, unet_network
from webui.engine.guidance import Guidance
from webui.engine.latents import decode
from webui.engine.samplers import build

BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
SCALE = 7.0


@pytest.fixture(scope="module")
def components():
    return tiny_components()


@pytest.fixture(scope="module")
def inputs():
    generator = torch.Generator().manual_seed(5)
    noise = torch.randn(2, 4, 8, 8, generator=generator)
    cond, uncond = (torch.randn(1, 77, 32, generator=generator) for _ in range(2))
    return noise, cond, uncond


def reference(components, scheduler, inputs, steps, output_type="latent", callback=None, rescale=0.0):
    noise, cond, uncond = inputs
    pipeline = StableDiffusionPipeline(
        **components,
        tokenizer=None,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline(
        prompt_embeds=cond.expand(2, -1, -1),
        negative_prompt_embeds=uncond.expand(2, -1, -1),
        latents=noise,
        num_inference_steps=steps,
        guidance_scale=SCALE,
        guidance_rescale=rescale,
        output_type=output_type,
        callback_on_step_end=callback,
    ).images


def ours(components, scheduler, inputs, pictures_per_call=None, guidance=None):
    noise, cond, uncond = inputs
    states = list(
        denoise(
            unet_network(components["unet"]),
            scheduler,
            noise * scheduler.init_noise_sigma,
            lambda level_from, level_to: torch.zeros_like(noise),
            guidance or Guidance(Conditioning(cond), Conditioning(uncond), SCALE),
            pictures_per_call,
        )
    )
    return states[-1].latents


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
@pytest.mark.parametrize(("schedule", "steps", "karras"), [("Uniform", 10, False), ("Karras", 20, True)])
def test_euler_equals_diffusers(components, inputs, prediction_type, schedule, steps, karras):
    theirs = EulerDiscreteScheduler(
        **BETAS, steps_offset=1, timestep_spacing="linspace", use_karras_sigmas=karras, prediction_type=prediction_type
    )
    expected = reference(components, theirs, inputs, steps)
    scheduler = build("Euler", schedule, steps, {**TINY_CONFIGS["scheduler"], "prediction_type": prediction_type})
    torch.testing.assert_close(ours(components, scheduler, inputs), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
def test_rescaled_guidance_equals_diffusers(components, inputs, prediction_type):
    theirs = EulerDiscreteScheduler(
        **BETAS, steps_offset=1, timestep_spacing="linspace", prediction_type=prediction_type
    )
    expected = reference(components, theirs, inputs, 10, rescale=0.7)
    scheduler = build("Euler", "Uniform", 10, {**TINY_CONFIGS["scheduler"], "prediction_type": prediction_type})
    drawn = ours(components, scheduler, inputs, guidance=Guidance(*map(Conditioning, inputs[1:]), SCALE, rescale=0.7))
    torch.testing.assert_close(drawn, expected, atol=1e-4, rtol=0)


def test_ddim_equals_diffusers_up_to_the_last_transition(components, inputs):
    """A1111's DDIM ends one transition before diffusers' does, so the comparison is with the latents before that."""
    steps, before_last = 20, {}

    def keep(pipeline, index, timestep, values):
        if index == steps - 2:
            before_last.update(values)
        return values

    theirs = DDIMScheduler(**BETAS, clip_sample=False, set_alpha_to_one=False, steps_offset=1)
    reference(components, theirs, inputs, steps, callback=keep)
    scheduler = build("DDIM", "Automatic", steps, TINY_CONFIGS["scheduler"])
    actual = ours(components, scheduler, inputs)
    torch.testing.assert_close(actual, before_last["latents"], atol=1e-4, rtol=0)


def test_the_decoded_picture_equals_diffusers(components, inputs):
    theirs = EulerDiscreteScheduler(**BETAS, steps_offset=1, timestep_spacing="linspace")
    expected = reference(components, theirs, inputs, 10, output_type="np")
    scheduler = build("Euler", "Uniform", 10, TINY_CONFIGS["scheduler"])
    pixels = decode(components["vae"], ours(components, scheduler, inputs), tiled=False)
    actual = ((pixels + 1) / 2).clamp(0, 1).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(actual, expected, atol=1e-4)


def test_a_picture_is_the_same_to_the_last_bit_alone_and_in_a_batch(components, inputs):
    noise, cond, uncond = inputs
    together, *alone = (
        ours(components, build("DPM++ 2M", "Karras", 6, TINY_CONFIGS["scheduler"]), (some, cond, uncond), 1)
        for some in (noise, noise[:1], noise[1:])
    )
    assert torch.equal(together, torch.cat(alone))
