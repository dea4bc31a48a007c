"""A real server process, a real browser, and people who come to the page."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from live_server import Server, end, serve
from playwright.sync_api import Browser, Error, expect, sync_playwright
from visitor import Visitor

FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")
PATIENCE = 30_000  # milliseconds; a picture takes 1.5 s, a busy machine longer


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> Iterator[Server]:
    """One server for all journeys, with the starter and a tiny second checkpoint."""
    server = serve(tmp_path_factory.mktemp("data"), "--ckpt-dir", str(tiny_checkpoint.parent))
    yield server
    end(server)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    executable = os.environ.get("CHROMIUM") or shutil.which("chromium")
    assert executable, "the journeys need Chromium: apt install chromium, or name it in the variable CHROMIUM"
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Browser, server: Server) -> Iterator[Callable[..., Visitor]]:
    """Someone comes with a browser of their own. Afterwards: no script failed, and nobody else's server was asked."""
    errors: list[Error] = []
    strangers: list[str] = []
    contexts = []

    def come(address: str = server.address, **options: Any) -> Visitor:
        context = browser.new_context(
            **{"viewport": {"width": 1440, "height": 900}, "accept_downloads": True, **options}
        )
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(error))
        page.on("request", lambda request: strangers.append(request.url) if not is_ours(request.url, address) else None)
        return Visitor(page, address).come()

    yield come
    for context in contexts:
        context.close()
    assert not errors
    assert not strangers


def is_ours(url: str, address: str) -> bool:
    return url.startswith((address, "data:", "blob:"))


@pytest.fixture
def visitor(visit: Callable[..., Visitor]) -> Visitor:
    return visit()
