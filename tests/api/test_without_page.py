"""``--nowebui``: the API, the login and nothing else."""

from __future__ import annotations

from starlette.testclient import TestClient

from webui.runtime import Runtime
from webui.server import application, guarded


def test_the_api_answers_without_the_page(runtime: Runtime, tokens: dict[str, str]) -> None:
    app = guarded(application(runtime, with_page=False), runtime.accounts, runtime.settings)
    with TestClient(app, base_url="http://127.0.0.1:7860") as client:
        assert client.get("/sdapi/v1/samplers").status_code == 401
        client.headers["Authorization"] = f"Bearer {tokens['ben']}"
        assert client.get("/sdapi/v1/samplers").status_code == 200
        assert client.get("/docs").status_code == 200
        assert client.get("/").status_code == 404
