"""GET and POST options, and the routes that are A1111's switches of the server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from webui.api.answers import Answer, ApiRoute, NotHere
from webui.api.bodies import json_object
from webui.api.parts import Parts, is_admin, json_body, owner_of
from webui.errors import NotAllowed

_NO_CODE = "Lucid installs and runs no code over HTTP."
_TRAINING = "Training is started on the server's own command line, not over HTTP."
_SERVER = "A server is stopped where it was started, not over HTTP."

# A1111's routes that are not here -> why
NOT_HERE: Mapping[str, str] = MappingProxyType(
    {
        "/sdapi/v1/interrogate": "There is no interrogator here: nothing describes pictures.",
        "/sdapi/v1/create/embedding": _TRAINING,
        "/sdapi/v1/create/hypernetwork": _TRAINING,
        "/sdapi/v1/train/embedding": _TRAINING,
        "/sdapi/v1/train/hypernetwork": _TRAINING,
        "/sdapi/v1/server-kill": _SERVER,
        "/sdapi/v1/server-restart": _SERVER,
        "/sdapi/v1/server-stop": _SERVER,
        "/controlnet/detect": "ControlNet is not there yet.",
    }
)


def router(parts: Parts) -> APIRouter:
    options = parts.options
    routes = APIRouter(route_class=ApiRoute, tags=["A1111: options"])

    @routes.get("/sdapi/v1/options", response_class=Answer, summary="The caller's options")
    def get_options(request: Request) -> Response:
        """Flat, with A1111's names. Folders of the server are shown empty."""
        return Answer(options.shown(owner_of(request)))

    @routes.post(
        "/sdapi/v1/options",
        response_class=Answer,
        summary="Set options for the caller's later requests",
        openapi_extra=json_body(
            {"type": "object"}, {"sd_model_checkpoint": "lucid-starter", "CLIP_stop_at_last_layers": 2}
        ),
    )
    async def set_options(request: Request) -> Response:
        """They change nobody else's pictures. What is not set is told in the header X-Lucid-Ignored, as JSON."""
        values = await json_object(request)
        ignored = await run_in_threadpool(options.set, owner_of(request), values)
        answer = Answer(None)
        if ignored:
            answer.headers["X-Lucid-Ignored"] = _bounded(ignored)
        return answer

    @routes.post("/sdapi/v1/unload-checkpoint", response_class=Answer, summary="Let go of all models in memory")
    async def unload(request: Request) -> Response:
        """Before the next job, which reads its own again. Where there are accounts, for administrators."""
        if not is_admin(request):
            raise NotAllowed("Only an administrator may unload models: others may be drawing with them.")
        parts.runtime.unload_models()
        return Answer({})

    @routes.post("/sdapi/v1/reload-checkpoint", response_class=Answer, summary="Does nothing")
    async def reload() -> Response:
        """A checkpoint is loaded as soon as a picture is drawn with it."""
        return Answer({})

    def refused(path: str) -> Any:
        async def not_here() -> Response:
            raise NotHere(NOT_HERE[path])

        return not_here

    for path in NOT_HERE:
        routes.post(path, include_in_schema=False)(refused(path))

    return routes


def _bounded(ignored: Mapping[str, str]) -> str:
    """A header's worth: clients that post all of A1111's options back have hundreds that are not here."""
    told: dict[str, str] = {}
    for name, why in ignored.items():
        told[name[:60]] = why
        if len(json.dumps(told)) > 2000:
            told.popitem()
            told["..."] = f"and {len(ignored) - len(told)} more"
            break
    return json.dumps(told)
