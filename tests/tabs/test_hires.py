"""Hires fix on the page: what size comes of it, when it is advised, and a finished picture drawn again with it."""

from __future__ import annotations

from webui.domain.request import GenerationRequest
from webui.jobs.job import JobSnapshot
from webui.runtime import Runtime
from webui.tabs.hires import advice, told, upscaled

FORM = {"checkpoint": "lucid-starter", "width": "128", "height": "128"}


def test_the_line_tells_from_which_size_to_which(runtime: Runtime) -> None:
    assert told(runtime, {**FORM, "hires": True, "hires_scale": "1,5"})["target"] == "128 × 128 → 192 × 192"
    assert told(runtime, {**FORM, "hires": True, "hires_height": "256"})["target"] == "128 × 128 → 256 × 256"
    assert "must be between" in told(runtime, {**FORM, "hires": True, "hires_scale": "99"})["target"]
    assert told(runtime, FORM) == {"target": "", "advice": ""}


def test_far_over_the_models_own_size_it_is_advised(runtime: Runtime) -> None:
    assert "trained on pictures of 128 pixels" in told(runtime, {**FORM, "width": "256", "height": "256"})["advice"]
    assert advice(runtime, {"checkpoint": "lucid-starter", "width": 512, "height": 256}) == {
        "width": 184,
        "height": 88,
        "hires": True,
        "hires_width": 512,
        "hires_height": 256,
    }
    assert told(runtime, {**FORM, "width": "160"})["advice"] == ""
    assert told(runtime, {**FORM, "width": "wide", "checkpoint": "none such"}) == {"target": "", "advice": ""}


def test_a_finished_picture_is_drawn_again_larger(runtime: Runtime, drawn: JobSnapshot) -> None:
    values = {
        "hires_upscaler": "Latent (bicubic)",
        "hires_scale": "1.5",
        "denoising_strength": "0.6",
        "hires": False,
        "width": "8",
    }
    answer = upscaled(runtime, "local", drawn.pictures[0].infotext, values)
    job = runtime.job(answer["job"])
    job.stop()
    request, before = job.snapshot().request, drawn.request
    assert isinstance(request, GenerationRequest) and isinstance(before, GenerationRequest)
    assert (request.hires, request.hires_upscaler, request.denoising_strength) == (True, "Latent (bicubic)", 0.6)
    assert (request.width, request.seed, request.prompt) == (before.width, before.seed, before.prompt)
    assert "Extras" in upscaled(runtime, "local", "no parameters", values)["error"]
    again = upscaled(runtime, "local", drawn.pictures[0].infotext + ", Hires upscale: 2", values)
    assert "already" in again["error"]
    assert (
        "no upscaler"
        in upscaled(runtime, "local", drawn.pictures[0].infotext, {"hires_upscaler": "x"})["error"].lower()
    )
