"""OpenAI's way of asking for pictures, for the many programs that know only that."""

from __future__ import annotations

import re
from typing import Any

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from webui.api.answers import Answer, ApiRoute, JobFailed, refusal, status_of
from webui.api.bodies import json_object
from webui.api.jobs import picture_address
from webui.api.made import encoded
from webui.api.parts import Parts, json_body, owner_of
from webui.api.values import checked
from webui.api.waiting import finished
from webui.domain.request import PARAMETERS, GenerationRequest
from webui.errors import InvalidRequest, WebUIError

_SIZE = re.compile(r"(\d{1,5})\s*x\s*(\d{1,5})")
_MEANING_NOTHING = (
    "user",
    "quality",
    "style",
    "background",
    "moderation",
    "output_compression",
    "stream",
    "output_format",
)
_EXAMPLE = {"prompt": "a red apple on a table", "n": 1, "size": "512x512", "response_format": "b64_json"}
_SCHEMA = {
    "type": "object",
    "properties": {
        "prompt": {"type": "string"},
        "n": {"type": "integer", "minimum": 1, "maximum": 64, "default": 1},
        "size": {
            "type": "string",
            "default": "auto",
            "description": 'Such as "512x512"; "auto" is the checkpoint\'s own.',
        },
        "model": {"type": "string", "description": "A checkpoint of GET /v1/models; left out, the default one."},
        "response_format": {"type": "string", "enum": ["b64_json", "url"], "default": "b64_json"},
    },
    "required": ["prompt"],
}


def router(parts: Parts) -> APIRouter:
    runtime = parts.runtime
    routes = APIRouter(route_class=ApiRoute, tags=["OpenAI"])

    @routes.post(
        "/v1/images/generations",
        summary="Draw pictures from a prompt",
        openapi_extra=json_body(_SCHEMA, _EXAMPLE),
        response_class=Answer,
    )
    async def generations(request: Request) -> Response:
        """Lucid's own parameters (steps, seed, negative_prompt ...) may be added; what means nothing here is ignored."""
        owner = owner_of(request)
        try:
            body = await json_object(request)
            as_addresses = _wants_addresses(body)
            wanted = await run_in_threadpool(_request, parts, body)
            job = await run_in_threadpool(runtime.generate, wanted, owner)
            parts.submitted.add(owner, job.id, "txt2img")
            final = await finished(request, job)
            if final.state != "done":
                raise JobFailed(final.error or "The job was stopped before it was done.")
        except WebUIError as error:
            return _refusal(error)

        def answer() -> Answer:
            root = str(request.base_url).rstrip("/")
            saved = sorted(final.pictures, key=lambda picture: picture.index)
            data = [
                {"url": root + picture_address(final.id, picture.index)}
                if as_addresses
                else {"b64_json": encoded(runtime, picture)}
                for picture in saved
            ]
            return Answer({"created": int(final.created), "data": data})

        return await run_in_threadpool(answer)

    @routes.get("/v1/models", summary="The checkpoints", response_class=Answer)
    def models() -> Response:
        files = [file for file in runtime.checkpoints() if not file.problem]
        return Answer(
            {
                "object": "list",
                "data": [
                    {"id": file.name, "object": "model", "created": file.mtime_ns // 10**9, "owned_by": "local"}
                    for file in files
                ],
            }
        )

    return routes


def _request(parts: Parts, body: dict[str, Any]) -> GenerationRequest:
    if not isinstance(body.get("prompt"), str):
        raise InvalidRequest("prompt must be text.", "prompt")
    name = body.get("model") or ""
    if not isinstance(name, str):
        raise InvalidRequest("model must be the name of a checkpoint.", "model")
    checkpoint = parts.runtime.checkpoint(name)
    values: dict[str, Any] = dict(parts.runtime.suggested(checkpoint.name))
    values |= {
        "checkpoint": checkpoint.name,
        "batch_count": checked(PARAMETERS["batch_count"], body.get("n") or 1, "n"),
    }
    values |= _size(body.get("size"))
    for key, value in body.items():
        if key in PARAMETERS and key not in ("style", *_MEANING_NOTHING) and value is not None:
            values[key] = checked(PARAMETERS[key], value, key)
    return GenerationRequest(**values)


def _size(text: Any) -> dict[str, Any]:
    if text in (None, "", "auto"):
        return {}
    sides = _SIZE.fullmatch(text.strip()) if isinstance(text, str) else None
    if sides is None:
        raise InvalidRequest('size must be like "512x512", or "auto".', "size")
    return {"width": int(sides[1]), "height": int(sides[2])}


def _wants_addresses(body: dict[str, Any]) -> bool:
    wanted = body.get("response_format") or "b64_json"
    if wanted not in ("b64_json", "url"):
        raise InvalidRequest('response_format must be "b64_json" or "url".', "response_format")
    return bool(wanted == "url")


def _refusal(error: WebUIError) -> Response:
    """As OpenAI's clients read it, and with ``detail`` as everywhere here."""
    plain, status = refusal(error), status_of(error)
    kind = "invalid_request_error" if status < 500 else "server_error"
    field = error.field if isinstance(error, InvalidRequest) else None
    content = {"error": {"message": str(error), "type": kind, "param": field, "code": None}, "detail": str(error)}
    return Answer(content, status, {name: plain.headers[name] for name in ("retry-after",) if name in plain.headers})
