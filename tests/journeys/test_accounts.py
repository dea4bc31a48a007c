"""Two people at one server: each signs in, draws, and sees what is theirs."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from live_server import ROOT, Server, end, serve
from playwright.sync_api import Browser, Page, expect
from visitor import Visitor

PASSWORD = "correct horse battery"


def users(folder: Path, *words: str) -> None:
    subprocess.run(
        [sys.executable, "app.py", "users", *words, "--password-stdin", "--data-dir", str(folder)],
        cwd=ROOT,
        input=PASSWORD + "\n",
        text=True,
        check=True,
        capture_output=True,
    )


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("shared")
    for name in ("models", "outputs"):
        (folder / name).mkdir()
    users(folder, "add", "anna", "--admin")
    users(folder, "add", "ben")
    server = serve(folder, "--listen")
    yield server
    end(server)


def sign_in(page: Page, address: str, name: str, password: str = PASSWORD) -> Visitor:
    page.goto(address)
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    return Visitor(page, address)


def test_each_signs_in_and_finds_only_what_is_theirs(shared: Server, browser: Browser) -> None:
    annas, bens = (browser.new_context(viewport={"width": 1440, "height": 900}) for _ in range(2))
    anna = sign_in(annas.new_page(), shared.address, "anna", "a wrong one")
    expect(anna.page.get_by_role("alert")).to_have_text("The name or the password is wrong.")
    expect(anna.page.get_by_label("Name")).to_have_value("anna")
    anna = sign_in(anna.page, shared.address, "anna").ready()
    expect(anna.page.locator(".account")).to_have_text("anna")
    anna.fill(prompt="a red circle", steps=2, seed=7).generate()
    picture = anna.picture_address()

    ben = sign_in(bens.new_page(), shared.address, "ben").ready()
    found = ben.page.evaluate("async (address) => (await fetch(address)).status", picture)
    assert found == 404, "another's picture is not there"
    ben.open_tab("History")
    expect(ben.page.locator("#tab-history")).to_contain_text(re.compile("no picture|nothing", re.IGNORECASE))
    ben.open_tab("txt2img").fill(prompt="a blue square", steps=2, seed=7).generate()
    assert ben.picture_address() != picture
    assert anna.page.evaluate("async (address) => (await fetch(address)).status", picture) == 200

    anna.fill(prompt="a slow green star", steps=400, seed=7).generate()
    ben.open_tab("Queue")
    row = ben.page.locator(".everybody li")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("anna")
    expect(row).not_to_contain_text("green")
    expect(row.get_by_role("button")).to_have_count(0)
    anna.open_tab("Queue")
    mine = anna.page.locator(".everybody li")
    expect(mine).to_contain_text("a slow green star")
    mine.get_by_role("button", name="Stop it").click()
    expect(ben.page.get_by_text("Nobody draws and nothing waits.")).to_be_visible()

    users(shared.data_dir, "remove", "ben")  # while he looks at his page
    ben.page.reload()
    expect(ben.page.get_by_role("button", name="Sign in")).to_be_visible()
    anna.page.locator(".account").click()
    anna.page.get_by_role("button", name="Sign out").click()
    expect(anna.page.get_by_role("button", name="Sign in")).to_be_visible()
    annas.close()
    bens.close()
