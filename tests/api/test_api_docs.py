"""docs/api.md names every route, field and option that there is, and no other one; its examples run."""

from __future__ import annotations

import base64
import io
import json
import re
import shlex
from pathlib import Path
from typing import Any

import httpx2
from api_calls import eventually
from PIL import Image

from webui.api.fields import COMMON, IMG2IMG, TXT2IMG
from webui.api.options import OPTIONS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "api.md").read_text(encoding="utf-8")


def test_every_route_is_in_the_table_and_no_other_one(anna: httpx2.Client) -> None:
    told = anna.get("/openapi.json").json()["paths"]
    there = {f"{method.upper()} {path}" for path, methods in told.items() for method in methods}
    assert {" ".join(found) for found in re.findall(r"^\| (GET|POST) `(\S+)` \|", PAGE, re.MULTILINE)} == there


def test_fields_and_options_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ((?:`\w+`(?:, )?)+) \|(?: (.*)\|)?$", PAGE, re.MULTILINE)
    written = {(name, tuple(re.findall(r"\w+", parameters)), default.strip(" `")) for name, parameters, default in rows}
    fields = {
        (field.name, field.parameters, "" if field.default in (None, "") else json.dumps(field.default))
        for field in (*COMMON, *TXT2IMG, *IMG2IMG)
    }
    assert written == fields | {(option, (parameter,), "") for option, parameter in OPTIONS.items()}


def test_the_examples_run(anna: httpx2.Client) -> None:
    answers: list[Any] = []
    for command in re.findall(r"```\n(curl .*?)\n```", PAGE, re.DOTALL):
        words = shlex.split(command.replace("\\\n", " "))
        address = next(word for word in words if word.startswith("http"))
        body = json.loads(words[words.index("-d") + 1]) | {"steps": 2, "width": 128, "height": 128}
        answer = anna.post(address.removeprefix("http://127.0.0.1:7860"), json=body)
        assert answer.status_code in (200, 201), answer.text
        answers.append(answer.json())
    with Image.open(io.BytesIO(base64.b64decode(answers[0]["images"][0]))) as picture:
        assert picture.size == (128, 128)
    eventually(lambda: anna.get(f"/api/v1/jobs/{answers[1]['id']}").json()["state"] == "done")
