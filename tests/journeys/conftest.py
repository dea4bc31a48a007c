"""A real server process, a real browser, and people who come to the page."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from live_server import Server, end, serve
from playwright.sync_api import Browser, BrowserContext, Error, Page, expect, sync_playwright
from visitor import Visitor

FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")
PATIENCE = 30_000  # milliseconds; a picture takes 1.5 s, a busy machine longer


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> Iterator[Server]:
    """One server for all journeys, with the starter and a tiny second checkpoint. A journey may put LoRAs into ``loras``."""
    data_dir = tmp_path_factory.mktemp("data")
    (data_dir / "loras").mkdir()
    server = serve(data_dir, "--ckpt-dir", str(tiny_checkpoint.parent), "--lora-dir", str(data_dir / "loras"))
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


@pytest.fixture(scope="session")
def household(browser: Browser) -> Iterator[BrowserContext]:
    """One browser for most visits, so that the page's scripts are compiled once; its memory is cleared after each test."""
    context = new_context(browser)
    yield context
    context.close()


@pytest.fixture
def visit(browser: Browser, household: BrowserContext, server: Server) -> Iterator[Callable[..., Visitor]]:
    """Someone opens the page: ``visit()`` in a tab of the shared browser, ``visit(color_scheme="dark")`` in one of their own.

    Afterwards: no script failed, and no other server was asked.
    """
    errors: list[Error] = []
    strangers: list[str] = []
    with contextlib.ExitStack() as afterwards:

        def come(address: str = server.address, **options: Any) -> Visitor:
            context = new_context(browser, **options) if options else household
            page = context.new_page()
            page.on("pageerror", lambda error: errors.append(error))
            page.on("request", lambda request: None if is_ours(request.url, address) else strangers.append(request.url))
            afterwards.callback(context.close if options else lambda: leave(page))
            return Visitor(page, address).come()

        yield come
    assert not errors
    assert not strangers


def new_context(browser: Browser, **options: Any) -> BrowserContext:
    context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})
    context.set_default_timeout(PATIENCE)
    return context


def leave(page: Page) -> None:
    """Close the tab and all that were opened from it, and forget what the browser kept."""
    if page.is_closed():
        return
    page.evaluate("localStorage.clear()")
    for open_page in page.context.pages:
        open_page.close()


def is_ours(url: str, address: str) -> bool:
    return url.startswith((address, "data:", "blob:"))


@pytest.fixture
def visitor(visit: Callable[..., Visitor]) -> Visitor:
    return visit()
