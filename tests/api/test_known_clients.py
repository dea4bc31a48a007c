"""What known programs send, field by field as they send it, made small; and A1111's own tests of its API."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest
from api_calls import base64_png

# the body of A1111's test_txt2img.py
TXT2IMG: dict[str, Any] = {
    "batch_size": 1,
    "cfg_scale": 7,
    "denoising_strength": 0,
    "enable_hr": False,
    "eta": 0,
    "firstphase_height": 0,
    "firstphase_width": 0,
    "height": 64,
    "n_iter": 1,
    "negative_prompt": "",
    "prompt": "example prompt",
    "restore_faces": False,
    "s_churn": 0,
    "s_noise": 1,
    "s_tmax": 0,
    "s_tmin": 0,
    "sampler_index": "Euler a",
    "seed": -1,
    "seed_resize_from_h": -1,
    "seed_resize_from_w": -1,
    "steps": 3,
    "styles": [],
    "subseed": -1,
    "subseed_strength": 0,
    "tiling": False,
    "width": 64,
}
# and of test_img2img.py
IMG2IMG: dict[str, Any] = {
    **{key: value for key, value in TXT2IMG.items() if not key.startswith(("firstphase", "enable_hr"))},
    "denoising_strength": 0.75,
    "include_init_images": False,
    "init_images": [base64_png(size=(64, 64))],
    "inpaint_full_res": False,
    "inpaint_full_res_padding": 0,
    "inpainting_fill": 0,
    "inpainting_mask_invert": False,
    "mask": None,
    "mask_blur": 4,
    "override_settings": {},
    "resize_mode": 0,
}


@pytest.fixture(scope="module", autouse=True)
def _tiny(ben: httpx2.Client) -> Any:
    """The tiny checkpoint, as a program chooses one."""
    assert ben.post("/sdapi/v1/options", json={"sd_model_checkpoint": "tiny"}).status_code == 200
    yield
    ben.post("/sdapi/v1/options", json={"sd_model_checkpoint": "lucid-starter"})


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"negative_prompt": "example negative prompt"},
        {"prompt": "((emphasis)), (emphasis1:1.1), [to:1], [from::2], [from:to:0.3], [alt|alt1]"},
        {"height": 128},
        {"enable_hr": True},
        {"tiling": True},
        {"sampler_index": "PLMS"},
        {"sampler_index": "DDIM"},
        {"sampler_index": "UniPC"},
        {"n_iter": 2},
        {"batch_size": 2},
    ],
)
def test_a1111_s_own_tests_of_txt2img(ben: httpx2.Client, change: dict[str, Any]) -> None:
    answer = ben.post("/sdapi/v1/txt2img", json=TXT2IMG | change)
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["images"]) == change.get("n_iter", 1) * change.get("batch_size", 1)


@pytest.mark.parametrize("change", [{}, {"mask": base64_png("white", (64, 64))}, {"inpainting_mask_invert": True}])
def test_a1111_s_own_tests_of_img2img(ben: httpx2.Client, change: dict[str, Any]) -> None:
    answer = ben.post("/sdapi/v1/img2img", json=IMG2IMG | change)
    assert answer.status_code == 200, answer.text


def test_sillytavern(ben: httpx2.Client) -> None:
    """It looks for the server with its options, chooses a model, waits until nothing runs, and draws."""
    assert ben.get("/sdapi/v1/options").json()["sd_model_checkpoint"].startswith("tiny")
    names = {path: ben.get(f"/sdapi/v1/{path}").json() for path in ("samplers", "schedulers", "upscalers", "sd-models")}
    assert all(row["name"] for row in names["samplers"] + names["schedulers"] + names["upscalers"])
    assert (
        ben.post("/sdapi/v1/options", json={"sd_model_checkpoint": names["sd-models"][1]["title"]}).status_code == 200
    )
    told = ben.get("/sdapi/v1/progress").json()
    assert told["progress"] == 0 and told["state"]["job_count"] == 0
    sent = {
        "url": "http://127.0.0.1:7860",
        "auth": "",
        "prompt": "a cat",
        "negative_prompt": "",
        "sampler_name": "DPM++ 2M",
        "scheduler": "karras",
        "steps": 2,
        "cfg_scale": 7,
        "width": 64,
        "height": 64,
        "restore_faces": False,
        "enable_hr": False,
        "hr_upscaler": "Latent",
        "hr_scale": 2,
        "hr_additional_steps": 0,
        "denoising_strength": 0.7,
        "hr_second_pass_steps": 0,
        "override_settings": {"CLIP_stop_at_last_layers": 1, "sd_vae": "Automatic"},
        "override_settings_restore_afterwards": True,
        "clip_skip": 1,
        "save_images": True,
        "send_images": True,
        "do_not_save_grid": False,
        "do_not_save_samples": False,
    }
    assert len(ben.post("/sdapi/v1/txt2img", json=sent).json()["images"]) == 1


def test_open_webui(ben: httpx2.Client) -> None:
    """It posts all options back with another checkpoint in them."""
    options = ben.get("/sdapi/v1/options").json()
    options["sd_model_checkpoint"] = ben.get("/sdapi/v1/sd-models").json()[1]["model_name"]
    assert ben.post("/sdapi/v1/options", json=options).status_code == 200
    sent = {"prompt": "a cat", "batch_size": 1, "width": 64, "height": 64, "steps": 2}
    assert len(ben.post("/sdapi/v1/txt2img", json=sent).json()["images"]) == 1


def test_librechat(ben: httpx2.Client) -> None:
    sent = {"prompt": "a cat", "negative_prompt": "dark", "steps": 2, "cfg_scale": 4.5, "width": 64, "height": 64}
    picture = ben.post("/sdapi/v1/txt2img", json=sent).json()["images"][0]
    told = ben.post("/sdapi/v1/png-info", json={"image": "data:image/png;base64," + picture}).json()
    assert told["info"].startswith("a cat\nNegative prompt: dark\nSteps: 2")


def test_cyanic(ben: httpx2.Client) -> None:
    """The plug-in of Krita asks for everything first, and restores no setting afterwards."""
    assert ben.get("/queue/status").json()["queue_size"] == 0
    for path in ("sd-models", "sd-vae", "samplers", "upscalers", "face-restorers", "prompt-styles", "scripts", "loras"):
        assert ben.get(f"/sdapi/v1/{path}").status_code == 200
    overrides = {"sd_model_checkpoint": "tiny", "sd_vae": "None", "img2img_color_correction": True}
    sent = {**IMG2IMG, "override_settings": overrides, "override_settings_restore_afterwards": False}
    sent |= {"refiner_checkpoint": "None", "refiner_switch_at": 0.8, "alwayson_scripts": {}}
    answer = ben.post("/sdapi/v1/img2img", json=sent)
    assert answer.status_code == 200, answer.text
    assert json.loads(answer.json()["info"])["sd_model_name"] == "tiny"
    assert ben.get("/sdapi/v1/options").json()["img2img_color_correction"] is False
