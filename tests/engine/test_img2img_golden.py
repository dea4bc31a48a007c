"""img2img, inpainting and instruct-pix2pix against diffusers' own pipelines, on the same tiny networks and the same noise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
import torch
from diffusers import (
    EulerDiscreteScheduler,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionInstructPix2PixPipeline,
)
from diffusers.pipelines.stable_diffusion import (
    pipeline_stable_diffusion_img2img,
    pipeline_stable_diffusion_inpaint,
    pipeline_stable_diffusion_instruct_pix2pix,
)
from PIL import Image
from tiny_families import write_family

from webui.domain.img2img_steps import part_of_run
from webui.domain.request import GenerationRequest
from webui.engine.chunks import chunk_prompt
from webui.engine.device import Hardware, choose_compute
from webui.engine.drawn import Drawn
from webui.engine.generate import Options, Sources, generate_batch
from webui.engine.model_manager import Model, ModelManager, Selection
from webui.library.index import Library

CPU = choose_compute("cpu", "auto", Hardware())
STEPS = 10
REQUEST = GenerationRequest(
    prompt="a cat",
    negative_prompt="a dog",
    init_image="here",
    sampler="Euler",
    schedule="Uniform",
    steps=STEPS,
    width=64,
    height=64,
    cfg_scale=4.0,
    seed=11,
    rng="CPU",
    mask_blur_x=0,
    mask_blur_y=0,
)
EULER = EulerDiscreteScheduler(
    beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1, timestep_spacing="linspace"
)
MODULES = (
    pipeline_stable_diffusion_img2img,
    pipeline_stable_diffusion_inpaint,
    pipeline_stable_diffusion_instruct_pix2pix,
)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    folder = tmp_path_factory.mktemp("golden")
    for channels in (4, 8, 9):
        write_family(folder / f"channels-{channels}.safetensors", "sd1", in_channels=channels)
    library = Library({"checkpoint": (folder,)}, folder / "hashes.sqlite3")
    library.rescan()
    return library


@pytest.fixture
def model(library: Library, request: pytest.FixtureRequest) -> Iterator[tuple[ModelManager, Selection, Model]]:
    models = ModelManager(CPU, budget=2**33)
    selection = Selection(library.find("checkpoint", f"channels-{request.param}"))
    list(models.load(selection))
    with models.use(selection) as model:
        with torch.no_grad():  # no variance: what is drawn from the posterior is its mean, which we take
            model.vae.quant_conv.weight[4:] = 0
            model.vae.quant_conv.bias[4:] = -60
        yield models, selection, model


def photo() -> Image.Image:
    y, x = np.mgrid[:64, :64]
    return Image.fromarray(np.stack([4 * x, 4 * y, 255 - 2 * (x + y)], -1).astype(np.uint8))


def ours(model, request: GenerationRequest, mask: Image.Image | None = None) -> np.ndarray:
    models, selection, _ = model
    sources = Sources(photo(), mask)
    *_, drawn = generate_batch(request, 0, models, selection, Options(preview="off"), sources)
    assert isinstance(drawn, Drawn)
    return np.asarray(drawn.image, int)


def theirs(model, pipeline_class, request: GenerationRequest, **more) -> np.ndarray:
    _, _, loaded = model
    parts = {"vae": loaded.vae, "unet": loaded.checkpoint.unet, "text_encoder": None, "tokenizer": None}
    pipeline = pipeline_class(
        **parts, scheduler=EULER, safety_checker=None, feature_extractor=None, requires_safety_checker=False
    )
    pipeline.set_progress_bar_config(disable=True)

    def told(text: str) -> torch.Tensor:
        prompts = (chunk_prompt(text, loaded.tokenizer),)
        return loaded.condition(prompts, request, is_negative=False).text

    noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(request.seed))
    with ExitStack() as stack:
        for module in MODULES:
            stack.enter_context(patch.object(module, "randn_tensor", lambda *args, **options: noise))
        pictures = pipeline(
            prompt_embeds=told(request.prompt),
            negative_prompt_embeds=told(request.negative_prompt),
            image=photo(),
            num_inference_steps=STEPS,
            guidance_scale=request.cfg_scale,
            output_type="np",
            **more,
        ).images
    return (pictures[0] * 255).astype(np.uint8).astype(int)


def strength_of(request: GenerationRequest) -> float:
    """diffusers rounds otherwise: it leaves out the step that A1111 always takes."""
    return part_of_run(STEPS, request.denoising_strength).taken / STEPS


def close(found: np.ndarray, expected: np.ndarray) -> bool:
    return bool(np.abs(found - expected).max() <= 2)


@pytest.mark.parametrize("model", [4], indirect=True)
@pytest.mark.parametrize("strength", [0.3, 0.5, 0.75])
def test_img2img(model, strength):
    request = replace(REQUEST, denoising_strength=strength)
    expected = theirs(model, StableDiffusionImg2ImgPipeline, request, strength=strength_of(request))
    assert close(ours(model, request), expected)
    assert not close(ours(model, replace(request, denoising_strength=strength + 0.15)), expected)


def half() -> Image.Image:
    mask = Image.new("L", (64, 64))
    mask.paste(255, (24, 0, 64, 64))
    return mask


@pytest.mark.parametrize("model", [4], indirect=True)
@pytest.mark.parametrize("strength", [0.5, 0.8])
def test_inpainting_with_any_checkpoint(model, strength):
    """diffusers lays the noised source under each result. Without noise that the sampler adds it is the same."""
    request = replace(REQUEST, mask="here", denoising_strength=strength)
    expected = theirs(model, StableDiffusionInpaintPipeline, request, mask_image=half(), strength=strength_of(request))
    found = ours(model, request, half())
    assert close(found[:, 24:], expected[:, 24:])
    assert np.array_equal(found[:, :24], np.asarray(photo(), int)[:, :24])


@pytest.mark.parametrize("model", [9], indirect=True)
def test_what_an_inpainting_checkpoint_sees(model):
    """diffusers keeps nothing of the source for those; with a mask that is all white there is nothing to keep."""
    white = Image.new("L", (64, 64), 255)
    request = replace(REQUEST, mask="here", denoising_strength=0.6)
    expected = theirs(model, StableDiffusionInpaintPipeline, request, mask_image=white, strength=strength_of(request))
    assert close(ours(model, request, white), expected)
    assert not close(ours(model, request, half())[:, 24:], expected[:, 24:])
    lighter = replace(request, conditioning_mask_strength=0.5)
    assert not close(ours(model, lighter, white), expected)


@pytest.mark.parametrize("model", [9], indirect=True)
def test_an_inpainting_checkpoint_draws_without_a_picture(model):
    models, selection, _ = model
    request = replace(REQUEST, init_image="")
    *_, drawn = generate_batch(request, 0, models, selection, Options(preview="off"))
    assert drawn.image.size == (64, 64)


@pytest.mark.parametrize("model", [8], indirect=True)
@pytest.mark.parametrize("image_scale", [1.5, 1.0])
def test_instructions(model, image_scale):
    """diffusers begins with noise alone. So does ours when the source's latents are nothing: masked, and left empty."""
    request = replace(
        REQUEST, mask="here", masked_content="latent nothing", denoising_strength=1.0, image_cfg_scale=image_scale
    )
    with patch("webui.engine.canvas.filled", lambda picture, mask: picture):  # the network is to see the picture
        found = ours(model, request, Image.new("L", (64, 64), 255))
    expected = theirs(model, StableDiffusionInstructPix2PixPipeline, request, image_guidance_scale=image_scale)
    assert close(found, expected)
