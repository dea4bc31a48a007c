"""POST txt2img and img2img: the request becomes a job, and its pictures the answer."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from webui.api.answers import Answer, ApiRoute
from webui.api.bodies import json_object
from webui.api.made import generation_answer
from webui.api.parts import Parts, json_body, owner_of
from webui.api.payloads import prepare
from webui.api.schemas import EXAMPLES, body_schema
from webui.api.submitted import task_id
from webui.api.waiting import finished


def router(parts: Parts) -> APIRouter:
    runtime = parts.runtime
    routes = APIRouter(route_class=ApiRoute, tags=["A1111: generation"])

    async def generate(request: Request, kind: str) -> Response:
        """Waits until the pictures are made. A client that goes away stops its job."""
        body, owner = await json_object(request), owner_of(request)
        task = task_id(body.get("force_task_id"))
        prepared = await run_in_threadpool(prepare, runtime, parts.options, body, kind, owner)
        job = await run_in_threadpool(runtime.generate, prepared.request, owner, kind)
        parts.submitted.add(owner, job.id, kind, task)
        final = await finished(request, job)

        def answer() -> Answer:
            return Answer(generation_answer(runtime, body, kind, final, prepared.notices))

        return await run_in_threadpool(answer)  # megabytes are read and encoded

    @routes.post(
        "/sdapi/v1/txt2img",
        summary="Draw pictures from a prompt",
        openapi_extra=json_body(body_schema("txt2img"), EXAMPLES["txt2img"]),
        response_class=Answer,
    )
    async def txt2img(request: Request) -> Response:
        """Waits until the pictures are made. Every field may be left out, and unknown ones are ignored."""
        return await generate(request, "txt2img")

    @routes.post(
        "/sdapi/v1/img2img",
        summary="Draw over a picture, or over the masked part of it",
        openapi_extra=json_body(body_schema("img2img"), EXAMPLES["img2img"]),
        response_class=Answer,
    )
    async def img2img(request: Request) -> Response:
        """``init_images`` holds one picture in base64, ``mask`` another one: white is drawn anew."""
        return await generate(request, "img2img")

    return routes
