"""Programs of others, unchanged: ``webuiapi`` asks, ``sd-parsers`` and ``sd-prompt-reader`` read what comes back."""

from __future__ import annotations

import base64
import io
from typing import Any

import httpx2
import pytest
import webuiapi
from api_calls import SMALL
from PIL import Image
from sd_parsers import ParserManager
from sd_prompt_reader.image_data_reader import ImageDataReader

FIXED = {name: value for name, value in SMALL.items() if name != "cfg_scale"}


@pytest.fixture(scope="module")
def api(port: int, tokens: dict[str, str]) -> Any:
    return webuiapi.WebUIApi(host="127.0.0.1", port=port, username="ben", password=tokens["ben"], steps=2)


def test_webuiapi_draws(api: Any) -> None:
    result = api.txt2img(prompt="a red apple", negative_prompt="dark", **FIXED)
    assert result.image.size == (128, 128) and result.info["seed"] == 1
    assert result.info["sampler_name"] == "Euler a" and result.parameters["prompt"] == "a red apple"
    over = api.img2img(images=[result.image], prompt="a green apple", steps=3, width=128, height=128, seed=2)
    assert over.image.size == (128, 128)
    mask = Image.new("L", (128, 128), 255)
    inpainted = api.img2img(images=[result.image], mask_image=mask, inpainting_fill=1, **FIXED, n_iter=2)
    assert len(inpainted.images) == 2
    styled = api.txt2img(styles=[], sampler_name="DDIM", scheduler="Karras", **FIXED)
    assert styled.info["sampler_name"] == "DDIM"


def test_webuiapi_enlarges_and_reads(api: Any) -> None:
    picture = api.txt2img(prompt="a dog", **FIXED).image
    large = api.extra_single_image(image=picture, upscaler_1="Lanczos", upscaling_resize=1.5)
    assert large.image.size == (192, 192) and "a dog" in large.info
    several = api.extra_batch_images(images=[picture, picture], upscaler_1="Nearest", upscaling_resize=2)
    assert [one.size for one in several.images] == [(256, 256)] * 2
    assert api.png_info(picture).info.startswith("a dog\nSteps: 2, Sampler: Euler a")


def test_webuiapi_asks_what_there_is(api: Any) -> None:
    assert "Euler a" in api.util_get_sampler_names() and "karras" in [row["name"] for row in api.get_schedulers()]
    assert len(api.util_get_scheduler_names()) > 10
    assert [row["name"] for row in api.get_upscalers()][:3] == ["None", "Lanczos", "Nearest"]
    assert len(api.get_latent_upscale_modes()) == 6
    lists = (api.get_sd_vae, api.get_loras, api.get_hypernetworks, api.get_face_restorers, api.get_realesrgan_models)
    assert [ask() for ask in lists] == [[]] * len(lists)
    assert api.get_prompt_styles() == [] and api.get_embeddings() == {"loaded": {}, "skipped": {}}
    assert api.get_scripts()["txt2img"] == [] and api.get_memory()["ram"]["total"] > 0
    assert api.refresh_checkpoints() is None
    assert not [value for value in api.get_cmd_flags().values() if isinstance(value, str)]


def test_webuiapi_chooses_a_model_for_itself_alone(api: Any, anna: httpx2.Client) -> None:
    titles = {row["model_name"]: row["title"] for row in api.get_sd_models()}
    assert set(titles) == {"lucid-starter", "tiny"}
    api.util_set_model("tiny")
    assert api.util_get_current_model() == titles["tiny"]
    assert api.txt2img(**FIXED).info["sd_model_name"] == "tiny"
    assert anna.get("/sdapi/v1/options").json()["sd_model_checkpoint"].startswith("lucid-starter.safetensors")
    api.set_options({"sd_model_checkpoint": titles["lucid-starter"]})
    assert api.txt2img(**FIXED).info["sd_model_name"] == "lucid-starter"


def test_webuiapi_stops_and_waits(api: Any) -> None:
    assert api.interrupt() == {} and api.skip() is None
    assert api.get_progress()["state"]["job_count"] == 0
    api.util_wait_for_ready(check_interval=0.01)


def test_what_webuiapi_cannot_have_is_refused_and_said(api: Any) -> None:
    with pytest.raises(RuntimeError, match="no interrogator"):
        api.interrogate(Image.new("RGB", (8, 8)))
    with pytest.raises(RuntimeError, match="no sampler"):
        api.txt2img(sampler_name="Eulr", **FIXED)
    with pytest.raises(RuntimeError, match=r'no upscaler \\\\"Lanzcos\\\\". Did you mean \\\\"Lanczos'):
        api.extra_single_image(Image.new("RGB", (8, 8)), upscaler_1="Lanzcos")
    with pytest.raises(RuntimeError, match="no face restoration"):
        api.extra_single_image(Image.new("RGB", (8, 8)), codeformer_visibility=1)


def test_readers_of_pictures_find_what_was_asked_for(anna: httpx2.Client) -> None:
    sent = {**SMALL, "prompt": "a red apple", "negative_prompt": "dark, blurry", "sampler_name": "Heun"}
    data = base64.b64decode(anna.post("/sdapi/v1/txt2img", json=sent).json()["images"][0])
    with Image.open(io.BytesIO(data)) as picture:
        parsed = ParserManager().parse(picture)
    assert parsed is not None
    assert [prompt.value for prompt in parsed.prompts] == ["a red apple"]
    assert [prompt.value for prompt in parsed.negative_prompts] == ["dark, blurry"]
    (sampler,) = parsed.samplers
    assert sampler.name == "Heun" and sampler.parameters["seed"] == "1"
    read = ImageDataReader(io.BytesIO(data))
    assert read.tool == "A1111 webUI" and (read.positive, read.negative) == ("a red apple", "dark, blurry")
    assert read.parameter["seed"] == "1" and read.parameter["size"] == "128x128"
