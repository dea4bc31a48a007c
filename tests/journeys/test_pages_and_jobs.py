"""The server is the truth: pages come, go, sleep and break, and the job goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from live_server import end, serve
from playwright.sync_api import expect
from visitor import Visitor

LONG = {"steps": 100, "batch_count": 5}


def test_a_reloaded_and_a_second_page_find_the_running_job(visit: Callable[..., Visitor]) -> None:
    first = visit()
    first.fill(prompt="a sunflower in a meadow", **LONG).generate()
    first.sees_progress("Step")
    first.reload()
    first.sees_progress(r"^Step \d+ of 100, batch")
    first.sees_preview()

    phone = visit(viewport={"width": 390, "height": 844})
    phone.sees_progress(r"^Step \d+ of 100, batch")
    phone.sees_preview()
    first.sees_progress("batch 2 of 5")
    phone.page.locator("#stop").click()
    for visitor in (first, phone):
        visitor.sees_progress(r"^Stopped: \d of 5 kept$")
        visitor.sees_picture()
        expect(visitor.see(".infotext")).to_contain_text("a sunflower in a meadow")
    first.reload().sees_picture()


def test_two_pages_do_not_disturb_one_another(visit: Callable[..., Visitor]) -> None:
    one, other = visit(), visit()
    other.fill(prompt="a crab on a beach", steps=3).generate()
    other.sees_progress("^Done")
    one.fill(prompt="a whale under water", **LONG).generate()
    one.sees_progress("^Step")
    other.sees_progress("^Another page is drawing: Step")
    expect(other.see(".infotext")).to_contain_text("a crab on a beach")
    expect(other.page.locator("#stop")).to_be_disabled()
    assert other.value("prompt") == "a crab on a beach"
    one.page.locator("#stop").click()
    one.sees_progress("^Stopped")


def test_a_killed_server_loses_neither_the_job_nor_the_form(visit: Callable[..., Visitor], tmp_path: Path) -> None:
    server = serve(tmp_path)
    try:
        visitor = visit(server.address)
        visitor.fill(prompt="a robot on a gray background", steps=40, batch_count=2, seed=5).generate()
        visitor.sees_progress("batch 2 of 2")
        end(server)
        expect(visitor.see(".offline")).to_be_visible()
        visitor.generate().sees_error("^Nothing was put into the queue, because the server does not answer")
        visitor.fill(prompt="typed while it was away")

        server = serve(tmp_path, port=server.port)
        expect(visitor.see(".offline")).to_be_hidden()
        expect(visitor.see(".alert")).to_be_hidden()
        visitor.sees_progress("^Done: 2 pictures in ")
        expect(visitor.see(".infotext")).to_contain_text("a robot on a gray background")
        expect(visitor.see(".infotext")).to_contain_text("Seed: 5,")
        assert visitor.value("prompt") == "typed while it was away"
        assert visitor.reload().value("prompt") == "typed while it was away"
    finally:
        end(server)
