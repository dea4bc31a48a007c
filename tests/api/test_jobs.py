"""/api/v1: a job is given, watched and fetched; nobody else knows of it. And OpenAI's way."""

from __future__ import annotations

import base64
import io
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
from api_calls import LONG, SMALL, base64_png, eventually
from PIL import Image

JOBS = "/api/v1/jobs"


def events(client: httpx2.Client, id: str, **query: Any) -> list[tuple[str, Any]]:
    """(event, data) of a job until its stream ends."""
    with client.stream("GET", f"{JOBS}/{id}/events", params=query) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        text = "".join(answer.iter_text())
    blocks = [block.splitlines() for block in text.split("\n\n") if block.startswith("event: ")]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in blocks]


def test_a_job_is_given_watched_and_fetched(anna: httpx2.Client) -> None:
    given = anna.post(JOBS, json={**SMALL, "prompt": "a red apple", "batch_count": 2})
    assert given.status_code == 201
    job = given.json()
    assert given.headers["location"] == f"{JOBS}/{job['id']}"
    assert job["state"] in ("waiting", "running") and job["parameters"]["prompt"] == "a red apple"
    seen = events(anna, job["id"])
    assert {name for name, _ in seen} == {"state", "preview"}
    last = seen[-1][1] if seen[-1][0] == "state" else seen[-2][1]
    assert last["state"] == "done" and last["progress"] == 1.0 and len(last["pictures"]) == 2
    first = next(data for name, data in seen if name == "preview")
    with Image.open(io.BytesIO(base64.b64decode(first["jpeg"]))) as preview:
        assert preview.format == "JPEG"
    assert anna.get(f"{JOBS}/{job['id']}").json() == last
    picture = anna.get(last["pictures"][1]["url"])
    assert picture.headers["content-type"] == "image/png"
    with Image.open(io.BytesIO(picture.content)) as image:
        assert image.size == (128, 128)
    found = anna.get("/api/v1/history", params={"text": "red apple", "limit": 2}).json()
    assert found["total"] >= 2 and found["pictures"][0]["job"] == job["id"]
    assert found["pictures"][0]["url"] == last["pictures"][1]["url"]
    assert anna.get(f"{JOBS}/{job['id']}/pictures/7").status_code == 404


def test_what_is_left_out_is_what_the_checkpoint_suggests(anna: httpx2.Client) -> None:
    job = anna.post(JOBS, json={"steps": 2}).json()
    assert (job["parameters"]["width"], job["parameters"]["cfg_scale"]) == (128, 2.5)
    events(anna, job["id"])


def test_a_job_can_be_cancelled_and_a_request_repeated(anna: httpx2.Client, ben: httpx2.Client) -> None:
    key = {"Idempotency-Key": "once"}
    job = anna.post(JOBS, json=LONG, headers=key).json()
    again = anna.post(JOBS, json=LONG, headers=key)
    assert again.status_code == 200 and again.json()["id"] == job["id"]
    assert [one["id"] for one in anna.get(JOBS).json()["jobs"]] == [job["id"]]
    assert ben.get(JOBS).json() == {"jobs": []}
    eventually(lambda: anna.get(f"{JOBS}/{job['id']}").json()["progress"] > 0)
    assert anna.get(f"{JOBS}/{job['id']}/preview").headers["content-type"] == "image/jpeg"
    with ThreadPoolExecutor(1) as watcher:
        watched = watcher.submit(events, anna, job["id"], previews=False)
        assert anna.post(f"{JOBS}/{job['id']}/cancel").status_code == 200
        assert watched.result()[-1][1]["state"] == "stopped"
    assert anna.get(f"{JOBS}/{job['id']}/preview").status_code == 404


def test_an_administrator_may_cancel_anybody_s_job(anna: httpx2.Client, ben: httpx2.Client) -> None:
    job = ben.post(JOBS, json=LONG).json()["id"]
    assert anna.get(f"{JOBS}/{job}").status_code == 404, "but not look into it"
    assert anna.post(f"{JOBS}/{job}/cancel").status_code == 200
    assert events(ben, job)[-1][1]["state"] == "stopped"


def test_a_picture_that_was_handed_in_is_drawn_over(anna: httpx2.Client, ben: httpx2.Client) -> None:
    handed = anna.post("/api/v1/inputs", content=base64.b64decode(base64_png()))
    id = handed.json()["id"]
    assert handed.status_code == 201 and anna.get(f"/api/v1/inputs/{id}").headers["content-type"] == "image/png"
    job = anna.post(JOBS, json={**SMALL, "init_image": id, "mask": base64_png("white")}).json()
    assert job["kind"] == "img2img" and job["parameters"]["init_image"] == id
    assert events(anna, job["id"])[-1][1]["error"] == ""
    assert ben.get(f"/api/v1/inputs/{id}").status_code == 404
    assert ben.post(JOBS, json={**SMALL, "init_image": id}).status_code == 422
    assert anna.post("/api/v1/inputs", content=b"no picture").status_code == 422


@pytest.mark.parametrize(
    ("sent", "sentence"),
    [
        ({"stepz": 5}, 'no parameter "stepz". Did you mean "steps"'),
        ({"steps": 5000}, "steps: Sampling steps must be between 1 and 1000"),
        ({"checkpoint": "lucid-startr"}, 'Did you mean "lucid-starter"'),
        ({"sampler": "Eulr"}, "no sampler"),
        ({"mask": base64_png()}, "A mask needs a picture"),
        ({"init_image": "0" * 32}, "is not here"),
    ],
)
def test_a_job_that_cannot_be_is_refused_with_a_sentence(anna: httpx2.Client, sent: Any, sentence: str) -> None:
    answer = anna.post(JOBS, json=sent)
    assert answer.status_code == 422 and sentence in answer.json()["detail"]


def test_nobody_else_gets_anything_of_a_job(anna: httpx2.Client, ben: httpx2.Client) -> None:
    job = anna.post(JOBS, json=SMALL).json()["id"]
    events(anna, job)
    for path in ("", "/events", "/preview", "/pictures/0"):
        answer = ben.get(f"{JOBS}/{job}{path}")
        assert answer.status_code == 404 and len(answer.content) < 400
    for path in ("/cancel", "/skip"):
        assert ben.post(f"{JOBS}/{job}{path}").status_code == 404
    assert job not in ben.get("/api/v1/history").text


def test_openai_s_clients_draw(anna: httpx2.Client) -> None:
    sent = {"prompt": "a dog", "n": 2, "size": "128x128", "user": "x", "quality": "hd", "steps": 2, "seed": 3}
    answer = anna.post("/v1/images/generations", json={**sent, "model": "lucid-starter"}).json()
    assert answer["created"] > 0 and len(answer["data"]) == 2
    addressed = anna.post("/v1/images/generations", json={**sent, "response_format": "url"}).json()
    first = anna.get(addressed["data"][0]["url"]).content
    assert first == base64.b64decode(answer["data"][0]["b64_json"])
    assert "lucid-starter" in [model["id"] for model in anna.get("/v1/models").json()["data"]]


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({}, "prompt"),
        ({"prompt": "x", "n": 0.5}, "n"),
        ({"prompt": "x", "size": "big"}, "size"),
        ({"prompt": "x", "size": "100x100"}, "width"),
        ({"prompt": "x", "response_format": "gif"}, "response_format"),
        ({"prompt": "x", "model": "dall-e-3"}, None),
    ],
)
def test_openai_s_clients_are_told_what_is_wrong(anna: httpx2.Client, sent: Any, field: str | None) -> None:
    answer = anna.post("/v1/images/generations", json=sent)
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert error["param"] == field and error["type"] == "invalid_request_error" and error["message"]


def test_the_description_is_complete_and_asks_no_other_server(anna: httpx2.Client, served: Any) -> None:
    told = anna.get("/openapi.json").json()
    ours = {route.path for route in served.routes if getattr(route, "include_in_schema", False)}
    ours = {path for path in ours if path.startswith(("/sdapi", "/internal", "/api/v1", "/v1/"))}
    assert len(ours) > 40
    assert ours <= set(told["paths"])
    page = anna.get("/docs")
    assert "http://" not in page.text and "https://" not in page.text and "<script" not in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert all(path in page.text for path in ours)
    assert told["paths"]["/sdapi/v1/txt2img"]["post"]["requestBody"]["content"]["application/json"]["example"]
