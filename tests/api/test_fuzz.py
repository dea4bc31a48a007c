"""Whatever is sent: never an answer of 5xx, never silence. ``LUCID_FUZZ`` multiplies how much is tried."""

from __future__ import annotations

import os
from typing import Any

import httpx2
import pytest
import schemathesis
from api_calls import base64_png
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error

from webui.api.fields import FIELDS, others_of
from webui.api.options import OPTIONS, WITHOUT_EFFECT

MORE = int(os.environ.get("LUCID_FUZZ", "1"))
BOUNDED = settings(
    max_examples=40 * MORE,
    deadline=None,
    derandomize=MORE == 1,
    suppress_health_check=list(HealthCheck),
    database=None,
)

words = st.text(max_size=20) | st.sampled_from(["", "None", "Euler", "karras", "\ud800", "\0", "tiny", "a" * 5000])
numbers = st.integers() | st.floats() | st.sampled_from([0, -1, 1, 2**63, 10**400, 1e308, 0.5])
values = st.recursive(
    st.none() | st.booleans() | numbers | words | st.just(base64_png(size=(8, 8))),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=5,
)
small = {"width": 64, "height": 64, "steps": 1, "seed": 1, "override_settings": {"sd_model_checkpoint": "tiny"}}


def bodies(kind: str) -> Any:
    """A request that would be fine, with one to three fields of nonsense."""
    names = st.sampled_from([*FIELDS[kind], *others_of(kind), *OPTIONS, "nonsense"])
    fine = {**small, "init_images": [base64_png(size=(64, 64))]} if kind == "img2img" else small
    return st.dictionaries(names, values, min_size=1, max_size=3).map(lambda wrong: {**fine, **wrong})


def send(client: httpx2.Client, path: str, body: Any) -> httpx2.Response:
    """As JSON that Python writes, NaN and halves of surrogate pairs among it. Counts above 2 would only take long."""
    import json

    for name in ("n_iter", "batch_size", "batch_count"):
        if isinstance(body, dict) and isinstance(body.get(name), int | float) and 2 < body[name] <= 1000:
            body[name] = 2
    if isinstance(body, dict) and isinstance(body.get("steps"), int | float) and 3 < body["steps"] <= 1000:
        body["steps"] = 3
    answer = client.post(path, content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        assert isinstance(answer.json()["detail"], str) and len(answer.content) < 5000
    return answer


@pytest.mark.parametrize("kind", ["txt2img", "img2img"])
def test_nonsense_in_a_generation_is_refused_or_drawn(anna: httpx2.Client, kind: str) -> None:
    @BOUNDED
    @given(body=bodies(kind))
    def ask(body: Any) -> None:
        send(anna, f"/sdapi/v1/{kind}", body)

    ask()


@BOUNDED
@given(options=st.dictionaries(st.sampled_from([*OPTIONS, *WITHOUT_EFFECT]) | words, values, max_size=3))
def test_nonsense_in_options_is_refused_or_kept(ben: httpx2.Client, options: Any) -> None:
    send(ben, "/sdapi/v1/options", options)
    shown = ben.get("/sdapi/v1/options")
    assert shown.status_code == 200
    defaults = {name: value for name, value in shown.json().items() if name not in OPTIONS}
    assert set(defaults) >= set(WITHOUT_EFFECT)


@pytest.mark.parametrize("path", ["/sdapi/v1/txt2img", "/sdapi/v1/png-info", "/api/v1/jobs", "/sdapi/v1/options"])
@pytest.mark.parametrize(
    "body",
    [b"[" * 100_000, b'{"a":' * 50_000, b"\xff\xfe", b'"text"', b"{", b'{"steps": 1' + b"0" * 5000 + b"}", b"null"],
)
def test_what_is_no_json_object_is_refused(anna: httpx2.Client, path: str, body: bytes) -> None:
    answer = anna.post(path, content=body)
    assert answer.status_code == 422 and answer.json()["detail"]


def test_nothing_that_the_description_allows_is_an_internal_error(anna: httpx2.Client, port: int) -> None:
    """Drawing and enlarging are left to the tests above, since large pictures are allowed too."""
    told = anna.get("/openapi.json").json()
    slow = ("txt2img", "img2img", "extra-", "/api/v1/jobs", "/v1/images", "/events")
    told["paths"] = {path: item for path, item in told["paths"].items() if not any(part in path for part in slow)}
    schema = schemathesis.openapi.from_dict(told)
    schema.config.update(base_url=f"http://127.0.0.1:{port}")
    headers = {"Authorization": anna.headers["Authorization"]}
    asked = 0

    for found in schema.get_all_operations():
        operation = found.ok()

        @settings(BOUNDED, max_examples=4 * MORE)
        @given(case=operation.as_strategy(generation_mode=GenerationMode.NEGATIVE) | operation.as_strategy())
        def ask(case: Any) -> None:
            nonlocal asked
            asked += 1
            case.call_and_validate(headers=headers, checks=[not_a_server_error])

        ask()
    assert asked > 50
