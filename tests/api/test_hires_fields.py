"""Hires fix and the refiner by A1111's fields."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest
from api_calls import pixels

from webui.api.options import CallerOptions
from webui.api.payloads import prepare
from webui.runtime import Runtime

TINY = {"width": 64, "height": 64, "steps": 2, "seed": 1, "override_settings": {"sd_model_checkpoint": "tiny"}}


def read(runtime: Runtime, sent: dict[str, Any]) -> Any:
    return prepare(runtime, CallerOptions(runtime, Path("nowhere")), sent, "txt2img", "local").request


def test_hires_fix_draws_twice(anna: httpx2.Client) -> None:
    sent = {**TINY, "enable_hr": True, "hr_scale": 1.5, "hr_upscaler": "Lanczos", "denoising_strength": 0.5}
    answer = anna.post("/sdapi/v1/txt2img", json={**sent, "hr_second_pass_steps": 1, "hr_checkpoint_name": None})
    assert answer.status_code == 200, answer.text
    told = json.loads(answer.json()["info"])
    assert "Size: 64x64" in told["infotexts"][0] and "Hires upscale: 1.5" in told["infotexts"][0]
    assert told["denoising_strength"] == 0.5
    assert len(pixels(answer.json()["images"][0])) == 96 * 96 * 3
    again = anna.post("/sdapi/v1/txt2img", json={"infotext": told["infotexts"][0]})
    assert again.json()["images"] == answer.json()["images"]


def test_hires_fix_of_2022_names_what_goes_in(runtime: Runtime) -> None:
    request = read(
        runtime, {"enable_hr": True, "width": 1024, "height": 768, "firstphase_width": 512, "firstphase_height": 384}
    )
    assert (request.width, request.height, request.hires_width, request.hires_height) == (512, 384, 1024, 768)


def test_words_for_as_in_the_first_pass_and_for_none_mean_nothing(runtime: Runtime) -> None:
    sent = {"enable_hr": True, "hr_sampler_name": "Use same sampler", "hr_checkpoint_name": "None", "hr_upscaler": None}
    request = read(runtime, {**sent, "refiner_checkpoint": "None", "refiner_switch_at": 0.7})
    assert (request.hires_sampler, request.hires_checkpoint, request.hires_upscaler) == ("", "", "Latent")
    assert (request.refiner_checkpoint, request.refiner_switch_at) == ("", 0.7)
    assert not read(runtime, {"hr_scale": 3}).hires


@pytest.mark.parametrize(
    ("sent", "sentence"),
    [
        ({"hr_upscaler": "Latnt"}, 'Did you mean "Latent"'),
        ({"hr_scale": 99}, "hr_scale: Upscale by must be between 1 and 16"),
        ({"hr_sampler_name": "Eulr"}, "Did you mean"),
        ({"hr_checkpoint_name": "tny"}, 'Did you mean "tiny"'),
        ({"hr_resize_x": 100_000}, "hr_resize_x"),
    ],
)
def test_a_second_pass_that_cannot_be_is_refused(anna: httpx2.Client, sent: dict[str, Any], sentence: str) -> None:
    answer = anna.post("/sdapi/v1/txt2img", json={**TINY, "enable_hr": True, **sent})
    assert answer.status_code == 422 and sentence in answer.json()["detail"], answer.text
