"""POST extra-single-image and extra-batch-images: enlarging finished pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from webui.api.answers import Answer, ApiRoute, JobFailed
from webui.api.bodies import input_picture, json_object, picture_bytes
from webui.api.information import as_html
from webui.api.made import encoded
from webui.api.parts import Parts, json_body, owner_of
from webui.api.schemas import parameter_schema
from webui.api.submitted import task_id
from webui.api.upscalers import check_upscaler
from webui.api.values import checked
from webui.api.waiting import finished
from webui.domain.enlarging import ENLARGE_PARAMETERS, KIND, NO_UPSCALER, SCALE_MODES, EnlargeRequest
from webui.domain.infotext import compose
from webui.errors import InvalidRequest, UnreadablePicture
from webui.jobs.job import JobSnapshot

# A1111's field -> the parameter and A1111's default
FIELDS: Mapping[str, tuple[str, Any]] = MappingProxyType(
    {
        "resize_mode": ("scale_mode", 0),
        "upscaling_resize": ("scale_by", 2),
        "upscaling_resize_w": ("width", 512),
        "upscaling_resize_h": ("height", 512),
        "upscaling_crop": ("crop", True),
        "upscaler_1": ("upscaler_1", NO_UPSCALER),
        "upscaler_2": ("upscaler_2", NO_UPSCALER),
        "extras_upscaler_2_visibility": ("upscaler_2_visibility", 0.0),
        "max_side": ("max_side", None),
    }
)
NOT_HERE = ("gfpgan_visibility", "codeformer_visibility")


def router(parts: Parts) -> APIRouter:
    runtime = parts.runtime
    routes = APIRouter(route_class=ApiRoute, tags=["A1111: extras"])

    async def enlarge(request: Request, body: dict[str, Any], sent: list[tuple[Any, str]]) -> JobSnapshot:
        owner = owner_of(request)

        def start() -> Any:
            ids = [input_picture(runtime, picture, field, owner) for picture, field in sent]
            texts = [_infotext(parts, picture, field) for picture, field in sent]
            wanted = extras_values(body)
            for name in ("upscaler_1", "upscaler_2"):
                check_upscaler(runtime, wanted[name], name)
            values = wanted | {"pictures": ",".join(ids), "infotexts": json.dumps(texts)}
            return runtime.enlarge(EnlargeRequest(**values), owner)

        task = task_id(body.get("force_task_id"))
        job = await run_in_threadpool(start)
        parts.submitted.add(owner, job.id, KIND, task)
        final = await finished(request, job)
        if final.state != "done":
            raise JobFailed(final.error or "The job was stopped before it was done.")
        return final

    @routes.post(
        "/sdapi/v1/extra-single-image",
        response_class=Answer,
        summary="Enlarge a picture",
        openapi_extra=json_body(
            _schema({"image": {"type": "string"}}),
            {"image": "iVBORw0KGgoAAAANSUhEUgAA...", "upscaling_resize": 2, "upscaler_1": "Lanczos"},
        ),
    )
    async def single(request: Request) -> Response:
        """Waits until it is done."""
        body = await json_object(request)
        done = await enlarge(request, body, [(body.get("image"), "image")])
        (saved,) = done.pictures
        picture = await run_in_threadpool(encoded, runtime, saved)
        return Answer({"image": picture, "html_info": as_html(saved.infotext)})

    @routes.post(
        "/sdapi/v1/extra-batch-images",
        response_class=Answer,
        summary="Enlarge several pictures",
        openapi_extra=json_body(
            _schema({"imageList": {"type": "array", "items": {"type": "object"}}}),
            {"imageList": [{"data": "iVBORw0KGgoAAAANSUhEUgAA...", "name": "a.png"}], "upscaler_1": "Lanczos"},
        ),
    )
    async def batch(request: Request) -> Response:
        """Waits until all are done."""
        body = await json_object(request)
        pictures = body.get("imageList")
        if not isinstance(pictures, list) or not pictures or not all(isinstance(one, dict) for one in pictures):
            raise InvalidRequest('imageList must be a list of {"data": picture in base64, "name": ...}.', "imageList")
        done = await enlarge(request, body, [(one.get("data"), "imageList") for one in pictures])

        def read() -> dict[str, Any]:
            saved = sorted(done.pictures, key=lambda picture: picture.index)
            return {
                "images": [encoded(runtime, picture) for picture in saved],
                "html_info": "".join(as_html(picture.infotext) for picture in saved),
            }

        return Answer(await run_in_threadpool(read))

    return routes


def extras_values(body: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that the fields amount to. Raises ``InvalidRequest`` with the field as A1111 calls it."""
    for name in NOT_HERE:
        if body.get(name) not in (None, 0, 0.0):
            raise InvalidRequest(f"{name}: there is no face restoration here; leave it at 0.", name)
    values = {}
    for name, (parameter, default) in FIELDS.items():
        sent = default if body.get(name) is None else body[name]
        if sent is None:
            continue
        if name == "resize_mode" and not isinstance(sent, str) and sent in range(len(SCALE_MODES)):
            sent = SCALE_MODES[int(sent)]
        if name.startswith("upscaler_") and sent == "":
            sent = NO_UPSCALER
        values[parameter] = checked(ENLARGE_PARAMETERS[parameter], sent, name)
    return values


def _infotext(parts: Parts, picture: Any, field: str) -> str:
    """How the picture that was sent was made; kept in the larger one."""
    try:
        parsed = parts.runtime.read_infotext(picture_bytes(picture, field))
    except UnreadablePicture:
        return ""
    return "" if parsed is None else compose(parsed)


def _schema(pictures: Mapping[str, Any]) -> dict[str, Any]:
    properties = {**pictures}
    for name, (parameter, default) in FIELDS.items():
        properties[name] = {**parameter_schema(ENLARGE_PARAMETERS[parameter]), "default": default}
    properties["resize_mode"] = {"type": "integer", "minimum": 0, "maximum": 1, "default": 0}
    properties.pop("max_side")
    return {"type": "object", "properties": properties, "required": list(pictures)}
