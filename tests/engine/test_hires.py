"""Hires fix: two passes, of which the second draws over what the first began."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from webui.domain.events import Step
from webui.domain.request import GenerationRequest
from webui.domain.second_pass import second_pass, target_of
from webui.domain.sizes import HiresTarget
from webui.engine.denoise import denoise
from webui.engine.drawn import Drawn
from webui.engine.generate import Options, generate_batch
from webui.engine.hires import LATENT_MODES, cut
from webui.engine.model_manager import Selection
from webui.engine.noise import BatchNoise, PictureNoise
from webui.engine.sampling import build_scheduler, guided_by_prompts, sampling_noise
from webui.errors import InvalidRequest

OFF = Options(preview="off")


def request(**fields):
    small = {
        "seed": 5,
        "steps": 4,
        "width": 64,
        "height": 64,
        "sampler": "Euler",
        "hires": True,
        "denoising_strength": 0.6,
    }
    return GenerationRequest(**{**small, **fields})


def drawn(models, selection, asked, second=None):
    events = list(generate_batch(asked, 0, models, selection, OFF, second=second))
    return [event.image for event in events if isinstance(event, Drawn)], events


def run(model, asked, scheduler, latents, noise, guidance):
    states = denoise(model.network(), scheduler, latents, sampling_noise(scheduler, noise), guidance)
    return list(states)[-1].latents


@pytest.fixture
def tiny(tiny_library):
    return Selection(tiny_library.find("checkpoint", "a"))


@pytest.mark.parametrize(
    ("fields", "target", "drawn_size"),
    [
        ({"width": 512, "height": 512}, (1024, 1024, 0, 0), (1024, 1024)),
        ({"width": 512, "height": 768, "hires_scale": 1.5}, (768, 1152, 0, 0), (768, 1152)),
        ({"width": 512, "height": 512, "hires_scale": 1.3}, (665, 665, 0, 0), (664, 664)),
        ({"width": 512, "height": 768, "hires_width": 1024}, (1024, 1536, 0, 0), (1024, 1536)),
        ({"width": 512, "height": 768, "hires_height": 1024}, (682, 1024, 0, 0), (680, 1024)),
        ({"width": 512, "height": 768, "hires_width": 1024, "hires_height": 1024}, (1024, 1536, 0, 64), (1024, 1024)),
        ({"width": 512, "height": 512, "hires_width": 1024, "hires_height": 768}, (1024, 1024, 0, 32), (1024, 768)),
    ],
)
def test_where_the_second_pass_draws_is_a1111s(fields, target, drawn_size):
    asked = request(**fields)
    second = second_pass(asked)
    assert tuple(target_of(asked)) == target
    assert (second.width, second.height) == drawn_size
    assert second.exact_steps and not second.draws_twice


def test_what_is_empty_is_as_in_the_first_pass():
    asked = request(prompt="a", cfg_scale=3.0)
    second = second_pass(asked)
    assert (second.prompt, second.steps, second.sampler, second.cfg_scale) == ("a", 4, "Euler", 3.0)
    other = second_pass(
        request(hires_prompt="b", hires_steps=9, hires_sampler="Heun", hires_cfg_scale=2.0, hires_checkpoint="x")
    )
    assert (other.prompt, other.steps, other.sampler, other.cfg_scale, other.checkpoint) == ("b", 9, "Heun", 2.0, "x")
    with pytest.raises(InvalidRequest, match="Hires fix would draw 16384 x 128"):
        second_pass(request(width=8192, height=64))


def test_latents_are_cut_half_at_either_side():
    latents = torch.arange(10.0).reshape(1, 1, 10, 1).expand(1, 1, 10, 6)
    left = cut(latents, HiresTarget(48, 80, cut_x=1, cut_y=3))
    assert left[0, 0, :, 0].tolist() == [1, 2, 3, 4, 5, 6, 7] and left.shape[3] == 5


@pytest.mark.parametrize("mode", LATENT_MODES)
def test_the_second_pass_is_img2img_on_the_stretched_latents(mode, models, tiny):
    """Put together here from its parts: Euler's own schedule, the seed's noise at the new size, exactly the steps asked for."""
    asked = request(hires_upscaler=mode, hires_scale=1.5, prompt="a dot")
    images, events = drawn(models, tiny, asked)
    assert images[0].size == (96, 96)
    steps = [event for event in events if isinstance(event, Step)]
    assert [event.step for event in steps] == list(range(1, 9)) and {event.steps for event in steps} == {8}

    second = second_pass(asked)
    first = request(hires=False, prompt="a dot")
    with models.use(tiny) as model, torch.inference_mode():
        scheduler, counted = build_scheduler(first, model.checkpoint)
        noise = BatchNoise([PictureNoise.of(first, 4, model.compute.device)])
        latents = noise.first() * scheduler.init_noise_sigma
        latents = run(model, first, scheduler, latents, noise, guided_by_prompts(first, scheduler, model, counted))
        interpolation, antialias = LATENT_MODES[mode]
        large = functional.interpolate(latents, size=(12, 12), mode=interpolation, antialias=antialias)
        scheduler, counted = build_scheduler(second, model.checkpoint, from_picture=True)
        assert (counted, scheduler.num_inference_steps) == (4, 4)
        noise = BatchNoise([PictureNoise.of(second, 4, model.compute.device)])
        latents = large + noise.first() * scheduler.sigma
        latents = run(model, second, scheduler, latents, noise, guided_by_prompts(second, scheduler, model, counted, 4))
        expected = model.vae.decode(latents / model.vae.config.scaling_factor, return_dict=False)[0]
    pixels = ((expected[0] + 1) / 2).clamp(0, 1).mul(255).byte().permute(1, 2, 0).numpy()
    assert np.abs(np.asarray(images[0], int) - pixels.astype(int)).max() <= 1


def test_a_batch_draws_what_each_picture_alone_would_be(models, tiny):
    both, _ = drawn(models, tiny, request(batch_size=2, hires_upscaler="Nearest"))
    alone, _ = drawn(models, tiny, request(hires_upscaler="Nearest").picture(1))
    assert both[1] == alone[0] and both[0] != both[1]


def test_the_second_pass_may_have_a_checkpoint_of_its_own(models, tiny, tiny_library):
    other = Selection(tiny_library.find("checkpoint", "b"))
    same, _ = drawn(models, tiny, request(hires_upscaler="Lanczos"))
    changed, _ = drawn(models, tiny, request(hires_upscaler="Lanczos"), second=other)
    assert changed[0].size == same[0].size == (128, 128) and changed[0] != same[0]


def test_on_the_starter_there_is_one_object_still_of_its_colour_on_its_ground(starter_models):
    """128 is the starter's own size. Four times the pixels, and still one red circle on blue."""
    models, selection = starter_models
    asked = request(
        prompt="a red circle on a blue background", width=128, height=128, steps=16, cfg_scale=3.0, hires_steps=8,
        denoising_strength=0.4, hires_upscaler="Lanczos", sampler="DPM++ 2M",
    )  # fmt: skip
    (small,), _ = drawn(models, selection, request(**{**vars(asked), "hires": False}))
    (large,), _ = drawn(models, selection, asked)
    assert large.size == (256, 256)
    pixels = np.asarray(large.resize((128, 128), Image.Resampling.BOX), float)
    red = (pixels[..., 0] > pixels[..., 2] + 40).mean()
    before = np.asarray(small, float)
    assert abs(red - (before[..., 0] > before[..., 2] + 40).mean()) < 0.08 and red > 0.03
    corners = pixels[[4, 4, -5, -5], [4, -5, 4, -5]]
    assert (corners[:, 2] > corners[:, 0]).all()
    assert np.abs(pixels - before).mean() < 25
    is_red = pixels[..., 0] > pixels[..., 2] + 40
    assert _islands(is_red) == 1


def _islands(mask: np.ndarray) -> int:
    """Connected parts of more than 1 % of the picture."""
    left, count = mask.copy(), 0
    while left.any():
        waiting, size = [tuple(np.argwhere(left)[0])], 0
        while waiting:
            y, x = waiting.pop()
            if 0 <= y < left.shape[0] and 0 <= x < left.shape[1] and left[y, x]:
                left[y, x] = False
                size += 1
                waiting += [(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)]
        count += size > mask.size // 100
    return count
