"""The screenshots of the page that the documentation shows: ``python docs/page_pictures.py`` draws them anew.

Needs what the tests need (``pip install -e ".[test]"`` and Chromium). It starts a server of its own, so nothing of yours is shown.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from live_server import end, serve  # noqa: E402

IMAGES = ROOT / "docs" / "images"
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")
PROMPTS = (
    "a rocket at night",
    "a whale under water",
    "a yellow circle on a purple background",
    "a panda on a pink background",
)
DESKTOP, PHONE = {"width": 1400, "height": 1000}, {"width": 390, "height": 844}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        server = serve(Path(folder))
        try:
            with sync_playwright() as playwright:
                executable = os.environ.get("CHROMIUM") or shutil.which("chromium")
                browser = playwright.chromium.launch(executable_path=executable, args=list(FLAGS))
                _on_a_desktop(browser, server.address)
                _on_a_phone(browser, server.address)
        finally:
            end(server)


def _on_a_desktop(browser: Browser, address: str) -> None:
    page = _visit(browser, address, viewport=DESKTOP)
    page.locator("#seed .number-field").fill("7")
    for number, prompt in enumerate(PROMPTS, start=1):
        page.locator("#prompt textarea").fill(prompt)
        page.locator("#generate").click()
        page.wait_for_function(
            "(count) => document.querySelectorAll('#results .strip img, #results .strip button').length >= count",
            arg=number if number > 1 else 0,
        )
        page.wait_for_selector('#results .stage img[src^="pictures/"]')
        page.wait_for_function(
            "(prompt) => document.querySelector('#results .infotext').innerText.startsWith(prompt)", arg=prompt
        )
    page.screenshot(path=IMAGES / "txt2img.png")
    dark = _visit(browser, address, viewport=DESKTOP, color_scheme="dark")
    dark.locator("#prompt textarea").fill(PROMPTS[-1])
    dark.locator("#seed .number-field").fill("7")
    dark.locator("#generate").click()
    dark.wait_for_selector('#results .stage img[src^="pictures/"]')
    dark.screenshot(path=IMAGES / "txt2img-dark.png")
    page.get_by_role("tab", name="History").click()
    page.locator("#history .thumbnails img").first.wait_for()
    page.wait_for_function(
        "[...document.querySelectorAll('#history img')].every((img) => img.complete && img.naturalWidth)"
    )
    page.screenshot(path=IMAGES / "history.png")


def _on_a_phone(browser: Browser, address: str) -> None:
    page = _visit(browser, address, viewport=PHONE, device_scale_factor=2, is_mobile=True, has_touch=True)
    page.locator("#prompt textarea").fill("a sunflower in a meadow")
    page.locator("#generate").tap()
    page.wait_for_selector('#results .stage img[src^="pictures/"]')
    page.evaluate("scrollTo(0, 0)")
    page.screenshot(path=IMAGES / "phone.png")


def _visit(browser: Browser, address: str, **options: Any) -> Page:
    context = browser.new_context(**{"color_scheme": "light", **options})
    context.set_default_timeout(120_000)
    page = context.new_page()
    page.goto(address)
    page.wait_for_function("() => window.lucid && lucid.form.records['lucid.txt2img']")
    return page


if __name__ == "__main__":
    main()
