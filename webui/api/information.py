"""What can be chosen: samplers, schedulers, upscalers, styles, scripts; and what a picture says of itself."""

from __future__ import annotations

import html
from typing import Any

import psutil
from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from webui.api.answers import Answer, ApiRoute
from webui.api.bodies import json_object, picture_bytes
from webui.api.parts import Parts, json_body, owner_of
from webui.api.soft_inpainting import SCRIPT, script_info
from webui.domain.enlarging import NO_UPSCALER, RESAMPLERS
from webui.domain.hires_options import LATENT_UPSCALERS
from webui.domain.infotext import compose
from webui.domain.samplers import SAMPLERS
from webui.domain.schedules import CUSTOM, SCHEDULES, Schedule
from webui.errors import InvalidRequest, UnreadablePicture

# A1111 calls schedules by these where its name is not the label in small letters with _
_SCHEDULER_NAMES = {"Align Your Steps GITS": "align_your_steps_GITS", "Beta (ComfyUI)": "beta_comfyui"}
_RHO = {"Karras": 7.0, "Polyexponential": 1.0}


def router(parts: Parts) -> APIRouter:
    runtime = parts.runtime
    routes = APIRouter(route_class=ApiRoute, tags=["A1111: information"])

    @routes.get("/sdapi/v1/samplers", response_class=Answer)
    async def samplers() -> Response:
        return Answer([{"name": row.name, "aliases": list(row.aliases), "options": _options(row)} for row in SAMPLERS])

    @routes.get("/sdapi/v1/schedulers", response_class=Answer)
    async def schedulers() -> Response:
        return Answer([_scheduler(row) for row in SCHEDULES])

    @routes.get("/sdapi/v1/upscalers", response_class=Answer)
    async def upscalers() -> Response:
        fixed = [_upscaler(name, None, 4) for name in (NO_UPSCALER, *RESAMPLERS)]
        networks = [
            _upscaler(file.name, file.path.name, 4) for file in runtime.library.files("upscaler") if not file.problem
        ]
        return Answer(fixed + networks)

    @routes.get("/sdapi/v1/latent-upscale-modes", response_class=Answer)
    async def latent_upscale_modes() -> Response:
        return Answer([{"name": name} for name in LATENT_UPSCALERS])

    @routes.get("/sdapi/v1/face-restorers", response_class=Answer)
    async def face_restorers() -> Response:
        """There are none."""
        return Answer([])

    @routes.get("/sdapi/v1/realesrgan-models", response_class=Answer)
    async def realesrgan_models() -> Response:
        """Those that are there are among the upscalers."""
        return Answer([])

    @routes.get("/sdapi/v1/prompt-styles", response_class=Answer)
    async def prompt_styles(request: Request) -> Response:
        """The server's, and the caller's own."""
        owner = owner_of(request)
        known = await run_in_threadpool(runtime.styles.styles, owner)
        return Answer(
            [
                {"name": one.style.name, "prompt": one.style.prompt, "negative_prompt": one.style.negative_prompt}
                for one in known
            ]
        )

    @routes.get("/sdapi/v1/scripts", response_class=Answer)
    async def scripts() -> Response:
        return Answer({"txt2img": [], "img2img": [SCRIPT]})

    @routes.get("/sdapi/v1/script-info", response_class=Answer)
    async def scripts_info() -> Response:
        return Answer([script_info()])

    @routes.get("/sdapi/v1/extensions", response_class=Answer)
    async def extensions() -> Response:
        """There are none: no code is ever installed."""
        return Answer([])

    @routes.get("/sdapi/v1/memory", response_class=Answer)
    async def memory() -> Response:
        """Of this computer, in bytes."""
        ram = psutil.virtual_memory()
        return Answer(
            {
                "ram": {"free": ram.available, "used": psutil.Process().memory_info().rss, "total": ram.total},
                "cuda": {"error": "not measured"},
            }
        )

    @routes.get("/sdapi/v1/cmd-flags", response_class=Answer)
    async def cmd_flags() -> Response:
        """A few that clients look at. No secret, no folder and no address of this server is among them."""
        return Answer(
            {
                "api": True,
                "nowebui": False,
                "api_auth": None,
                "gradio_auth": None,
                "ckpt_dir": None,
                "vae_dir": None,
                "lora_dir": None,
                "embeddings_dir": None,
                "no_half": runtime.settings.dtype == "float32",
                "lowvram": False,
                "medvram": False,
                "xformers": False,
                "hide_ui_dir_config": True,
                "freeze_settings": False,
            }
        )

    @routes.post(
        "/sdapi/v1/png-info",
        response_class=Answer,
        openapi_extra=json_body(
            {"type": "object", "properties": {"image": {"type": "string"}}, "required": ["image"]},
            {"image": "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAA..."},
        ),
    )
    async def png_info(request: Request) -> Response:
        """How a picture was made, whichever program made it. ``info`` is empty where it does not say."""
        body = await json_object(request)
        data = picture_bytes(body.get("image"), "image")

        def read() -> dict[str, Any]:
            try:
                parsed = runtime.read_infotext(data)
            except UnreadablePicture as error:
                raise InvalidRequest(f"image: {error}", "image") from error
            if parsed is None:
                return {"info": "", "items": {}, "parameters": {}}
            text = compose(parsed)
            shown = {"Prompt": parsed.prompt, "Negative prompt": parsed.negative_prompt, **parsed.fields}
            return {"info": text, "items": {"parameters": text}, "parameters": shown}

        return Answer(await run_in_threadpool(read))

    return routes


def _options(row: Any) -> dict[str, str]:
    """In A1111's words."""
    options = {}
    if row.default_schedule not in (None, "Uniform"):
        options["scheduler"] = row.default_schedule.lower()
    if row.calls_per_step == 2:
        options["second_order"] = "True"
    if row.discards_penultimate:
        options["discard_next_to_last_sigma"] = "True"
    if row.brownian:
        options["brownian_noise"] = "True"
    if row.ancestral:
        options["uses_ensd"] = "True"
    return options


def scheduler_name(label: str) -> str:
    """As A1111's clients send it.

    >>> scheduler_name("SGM Uniform"), scheduler_name("Align Your Steps GITS")
    ('sgm_uniform', 'align_your_steps_GITS')
    """
    return _SCHEDULER_NAMES.get(label) or label.lower().replace(" ", "_")


def _scheduler(row: Schedule) -> dict[str, Any]:
    return {
        "name": scheduler_name(row.name),
        "label": row.name,
        "aliases": list(row.aliases) or None,
        "default_rho": _RHO.get(row.name, -1.0),
        "need_inner_model": row is not CUSTOM and "rho" not in row.options,
    }


def _upscaler(name: str, file: str | None, scale: float) -> dict[str, Any]:
    return {"name": name, "model_name": None, "model_path": file, "model_url": None, "scale": scale}


def as_html(text: str) -> str:
    """As A1111 shows an infotext."""
    return "".join(f"<p>{html.escape(line)}</p>" for line in text.splitlines())
