"""Every sampler of the table as the scheduler of a diffusers pipeline."""

import diffusers
import pytest
import torch
from diffusers import StableDiffusionImg2ImgPipeline, StableDiffusionPipeline
from tiny import TINY_CONFIGS, tiny_components

from webui.engine.samplers import SCHEDULER_CLASSES

each = pytest.mark.parametrize("name", [name for name, cls in SCHEDULER_CLASSES.items() if not cls.adaptive])
ADAPTIVE = [name for name, cls in SCHEDULER_CLASSES.items() if cls.adaptive]

# at the second of 5 steps: PLMS makes one call more at its start than anywhere else, DPM fast is in the middle of a step
CANNOT_BEGIN_THERE = {"PLMS", "DPM fast"}


@pytest.fixture(scope="module")
def parts():
    made = tiny_components()
    return {"vae": made["vae"], "unet": made["unet"], "text_encoder": None, "tokenizer": None}


def draw(parts, scheduler, kind=StableDiffusionPipeline, pictures=(0, 1), steps=5, **more):
    """Latents (pictures, 4, 8, 8); a picture's number is its seed and its prompt."""
    pipe = kind(
        **parts, scheduler=scheduler, safety_checker=None, feature_extractor=None, requires_safety_checker=False
    )
    pipe.set_progress_bar_config(disable=True)
    text = torch.linspace(-1, 1, 2 * 77 * 32).reshape(2, 77, 32)[list(pictures)]
    return pipe(
        prompt_embeds=text,
        negative_prompt_embeds=-text,
        num_inference_steps=steps,
        guidance_scale=3.0,
        generator=[torch.Generator().manual_seed(picture) for picture in pictures],
        output_type="latent",
        **more,
    ).images


@each
def test_takes_the_place_of_the_pipelines_own(parts, name):
    """From the configuration that comes with Stable Diffusion; each picture the same alone and beside another."""
    theirs = diffusers.PNDMScheduler(**TINY_CONFIGS["scheduler"], skip_prk_steps=True, steps_offset=1)
    scheduler = SCHEDULER_CLASSES[name].from_config(theirs.config)
    both = draw(parts, scheduler, steps=3)
    assert both.isfinite().all()
    assert 0.1 < both.std() < 30
    alone = draw(parts, scheduler, pictures=(1,), steps=3)
    torch.testing.assert_close(alone[0], both[1], rtol=1e-3, atol=1e-3)


@each
def test_begins_in_the_middle_or_says_that_it_cannot(parts, name):
    image = torch.linspace(-1, 1, 2 * 4 * 8 * 8).reshape(2, 4, 8, 8)
    scheduler = SCHEDULER_CLASSES[name](**TINY_CONFIGS["scheduler"])
    try:
        drawn = draw(parts, scheduler, StableDiffusionImg2ImgPipeline, image=image, strength=0.6)
    except ValueError as error:
        assert "cannot begin at network call" in str(error)
        assert name in CANNOT_BEGIN_THERE
    else:
        assert drawn.isfinite().all()
        assert name not in CANNOT_BEGIN_THERE


@pytest.mark.parametrize("name", ADAPTIVE)
def test_one_that_finds_its_timesteps_on_the_way_is_refused(parts, name):
    with pytest.raises(ValueError, match="begin, predict_x0 and advance"):
        draw(parts, SCHEDULER_CLASSES[name](**TINY_CONFIGS["scheduler"]))
