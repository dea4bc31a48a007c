"""From a typed prompt to a picture, in a browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from live_server import Server
from playwright.sync_api import expect
from visitor import Visitor

from webui.domain.infotext import parse, to_request
from webui.domain.request import GenerationRequest
from webui.jobs.pictures import read_infotext

DRAWN = GenerationRequest(
    prompt="a red apple on a blue background",
    negative_prompt="green",
    sampler="Euler a",
    steps=40,
    width=128,
    height=136,
    cfg_scale=3.5,
    seed=7,
    checkpoint="lucid-starter",
)


def told(text: str) -> GenerationRequest:
    request, unused, remarks = to_request(parse(text))
    assert not remarks
    assert not unused
    return request


def same(request: GenerationRequest, expected: GenerationRequest) -> bool:
    names = ("prompt", "negative_prompt", "sampler", "schedule", "steps", "width", "height", "cfg_scale", "seed", "rng")
    return all(getattr(request, name) == getattr(expected, name) for name in names)


def test_a_typed_prompt_becomes_a_picture_that_says_how_it_was_made(visitor: Visitor, tmp_path: Path) -> None:
    visitor.fill(
        prompt=DRAWN.prompt, negative_prompt=DRAWN.negative_prompt, steps=40, height=136, cfg_scale="3,5", seed=7
    )
    visitor.choose("sampler", "Euler a")
    visitor.page.keyboard.press("Control+Enter")

    visitor.sees_progress(r"^Step \d+ of 40$")
    visitor.sees_preview()
    expect(visitor.page).to_have_title(re.compile(r"^\d+ % · Lucid$"))
    expect(visitor.see(".bar")).to_have_attribute("aria-valuenow", re.compile(r"^[1-9]"))

    visitor.sees_progress("^Done: 1 picture in ")
    visitor.sees_picture()
    expect(visitor.page).to_have_title("Lucid")
    request = told(visitor.infotext())
    assert same(request, DRAWN)
    assert request.checkpoint == "lucid-starter"
    assert re.fullmatch("[0-9a-f]{10}", request.checkpoint_hash)

    with visitor.page.expect_download() as download:
        visitor.see(".download").click()
    file = tmp_path / "downloaded.png"
    download.value.save_as(file)
    assert re.fullmatch(r"\d+-7\.png", download.value.suggested_filename)
    kept = read_infotext(file)
    assert kept is not None
    assert to_request(kept)[0] == request

    visitor.page.locator("#seed-tools .reuse").click()
    assert visitor.value("seed") == "7"
    visitor.page.locator("#seed-tools .random").click()
    assert visitor.value("seed") == "-1"


def test_escape_stops_halfway_and_keeps_what_is_finished(visitor: Visitor) -> None:
    visitor.fill(prompt="a panda on a pink background", steps=40, batch_count=4).generate()
    visitor.sees_progress("batch 2 of 4")
    visitor.page.keyboard.press("Escape")
    visitor.sees_progress(r"^Stopped: [12] of 4 kept$")
    visitor.sees_picture()
    assert told(visitor.infotext()).prompt == "a panda on a pink background"
    expect(visitor.page.locator("#stop")).to_be_disabled()


def test_alt_enter_leaves_the_batch_and_goes_on(visitor: Visitor) -> None:
    visitor.fill(prompt="a rocket at night", steps=40, batch_count=2).generate()
    visitor.sees_progress("batch 1 of 2")
    visitor.page.keyboard.press("Alt+Enter")
    visitor.sees_progress("batch 2 of 2")
    visitor.sees_progress("^Done: 1 picture in ")


def test_generate_pressed_again_puts_more_into_the_queue(visitor: Visitor) -> None:
    visitor.fill(prompt="a green cactus on a yellow background", steps=60).generate()
    visitor.sees_progress("Step")
    visitor.fill(prompt="a fish under water", steps=5).generate()
    expect(visitor.page.locator("#generate")).to_contain_text("1 waiting")
    visitor.fill(prompt="a moon at night").generate()
    expect(visitor.page.locator("#generate")).to_contain_text("2 waiting")

    waiting = visitor.see(".queue li")
    expect(waiting).to_have_count(2)
    expect(waiting.nth(0)).to_contain_text("a fish under water")
    expect(waiting.nth(0)).to_contain_text("next")
    expect(waiting.nth(1)).to_contain_text("place 2")
    waiting.nth(1).get_by_role("button").click()
    expect(waiting).to_have_count(1)

    visitor.sees_progress("^Done: 1 picture in ")
    pictures = visitor.see(".strip button")
    expect(pictures).to_have_count(2)  # newest first
    assert told(visitor.infotext()).prompt == "a fish under water"
    pictures.nth(1).click()
    expect(visitor.see(".infotext")).to_contain_text("a green cactus on a yellow background")


def test_a_batch_shows_all_its_pictures_and_each_its_own_seed(visitor: Visitor) -> None:
    visitor.fill(prompt="a yellow circle on a purple background", steps=6, batch_size=3, seed=100).generate()
    visitor.sees_progress("^Done: 3 pictures in ")
    pictures = visitor.see(".strip button")
    expect(pictures).to_have_count(3)
    for index in range(3):
        pictures.nth(index).click()
        expect(visitor.see(".infotext")).to_contain_text(f"Seed: {100 + index},")
    visitor.see(".enlarge").click()
    viewer = visitor.page.get_by_role("dialog", name="Picture")
    expect(viewer).to_contain_text("3 of 3")
    visitor.page.keyboard.press("ArrowLeft")
    expect(viewer).to_contain_text("2 of 3")
    visitor.page.keyboard.press("Escape")
    expect(viewer).to_be_hidden()


def test_the_picture_is_on_disk_before_it_is_shown(visitor: Visitor, server: Server) -> None:
    visitor.fill(prompt="a heart on a white background", steps=4).generate()
    visitor.sees_picture()
    shown = visitor.picture_address()
    assert (server.data_dir / "outputs" / shown.removeprefix("pictures/")).is_file()


def test_words_of_a_prompt_are_never_taken_for_html(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    evil = '<img src="x" onerror="window.fooled = true"><b>bold</b> ${1} {{1}}'
    visitor.fill(prompt=evil, steps=2).generate()
    visitor.sees_progress("^Done")
    expect(visitor.see(".infotext")).to_contain_text(evil)
    visitor.open_tab("History")
    expect(visitor.page.locator(".thumbnails button").first).to_have_attribute("title", evil)
    assert visitor.page.evaluate("window.fooled") is None
