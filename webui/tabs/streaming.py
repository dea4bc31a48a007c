"""Watching jobs: what the results panel of a tab asks the server, and how a snapshot looks to a browser.

The panel *polls*. A stream that breaks (reload, sleep, lost network, restarted server) does not come back by itself; a
question simply asked again does, and answers the same to every page that asks: the server is the truth, the page only
remembers which jobs it follows. An answer holds only what changed: the browser says which version of each job it has seen.
"""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Mapping
from typing import Any

import gradio as gr

from webui.domain.events import Saved
from webui.domain.picture_options import CROP, EXTENSIONS, FILL, WHOLE_PICTURE
from webui.domain.request import GenerationRequest
from webui.errors import JobNotFound, WebUIError
from webui.jobs.job import Job, JobSnapshot
from webui.runtime import Runtime
from webui.tabs.components import Tab, asset, owner_of
from webui.tabs.pictures import INPUTS, picture_address

_MAX_WATCHED = 32  # jobs that one page may ask about at once


def results_panel(runtime: Runtime, tab: Tab) -> gr.HTML:
    """Progress, preview, pictures, infotext and queue of the jobs of one kind, which is called like the tab.

    Its value is set by the Generate handler: ``{"job": id}`` to follow a new job, ``{"error": sentence, "field": name}``
    to show what is wrong with the form. See ``assets/results.js`` for the browser's half.
    """

    def poll(asked: dict[str, Any], request: gr.Request) -> dict[str, Any]:
        return answer(runtime, owner_of(request), asked)

    def stop(asked: dict[str, Any], request: gr.Request) -> dict[str, Any]:
        return _told(lambda: runtime.job(str(asked["job"]), owner_of(request)).stop())

    def skip(asked: dict[str, Any], request: gr.Request) -> dict[str, Any]:
        return _told(lambda: runtime.job(str(asked["job"]), owner_of(request)).skip())

    return gr.HTML(
        value=None,
        label="Results",
        html_template=asset("results.html"),
        js_on_load=f"lucid.results({tab.name!r}, {tab.prefix!r}, element, props, server, watch)",
        server_functions=[poll, stop, skip],
        elem_id=tab.id("results"),
        elem_classes="results-panel",
        apply_default_css=False,
    )


def answer(runtime: Runtime, owner: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    """What changed. ``asked``: ``watch`` (job id -> version seen) and ``preview`` (``job``, ``number`` seen).

    ``queue`` holds every active job of the owner, ``jobs`` the watched ones that changed (None: there is no such job any
    more), ``preview`` a JPEG as data URL where there is a newer one than seen.
    """
    readiness = runtime.readiness()
    reply: dict[str, Any] = {
        "ready": {"ready": readiness.ready, "text": readiness.text},
        "queue": [_queued(job.snapshot()) for job in runtime.jobs(owner)],
        "jobs": {},
    }
    watched: Mapping[str, Any] = asked.get("watch") or {}
    for job_id, seen in list(watched.items())[:_MAX_WATCHED]:
        job = _find(runtime, job_id, owner)
        snapshot = job.snapshot() if job is not None else None
        if snapshot is None or snapshot.version != seen:
            reply["jobs"][job_id] = snapshot and shown(snapshot)
    preview = asked.get("preview") or {}
    if preview and (job := _find(runtime, str(preview.get("job")), owner)) is not None:
        number = job.snapshot().preview_number
        if number and number != preview.get("number") and (jpeg := job.preview()) is not None:
            data = base64.b64encode(jpeg).decode("ascii")
            reply["preview"] = {"job": job.id, "number": number, "source": f"data:image/jpeg;base64,{data}"}
    return reply


def shown(snapshot: JobSnapshot) -> dict[str, Any]:
    """A job, whole, as plain values."""
    return {
        **_queued(snapshot),
        "width": snapshot.request.width,
        "height": snapshot.request.height,
        "pictures": [{**picture(saved), **own_source(snapshot, saved)} for saved in snapshot.pictures],
        "source": source(snapshot),
        "notices": list(snapshot.notices),
        "error": snapshot.error,
        "started": snapshot.started,
        "finished": snapshot.finished,
        "version": snapshot.version,
    }


def source(snapshot: JobSnapshot) -> dict[str, Any] | None:
    """What the job's pictures were made from, to be laid over them; None for txt2img.

    ``fit`` is how it is brought to their size, as CSS says it, and ``inset`` which shares of them lie beyond its sides (left,
    top, right, bottom), where it was extended.
    """
    request = snapshot.request
    if not isinstance(request, GenerationRequest) or not request.has_picture:
        return None
    left, right, up, down = (getattr(request, name) for name in EXTENSIONS)
    saved = snapshot.pictures[0] if snapshot.pictures else None
    wide, high = (saved.width, saved.height) if saved else (request.width, request.height)
    whole = not request.mask or request.inpaint_area == WHOLE_PICTURE
    return {
        "address": f"{INPUTS.lstrip('/')}/{request.init_image}",
        "fit": {CROP: "cover", FILL: "contain"}.get(request.resize_mode, "100% 100%") if whole else "100% 100%",
        "inset": [left / wide, up / high, right / wide, down / high],
    }


def own_source(snapshot: JobSnapshot, saved: Saved) -> dict[str, Any]:
    """What a picture was before, in jobs of several pictures: each has its own."""
    request = snapshot.request
    if isinstance(request, GenerationRequest):
        if not request.batch_entries:
            return {}
        alone = request.picture(saved.index)
        told = source(dataclasses.replace(snapshot, request=alone, pictures=(saved,)))
        return {"source": told}
    address = f"{INPUTS.lstrip('/')}/{request.ids[saved.index]}"
    return {"source": {"address": address, "fit": "cover", "inset": [0, 0, 0, 0]}}


def picture(saved: Saved) -> dict[str, Any]:
    return {
        "index": saved.index,
        "seed": str(saved.seed),  # text: JavaScript rounds whole numbers beyond 2**53
        "address": picture_address(saved.path),
        "name": saved.path.rsplit("/", 1)[-1],
        "infotext": saved.infotext,
        "width": saved.width,
        "height": saved.height,
    }


def _queued(snapshot: JobSnapshot) -> dict[str, Any]:
    """An active job in brief: where it stands, and how far it has come."""
    loading, step = snapshot.loading, snapshot.step
    return {
        "id": snapshot.id,
        "kind": snapshot.kind,
        "state": snapshot.state,
        "place": snapshot.place,
        "eta": snapshot.eta,
        "rate": snapshot.steps_per_second,
        "count": snapshot.request.picture_count,
        "prompt": snapshot.request.prompt[:200],
        "loading": loading and {"text": loading.text, "fraction": loading.fraction},
        "step": step and dataclasses.asdict(step),
        "previews": snapshot.preview_number,
    }


def _find(runtime: Runtime, job_id: str, owner: str) -> Job | None:
    try:
        return runtime.job(job_id, owner)
    except JobNotFound:
        return None


def _told(act: Any) -> dict[str, Any]:
    """Do it; an error for the user becomes a sentence to show."""
    try:
        act()
    except WebUIError as error:
        return {"error": str(error)}
    return {}
