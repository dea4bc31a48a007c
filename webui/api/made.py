"""What A1111 answers to a generation: pictures in base64, the request again, and ``info``, which is JSON within JSON."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from webui.api.answers import JobFailed
from webui.api.fields import FIELDS, others_of
from webui.domain.events import Saved
from webui.domain.infotext import parse
from webui.domain.request import GenerationRequest
from webui.jobs.job import JobSnapshot
from webui.runtime import Runtime


def generation_answer(
    runtime: Runtime, body: Mapping[str, Any], kind: str, job: JobSnapshot, notices: Sequence[str]
) -> dict[str, Any]:
    """The body of an answer. A job that was stopped answers with the pictures it finished; one that failed raises."""
    if job.state == "failed":
        raise JobFailed(job.error)
    saved = sorted(job.pictures, key=lambda picture: picture.index)
    with_pictures = body.get("send_images") is not False
    return {
        "images": [encoded(runtime, picture) for picture in saved] if with_pictures else [],
        "parameters": echo(body, kind),
        "info": json.dumps(_info(runtime, job, saved, [*notices, *job.notices])),
    }


def encoded(runtime: Runtime, picture: Saved) -> str:
    """The file as it lies in the outputs folder, texts and all."""
    return base64.b64encode(runtime.outputs.resolve(picture.path).read_bytes()).decode("ascii")


def echo(body: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """The request with A1111's defaults, without the pictures in it unless they are asked for."""
    known = {name: field.default for name, field in FIELDS[kind].items()} | others_of(kind)
    told = {name: body.get(name, default) for name, default in known.items()}
    if kind == "img2img" and not body.get("include_init_images"):
        told |= {"init_images": None, "mask": None, "latent_mask": None}
    return told


def _info(runtime: Runtime, job: JobSnapshot, saved: Sequence[Saved], notices: Sequence[str]) -> dict[str, Any]:
    request = job.request
    assert isinstance(request, GenerationRequest)
    alone = [request.picture(index) for index in range(request.picture_count)]
    infotexts = [picture.infotext for picture in saved]
    told = parse(infotexts[0]).fields if infotexts else {}
    return {
        "prompt": request.prompt,
        "all_prompts": [parse(text).prompt for text in infotexts] or [request.prompt],
        "negative_prompt": request.negative_prompt,
        "all_negative_prompts": [parse(text).negative_prompt for text in infotexts] or [request.negative_prompt],
        "seed": alone[0].seed,
        "all_seeds": [one.seed for one in alone],
        "subseed": alone[0].variation_seed,
        "all_subseeds": [one.variation_seed for one in alone],
        "subseed_strength": request.variation_strength,
        "width": request.width,
        "height": request.height,
        "sampler_name": request.sampler,
        "scheduler": request.schedule,
        "cfg_scale": request.cfg_scale,
        "steps": request.steps,
        "batch_size": request.batch_size,
        "restore_faces": False,
        "face_restoration_model": None,
        "sd_model_name": request.checkpoint,
        "sd_model_hash": told.get("Model hash", ""),
        "sd_vae_name": told.get("VAE"),
        "sd_vae_hash": told.get("VAE hash"),
        "seed_resize_from_w": request.seed_resize_width or -1,
        "seed_resize_from_h": request.seed_resize_height or -1,
        "denoising_strength": float(told["Denoising strength"]) if "Denoising strength" in told else None,
        "extra_generation_params": {key: value for key, value in told.items() if key not in _SAID},
        "index_of_first_image": 0,
        "infotexts": infotexts,
        "styles": list(request.styles),
        "job_timestamp": time.strftime("%Y%m%d%H%M%S", time.localtime(job.created)),
        "clip_skip": request.clip_skip,
        "is_using_inpainting_conditioning": False,
        "version": told.get("Version", ""),
        "job": job.id,
        "state": job.state,
        "notices": list(dict.fromkeys(notices)),
    }


_SAID = ("Steps", "Sampler", "CFG scale", "Seed", "Size", "Model hash", "Model", "VAE", "VAE hash", "Version")
