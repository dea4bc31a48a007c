"""How far the caller's own job has come, and stopping it: A1111's routes for that."""

from __future__ import annotations

import base64
from typing import Any

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from webui.api.answers import Answer, ApiRoute
from webui.api.bodies import json_object
from webui.api.parts import Parts, json_body, owner_of
from webui.errors import InvalidRequest, JobNotFound
from webui.jobs.job import JobSnapshot


def router(parts: Parts) -> APIRouter:
    runtime, submitted = parts.runtime, parts.submitted
    routes = APIRouter(route_class=ApiRoute, tags=["A1111: progress"])

    @routes.get("/sdapi/v1/progress", summary="Of the job that runs for the caller", response_class=Answer)
    async def progress(request: Request, skip_current_image: bool = False) -> Response:
        """All 0 when the caller has no job. Others' jobs are not told of."""
        jobs = submitted.unfinished(owner_of(request), also_of_page=True)
        return Answer(_progress(parts, jobs, with_picture=not skip_current_image))

    @routes.post("/sdapi/v1/interrupt", summary="Stop the caller's job", response_class=Answer)
    async def interrupt(request: Request) -> Response:
        """Of the jobs that programs gave: what runs, else the next one. Pictures already finished are kept and answered."""
        for job in _current(submitted.unfinished(owner_of(request))):
            runtime.job(job.id, job.owner).stop()
        return Answer({})

    @routes.post("/sdapi/v1/skip", summary="Leave the batch that is being drawn", response_class=Answer)
    async def skip(request: Request) -> Response:
        """The job goes on with its next batch."""
        for job in _current(submitted.unfinished(owner_of(request))):
            runtime.job(job.id, job.owner).skip()
        return Answer(None)

    @routes.post(
        "/internal/progress",
        summary="Of one job, by its task id",
        response_class=Answer,
        openapi_extra=json_body(
            {
                "type": "object",
                "properties": {
                    "id_task": {"type": "string"},
                    "id_live_preview": {"type": "integer"},
                    "live_preview": {"type": "boolean"},
                },
            },
            {"id_task": "task(txt2img-AB12CD3)", "id_live_preview": -1},
        ),
    )
    async def internal_progress(request: Request) -> Response:
        """``id_task`` is the ``force_task_id`` of the request, or the id of a job."""
        body, owner = await json_object(request), owner_of(request)
        task = body.get("id_task")
        if not isinstance(task, str):
            raise InvalidRequest("id_task must be the task's id.", "id_task")
        job = submitted.job_of(owner, task) or task

        def state() -> JobSnapshot | None:
            try:
                return runtime.job(job, owner).snapshot()
            except JobNotFound:
                return None

        snapshot = await run_in_threadpool(state)  # an old job is looked up on disk
        return Answer(_task_progress(parts, snapshot, body))

    @routes.get("/internal/pending-tasks", summary="The caller's own", response_class=Answer)
    async def pending(request: Request) -> Response:
        owner = owner_of(request)
        tasks = submitted.tasks(owner)
        ids = [tasks.get(job.id, job.id) for job in submitted.unfinished(owner) if job.state == "waiting"]
        return Answer({"size": len(ids), "tasks": ids})

    @routes.get("/internal/ping", summary="Is anybody there", response_class=Answer)
    async def ping() -> Response:
        return Answer({})

    @routes.get("/queue/status", summary="As Gradio 3 answered it", response_class=Answer)
    async def queue_status(request: Request) -> Response:
        """For clients that look whether a server is there by this. Counts the caller's own jobs."""
        jobs = submitted.unfinished(owner_of(request), also_of_page=True)
        seconds = max((job.eta or 0.0 for job in jobs), default=0.0)
        return Answer(
            {
                "msg": "estimation",
                "rank": None,
                "queue_size": len(jobs),
                "avg_event_process_time": None,
                "avg_event_concurrent_process_time": None,
                "rank_eta": None,
                "queue_eta": round(seconds, 1),
            }
        )

    return routes


def fraction(job: JobSnapshot) -> float:
    """How much of a job is done, 0 ... 1."""
    if job.is_final:
        return 1.0
    step = job.step
    if job.state != "running" or step is None:
        return 0.0
    return min(1.0, (step.batch + (step.step / step.steps if step.steps else 0.0)) / max(1, step.batches))


def _current(jobs: list[JobSnapshot]) -> list[JobSnapshot]:
    return [job for job in jobs if job.state == "running"] or jobs[:1]


def _progress(parts: Parts, jobs: list[JobSnapshot], *, with_picture: bool) -> dict[str, Any]:
    state: dict[str, Any] = {
        "skipped": False,
        "interrupted": False,
        "stopping_generation": False,
        "job": "",
        "job_count": 0,
        "job_timestamp": "0",
        "job_no": 0,
        "sampling_step": 0,
        "sampling_steps": 0,
    }
    answer: dict[str, Any] = {
        "progress": 0.0,
        "eta_relative": 0.0,
        "state": state,
        "current_image": None,
        "textinfo": None,
    }
    if not jobs:
        return answer
    job, step = jobs[0], jobs[0].step
    state |= {
        "job": parts.submitted.tasks(job.owner).get(job.id, job.id),
        "job_count": job.request.batch_count,
        "job_timestamp": f"{job.created:.0f}",
        "job_no": step.batch if step else 0,
        "sampling_step": step.step if step else 0,
        "sampling_steps": step.steps if step else 0,
    }
    answer |= {"progress": fraction(job), "eta_relative": job.eta or 0.0, "textinfo": text_of(job)}
    if with_picture and job.preview_number:
        preview = parts.runtime.job(job.id, job.owner).preview()
        answer["current_image"] = base64.b64encode(preview).decode("ascii") if preview else None
    return answer


def _task_progress(parts: Parts, job: JobSnapshot | None, body: dict[str, Any]) -> dict[str, Any]:
    seen = body.get("id_live_preview", -1)
    answer: dict[str, Any] = {
        "active": job is not None and job.state == "running",
        "queued": job is not None and job.state == "waiting",
        "completed": job is not None and job.is_final,
        "progress": None,
        "eta": None,
        "live_preview": None,
        "id_live_preview": seen if isinstance(seen, int) else -1,
        "textinfo": "Waiting..." if job is None else text_of(job),
    }
    if job is None or job.state != "running":
        return answer
    answer |= {"progress": fraction(job), "eta": job.eta}
    if body.get("live_preview", True) and job.preview_number and job.preview_number != seen:
        preview = parts.runtime.job(job.id, job.owner).preview()
        if preview:
            answer["live_preview"] = "data:image/jpeg;base64," + base64.b64encode(preview).decode("ascii")
            answer["id_live_preview"] = job.preview_number
    return answer


def text_of(job: JobSnapshot) -> str | None:
    """What a job is doing, in a few words."""
    if job.state == "waiting":
        return f"In queue: {job.place}"
    return job.loading.text if job.loading is not None else None
