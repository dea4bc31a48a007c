"""The gate: every route of the real application, asked by nobody, by a wrong one and by another one."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from looping import in_a_loop
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

from webui.gate.gate import PUBLIC, Gate
from webui.runtime import Runtime
from webui.server import application, guarded
from webui.settings import Settings

PASSWORD = "correct horse battery"
ADDRESS = "http://192.168.7.7:7860"  # an address, as on a LAN


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    """With accounts, without models, not started: nobody draws here."""
    folder = tmp_path_factory.mktemp("shared")
    (folder / "models").mkdir()
    runtime = Runtime(Settings(data_dir=folder, open_browser=False, cors_origins="https://friend.example"))
    runtime.accounts.add("anna", PASSWORD, "admin")
    runtime.accounts.add("ben", PASSWORD)
    yield runtime
    runtime.close()


@pytest.fixture(scope="module")
def served(runtime: Runtime) -> Any:
    return in_a_loop(lambda: application(runtime))


@pytest.fixture(scope="module")
def client(runtime: Runtime, served: Any) -> Iterator[TestClient]:
    with TestClient(
        guarded(served, runtime.accounts, runtime.settings), base_url=ADDRESS, follow_redirects=False
    ) as client:
        yield client


@pytest.fixture(autouse=True)
def no_cookies(client: TestClient) -> None:
    client.cookies.clear()


def basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def all_routes(routes: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """(method, path) of everything that is served, with something plausible in the place of parameters."""
    for route in routes:
        path = prefix + getattr(route, "path", "")
        if isinstance(route, Mount):
            yield from all_routes(route.routes, path)
        elif isinstance(route, WebSocketRoute):
            yield "WEBSOCKET", path
        elif isinstance(route, Route):
            for method in route.methods or {"GET"}:
                yield method, path.replace("{", "").replace("}", "").replace(":path", "")
        else:  # a router that is included, or an application without a list of routes
            yield from all_routes(getattr(getattr(route, "app", None), "routes", ()), path)


def test_no_route_answers_without_the_login(client: TestClient, served: Any) -> None:
    walked = sorted(set(all_routes(served.routes)))
    paths = {path for _, path in walked}
    assert len(walked) > 30
    assert {"/login", "/account", "/pictures/path", "/config"} <= paths, paths  # ours, and Gradio's within its mount
    assert {"/sdapi/v1/txt2img", "/api/v1/jobs/id/events", "/v1/images/generations", "/docs", "/openapi.json"} <= paths
    token = {"Authorization": "Bearer lucid_wrong"}
    for method, path in walked:
        if path in PUBLIC or method == "OPTIONS":
            continue
        if method == "WEBSOCKET":
            with pytest.raises((WebSocketDisconnect, WebSocketDenialResponse)), client.websocket_connect(path):
                pass
            continue
        for wrong in ({}, token, {"Cookie": "lucid_session=wrong"}):
            answer = client.request(method, path, headers=wrong)
            assert answer.status_code == 401, f"{method} {path}"
            assert len(answer.content) < 300 and b"anna" not in answer.content


def test_a_wrong_password_gets_nothing_and_has_to_wait_after_some(client: TestClient) -> None:
    with TestClient(client.app, base_url=ADDRESS, client=("10.9.9.5", 1)) as other:
        answers = [other.get("/config", headers=basic("anna", f"guess {number}")) for number in range(8)]
    assert {answer.status_code for answer in answers} == {401, 429}
    assert int(answers[-1].headers["retry-after"]) > 0


def test_a_browser_is_led_to_the_login_and_back(client: TestClient) -> None:
    first = client.get("/?__theme=dark", headers={"Accept": "text/html,*/*"})
    assert (first.status_code, first.headers["location"]) == (303, "/login?next=/%3F__theme%3Ddark")
    shown = client.get(first.headers["location"])
    assert shown.status_code == 200 and 'value="/?__theme=dark"' in shown.text
    signed = client.post("/login", data={"name": "Ben", "password": PASSWORD, "next": "/?__theme=dark"})
    assert (signed.status_code, signed.headers["location"]) == (303, "/?__theme=dark")
    cookie = signed.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie and "Secure" not in cookie
    assert client.get("/").status_code == 200
    assert client.get("/account/me").json() == {"name": "ben", "role": "user"}
    left = client.post("/logout")
    assert left.status_code == 303
    assert client.get("/account/me").status_code == 401


def test_the_login_page_says_what_is_wrong_and_leads_nowhere_else(client: TestClient, runtime: Runtime) -> None:
    wrong = client.post("/login", data={"name": "<b>ben", "password": "x", "next": "//evil.example"})
    assert wrong.status_code in (403, 429)
    assert "&lt;b&gt;ben" in wrong.text and "<b>ben" not in wrong.text and "evil" not in wrong.text
    with TestClient(client.app, base_url=ADDRESS, follow_redirects=False, client=("10.9.9.9", 1)) as other:
        signed = other.post("/login", data={"name": "ben", "password": PASSWORD, "next": "https://evil.example/"})
    assert signed.headers["location"] == "/"


def test_programs_send_a_password_or_a_token(client: TestClient, runtime: Runtime) -> None:
    token = runtime.accounts.make_token("ben", "test")
    with TestClient(client.app, base_url=ADDRESS, client=("10.9.9.8", 1)) as other:
        for headers in (basic("ben", PASSWORD), basic("anything", token), {"Authorization": f"Bearer {token}"}):
            assert other.get("/account/me", headers=headers).json()["name"] == "ben"


def test_the_account_page_changes_the_password_and_makes_and_removes_tokens(
    client: TestClient, runtime: Runtime
) -> None:
    runtime.accounts.add("carla", PASSWORD)
    with TestClient(client.app, base_url=ADDRESS, client=("10.9.9.7", 1)) as other:
        other.post("/login", data={"name": "carla", "password": PASSWORD})
        made = other.post("/account", data={"do": "token", "label": "<i>paint"})
        assert "&lt;i&gt;paint" in made.text
        token = made.text.split("<code>")[1].split("</code>")[0]
        account = runtime.accounts.who(token)
        assert account is not None and account.name == "carla"
        key = next(key for key in runtime.accounts.keys("carla") if key.kind == "token")
        assert "removed" in other.post("/account", data={"do": "remove", "key": key.id}).text
        assert runtime.accounts.who(token) is None
        differs = other.post("/account", data={"do": "password", "old": PASSWORD, "new": "x" * 12, "again": "y" * 12})
        assert differs.status_code == 400 and "differ" in differs.text
        new = "another long one"
        assert (
            "is changed"
            in other.post("/account", data={"do": "password", "old": PASSWORD, "new": new, "again": new}).text
        )
        assert other.get("/account/me").status_code == 401
        assert runtime.accounts.check_basic("carla", new, "10.9.9.6") is not None


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://192.168.7.7:7861"])
def test_no_other_page_makes_a_browser_send_something(client: TestClient, runtime: Runtime, origin: str) -> None:
    token = {"Authorization": f"Bearer {runtime.accounts.make_token('ben', 'x')}"}
    refused = client.post("/logout", headers={"Origin": origin, **token})
    assert refused.status_code == 403 and "access-control-allow-origin" not in refused.headers
    assert client.post("/logout", headers={"Origin": ADDRESS, **token}).status_code == 303


def test_a_page_that_the_setting_names_may(client: TestClient, runtime: Runtime) -> None:
    asked = {"Origin": "https://friend.example", "Access-Control-Request-Method": "POST"}
    preflight = client.options("/account/me", headers=asked)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "https://friend.example"
    assert client.options("/account/me", headers={**asked, "Origin": "https://evil.example"}).status_code == 400


def test_every_answer_forbids_guessing_types_and_framing(client: TestClient, runtime: Runtime) -> None:
    token = {"Authorization": f"Bearer {runtime.accounts.make_token('ben', 'x')}"}
    for path in ("/", "/account", "/health"):
        headers = client.get(path, headers=token).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "SAMEORIGIN"
    assert client.get("/health").json() == {"status": "ok"}


async def _reading(scope: Any, receive: Any, send: Any) -> None:
    """An application that reads its whole body and tells how much came."""
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(size).encode()})


@pytest.fixture
def open_runtime(tmp_path: Path) -> Iterator[Runtime]:
    (tmp_path / "models").mkdir()
    runtime = Runtime(Settings(data_dir=tmp_path, open_browser=False))
    yield runtime
    runtime.close()


def test_without_accounts_a_stranger_s_name_for_this_computer_gets_nothing(open_runtime: Runtime) -> None:
    gate = Gate(_reading, open_runtime.accounts, hosts=["lucid.example"])
    client = TestClient(gate)
    for host, status in (
        ("127.0.0.1:7860", 200),
        ("localhost:7860", 200),
        ("[::1]:7860", 200),
        ("192.168.0.9", 200),
        ("LUCID.example", 200),
        ("rebound.evil.example:7860", 403),
        ("", 403),
    ):
        assert client.get("/", headers={"Host": host}).status_code == status, host


def test_a_body_is_read_up_to_the_limit_whatever_its_header_says(open_runtime: Runtime) -> None:
    client = TestClient(Gate(_reading, open_runtime.accounts, max_body=1000), base_url="http://127.0.0.1")
    assert client.post("/", content=b"x" * 1000).text == "1000"
    assert client.post("/", content=b"x" * 1001).status_code == 413

    def chunks() -> Iterator[bytes]:
        for _ in range(20):
            yield b"x" * 100

    assert client.post("/", content=chunks()).status_code == 413
