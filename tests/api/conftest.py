"""A server with accounts and the starter, answering on a real port, and programs that ask it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn
from api_calls import PASSWORD, Ask
from looping import in_a_loop
from tiny import write_tiny_checkpoint

from webui.runtime import Runtime
from webui.server import application, guarded, open_port
from webui.settings import Settings


@pytest.fixture(scope="session")
def runtime(tmp_path_factory: pytest.TempPathFactory, starter: Path) -> Iterator[Runtime]:
    """Started, with the starter and a tiny second checkpoint; Anna is its administrator, Ben a user."""
    folder = tmp_path_factory.mktemp("api")
    (folder / "more").mkdir()
    write_tiny_checkpoint(folder / "more" / "tiny.safetensors")
    settings = Settings(
        data_dir=folder,
        models_dir=starter.parent.parent,
        extra_model_folders={"checkpoint": (folder / "more",)},
        default_checkpoint="lucid-starter",
        open_browser=False,
        threads=1,
    )
    runtime = Runtime(settings)
    runtime.accounts.add("anna", PASSWORD, "admin")
    runtime.accounts.add("ben", PASSWORD)
    runtime.start()
    yield runtime
    runtime.close()


@pytest.fixture(scope="session")
def served(runtime: Runtime) -> Any:
    return in_a_loop(lambda: application(runtime))


@pytest.fixture(scope="session")
def port(runtime: Runtime, served: Any) -> Iterator[int]:
    """The application behind the gate, on a port of this computer."""
    app = guarded(served, runtime.accounts, runtime.settings)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1, ws="none"))
    with open_port("127.0.0.1", 0) as listener:
        thread = threading.Thread(target=lambda: server.run(sockets=[listener]))
        thread.start()
        yield listener.getsockname()[1]
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="session")
def tokens(runtime: Runtime) -> dict[str, str]:
    return {name: runtime.accounts.make_token(name, "test") for name in ("anna", "ben")}


@pytest.fixture(scope="session")
def ask(port: int, tokens: dict[str, str]) -> Iterator[Ask]:
    """``ask("ben")``: a client that is signed in; ``ask(None)``: one that is not."""
    opened: dict[str | None, httpx2.Client] = {}

    def client(name: str | None = "anna") -> httpx2.Client:
        if name not in opened:
            headers = {} if name is None else {"Authorization": f"Bearer {tokens[name]}"}
            opened[name] = httpx2.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=120)
        return opened[name]

    yield client
    for one in opened.values():
        one.close()


@pytest.fixture(scope="session")
def anna(ask: Ask) -> httpx2.Client:
    return ask("anna")


@pytest.fixture(scope="session")
def ben(ask: Ask) -> httpx2.Client:
    return ask("ben")
