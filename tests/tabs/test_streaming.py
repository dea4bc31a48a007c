"""What a page that asks again and again is told."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

from PIL import Image

from webui.domain.request import GenerationRequest
from webui.jobs.job import JobSnapshot
from webui.runtime import Runtime
from webui.tabs.streaming import answer

LONG = GenerationRequest(prompt="a cat", width=64, height=64, steps=1000, seed=1)


def ask(runtime: Runtime, **asked: Any) -> dict[str, Any]:
    told = answer(runtime, "local", asked)
    json.dumps(told)  # all of it can be sent
    return told


def test_a_finished_job_is_told_once_and_whole(runtime: Runtime, drawn: JobSnapshot) -> None:
    told = ask(runtime, watch={drawn.id: -1})
    assert told["ready"] == {"ready": True, "text": "Ready"}
    job = told["jobs"][drawn.id]
    assert (job["state"], job["count"], job["error"]) == ("done", 2, "")
    assert [picture["seed"] for picture in job["pictures"]] == [str(2**60), str(2**60 + 1)]
    assert all(picture["address"].startswith("pictures/txt2img/") for picture in job["pictures"])
    assert {(picture["width"], picture["height"]) for picture in job["pictures"]} == {(128, 136)}
    assert ask(runtime, watch={drawn.id: job["version"]})["jobs"] == {}


def test_nobody_is_told_of_another_owners_job(runtime: Runtime, drawn: JobSnapshot) -> None:
    asked = {"watch": {drawn.id: -1, "no such job": 3}, "preview": {"job": drawn.id, "number": 0}}
    told = answer(runtime, "somebody", asked)
    assert told["jobs"] == {drawn.id: None, "no such job": None}
    assert told["queue"] == []
    assert "preview" not in told


def test_running_and_waiting_jobs_are_told_with_place_step_and_preview(runtime: Runtime) -> None:
    running, waiting = runtime.generate(LONG), runtime.generate(LONG)
    try:
        next(snapshot for snapshot in running.events() if snapshot.preview_number > 1 and snapshot.step)
        told = ask(runtime, watch={running.id: -1}, preview={"job": running.id, "number": 0})
        first, second = told["queue"]
        assert (first["id"], first["state"], first["place"]) == (running.id, "running", 0)
        assert (second["id"], second["state"], second["place"]) == (waiting.id, "waiting", 1)
        assert 1 <= first["step"]["step"] <= first["step"]["steps"] == 1000
        assert first["rate"] > 0
        picture = base64.b64decode(told["preview"]["source"].removeprefix("data:image/jpeg;base64,"))
        with Image.open(io.BytesIO(picture)) as preview:
            assert preview.format == "JPEG"
    finally:
        for job in (waiting, running):
            job.stop()
    assert running.wait().state == waiting.wait().state == "stopped"
    told = ask(runtime, watch={waiting.id: -1}, preview={"job": running.id, "number": 0})
    assert told["queue"] == []
    assert told["jobs"][waiting.id]["state"] == "stopped"
    assert "preview" not in told


def test_a_page_may_not_ask_about_everything_at_once(runtime: Runtime) -> None:
    assert len(ask(runtime, watch={f"job {number}": -1 for number in range(1000)})["jobs"]) <= 32
