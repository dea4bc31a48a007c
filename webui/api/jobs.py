"""``/api/v1``: give a job and go away; come back for its state, its events and its pictures.

Parameters have Lucid's own names, and an unknown one is refused. Pictures to start from are handed in first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse

from webui.api.answers import Answer, ApiRoute, NoSuchThing
from webui.api.bodies import input_picture, json_object
from webui.api.events import as_events
from webui.api.fields import PICTURES
from webui.api.parts import Parts, is_admin, json_body, owner_of
from webui.api.progress import fraction, text_of
from webui.api.schemas import EXAMPLES, job_schema, parameter_schema
from webui.api.submitted import task_id
from webui.api.values import checked
from webui.domain.any_request import to_values
from webui.domain.request import PARAMETERS, GenerationRequest
from webui.errors import InvalidRequest, WebUIError, did_you_mean
from webui.jobs.job import Job, JobSnapshot

_MOST_AT_ONCE = 200
_MEDIA_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp"}


def router(parts: Parts) -> APIRouter:
    runtime, submitted = parts.runtime, parts.submitted
    routes = APIRouter(prefix="/api/v1", route_class=ApiRoute, tags=["Jobs"])

    async def own_job(request: Request, id: str) -> Job:
        return await run_in_threadpool(runtime.job, id, owner_of(request))

    def given(request: Request, job: Job) -> Answer:
        location = f"{request.scope.get('root_path', '')}{address(job.id)}"
        return Answer(described(parts, job.snapshot()), 201, {"Location": location})

    keyed = asyncio.Lock()

    @routes.get("/parameters", summary="What a job can be given", response_class=Answer)
    async def parameters() -> Response:
        return Answer({name: parameter_schema(parameter) for name, parameter in PARAMETERS.items()})

    @routes.post(
        "/jobs",
        status_code=201,
        summary="Give a job",
        openapi_extra=json_body(job_schema(), EXAMPLES["job"]),
        response_class=Answer,
    )
    async def give(request: Request) -> Response:
        """Answers at once with the job. What is left out is what the checkpoint suggests, else the default.

        The same Idempotency-Key (a header) again answers with the job that was given under it the first time, so that a
        request may be repeated when its answer was lost.
        """
        body, owner = await json_object(request), owner_of(request)
        key = task_id(request.headers.get("idempotency-key"))

        def start() -> Job:
            wanted = job_request(parts, body, owner)
            return runtime.generate(wanted, owner, "img2img" if wanted.has_picture else "txt2img")

        if key is None:
            job = await run_in_threadpool(start)
            submitted.add(owner, job.id, job.snapshot().kind)
            return given(request, job)
        async with keyed:  # the second of two that come at once finds what the first has given
            known = submitted.job_of(owner, key)
            if known is not None:
                return Answer(described(parts, (await own_job(request, known)).snapshot()))
            job = await run_in_threadpool(start)
            submitted.add(owner, job.id, job.snapshot().kind, key)
        return given(request, job)

    @routes.get("/jobs", summary="The caller's jobs that run or wait", response_class=Answer)
    async def unfinished(request: Request) -> Response:
        jobs = runtime.jobs(owner_of(request))
        return Answer({"jobs": [described(parts, job.snapshot()) for job in jobs]})

    @routes.get("/jobs/{id}", summary="State, place, ETA and pictures of a job", response_class=Answer)
    async def state(request: Request, id: str) -> Response:
        job = await own_job(request, id)
        return Answer(described(parts, await run_in_threadpool(job.snapshot)))

    @routes.get(
        "/jobs/{id}/events", summary="What happens in a job, as server-sent events", response_class=StreamingResponse
    )
    async def events(request: Request, id: str, previews: bool = True) -> Response:
        """``state`` at each change (at most five times a second) and ``preview`` with a JPEG in base64; ends when the job does."""
        job = await own_job(request, id)
        return StreamingResponse(
            as_events(request, job, lambda snapshot: described(parts, snapshot), previews=previews),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    @routes.post("/jobs/{id}/cancel", summary="Stop a job", response_class=Answer)
    async def cancel(request: Request, id: str) -> Response:
        """Pictures already finished are kept. An administrator may stop anybody's. Stopping a finished job changes nothing."""
        job = await run_in_threadpool(runtime.job, id, None if is_admin(request) else owner_of(request))
        await run_in_threadpool(job.stop)
        return Answer({"id": job.id, "state": job.snapshot().state})

    @routes.post("/jobs/{id}/skip", summary="Leave the batch that is being drawn", response_class=Answer)
    async def skip(request: Request, id: str) -> Response:
        job = await own_job(request, id)
        await run_in_threadpool(job.skip)
        return Answer({"id": job.id, "state": job.snapshot().state})

    @routes.get("/jobs/{id}/preview", summary="The newest preview, as JPEG", response_class=Response)
    async def preview(request: Request, id: str) -> Response:
        data = (await own_job(request, id)).preview()
        if not data:
            raise NoSuchThing("There is no preview of that job now.")
        return Response(data, media_type="image/jpeg", headers={"Cache-Control": "no-store"})

    @routes.get("/jobs/{id}/pictures/{index}", summary="A finished picture", response_class=FileResponse)
    async def picture(request: Request, id: str, index: int) -> Response:
        """The file as it was saved, with its infotext."""
        snapshot = await run_in_threadpool((await own_job(request, id)).snapshot)
        for saved in snapshot.pictures:
            if saved.index == index:
                file = runtime.outputs.resolve(saved.path)
                if file.is_file():
                    return FileResponse(file, media_type=_MEDIA_TYPES.get(file.suffix), filename=file.name)
                raise NoSuchThing("The picture's file has been moved or removed.")
        raise NoSuchThing(f"The job has no finished picture {index}.")

    @routes.post(
        "/inputs",
        status_code=201,
        summary="Hand in a picture to start from, or a mask",
        openapi_extra={"requestBody": {"content": {"application/octet-stream": {"schema": {"type": "string"}}}}},
        response_class=Answer,
    )
    async def hand_in(request: Request) -> Response:
        """The body is the picture file. Its id is what init_image and mask take."""
        data, owner = await request.body(), owner_of(request)
        id = await run_in_threadpool(runtime.add_input, data, owner)
        return Answer({"id": id}, 201)

    @routes.get("/inputs/{id}", summary="A picture that was handed in, as PNG", response_class=FileResponse)
    def input_file(request: Request, id: str) -> Response:
        try:
            file = runtime.inputs.path(id, owner_of(request))
        except WebUIError as error:
            raise NoSuchThing(str(error)) from error
        return FileResponse(file, media_type="image/png")

    @routes.get("/history", summary="Pictures that the caller has made, newest first", response_class=Answer)
    def history(
        request: Request,
        text: str = Query("", max_length=1000, description="Words of the infotext, or their beginnings."),
        limit: int = Query(50, ge=1, le=_MOST_AT_ONCE),
        offset: int = Query(0, ge=0, le=2**40),
        since: float | None = Query(None, ge=0, le=2**40, description="Unix seconds."),
        until: float | None = Query(None, ge=0, le=2**40, description="Unix seconds."),
    ) -> Response:
        owner = owner_of(request)
        found = runtime.history.search(owner, text, limit, offset, since, until)
        pictures = [
            {
                "job": made.job,
                "index": made.saved.index,
                "kind": made.kind,
                "created": made.created,
                "seed": made.saved.seed,
                "width": made.saved.width,
                "height": made.saved.height,
                "infotext": made.saved.infotext,
                "missing": made.missing,
                "url": picture_address(made.job, made.saved.index),
                "parameters": None if made.request is None else to_values(made.request),
            }
            for made in found
        ]
        return Answer({"total": runtime.history.count(owner, text, since, until), "pictures": pictures})

    return routes


def address(job: str) -> str:
    return f"/api/v1/jobs/{job}"


def picture_address(job: str, index: int) -> str:
    return f"{address(job)}/pictures/{index}"


def job_request(parts: Parts, body: Mapping[str, Any], owner: str) -> GenerationRequest:
    """Lucid's own names. ``init_image``, ``mask`` and ``depth_map`` are ids, or pictures in base64."""
    for name in body:
        if name not in PARAMETERS:
            raise InvalidRequest(f'There is no parameter "{name}". {did_you_mean(name, PARAMETERS)}', name)
    given = {name: checked(PARAMETERS[name], value, name) for name, value in body.items() if value is not None}
    suggested = parts.runtime.suggested(given.get("checkpoint", ""))
    GenerationRequest(**{**suggested, **given})  # what is wrong is told before pictures are decoded
    for name in PICTURES:
        if given.get(name):
            given[name] = input_picture(parts.runtime, given[name], name, owner)
    return GenerationRequest(**{**suggested, **given})


def described(parts: Parts, job: JobSnapshot) -> dict[str, Any]:
    """A job as JSON. ``place`` is 0 while it runs and after; ``eta`` is in seconds, null while nothing was measured."""
    return {
        "id": job.id,
        "kind": job.kind,
        "state": job.state,
        "place": job.place,
        "eta": None if job.eta is None else round(job.eta, 2),
        "progress": round(fraction(job), 4),
        "doing": text_of(job),
        "created": job.created,
        "started": job.started,
        "finished": job.finished,
        "parameters": to_values(job.request),
        "pictures": [
            {
                "index": saved.index,
                "seed": saved.seed,
                "width": saved.width,
                "height": saved.height,
                "infotext": saved.infotext,
                "url": picture_address(job.id, saved.index),
            }
            for saved in sorted(job.pictures, key=lambda picture: picture.index)
        ],
        "notices": list(job.notices),
        "error": job.error,
    }
