"""Finding what was made, and learning how."""

from __future__ import annotations

import re

from live_server import Server
from playwright.sync_api import expect
from visitor import Visitor


def test_what_was_made_is_found_and_used_again(visitor: Visitor, server: Server) -> None:
    visitor.fill(prompt="a snowman in the snow, findable", steps=3, cfg_scale="1.5", seed=4711).generate()
    visitor.sees_progress("^Done")
    address = visitor.picture_address()
    file = server.data_dir / "outputs" / address.removeprefix("pictures/")
    visitor.fill(prompt="something else", steps=20, seed=-1)

    visitor.open_tab("History")
    thumbnails = visitor.page.locator(".thumbnails button")
    visitor.page.get_by_role("searchbox").fill("findable snowman")
    expect(visitor.page.locator(".history .count")).to_have_text("1 picture")
    expect(thumbnails).to_have_count(1)
    thumbnails.click()
    viewer = visitor.page.get_by_role("dialog", name="Picture")
    expect(viewer.locator("img")).to_have_js_property("naturalWidth", 128)
    expect(viewer.locator(".infotext")).to_contain_text("Seed: 4711")
    with visitor.page.expect_download() as download:
        viewer.get_by_role("link", name="Download").click()
    assert download.value.path().read_bytes() == file.read_bytes()
    viewer.get_by_role("button", name="Send to txt2img").click()
    expect(visitor.field("prompt")).to_have_value("a snowman in the snow, findable")
    assert [visitor.value(name) for name in ("steps", "cfg_scale", "seed")] == ["3", "1.5", "4711"]

    visitor.open_tab("PNG Info")
    visitor.page.locator(".png-info input").set_input_files(file)
    expect(visitor.page.locator(".png-info .source")).to_have_text("Made with Lucid.")
    expect(visitor.page.locator(".png-info .infotext")).to_contain_text("a snowman in the snow, findable")
    visitor.page.locator(".png-info").get_by_role("button", name="Send to txt2img").click()
    expect(visitor.field("prompt")).to_be_visible()

    file.unlink()
    visitor.open_tab("History")
    visitor.page.get_by_role("searchbox").fill("findable")
    expect(thumbnails).to_have_text(["file is gone"])
    thumbnails.click()
    expect(viewer).to_contain_text("not in the outputs folder any more")
    expect(viewer.locator(".infotext")).to_contain_text("Seed: 4711")
    visitor.page.keyboard.press("Escape")
    visitor.page.get_by_role("searchbox").fill("nobody ever drew this")
    expect(visitor.page.locator(".history .nothing")).to_have_text("No picture matches.")


def test_a_file_that_is_no_picture_is_a_sentence(visitor: Visitor) -> None:
    visitor.open_tab("PNG Info")
    picture = {"name": "a.png", "mimeType": "image/png", "buffer": b"not a picture"}
    visitor.page.locator(".png-info input").set_input_files(picture)  # type: ignore[arg-type]
    expect(visitor.page.locator(".png-info .alert")).to_have_text(re.compile("cannot be read as a picture"))


DROP = """async ([address, target]) => {
    const blob = await (await fetch(address)).blob();
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File([blob], "dropped.png", {type: "image/png"}));
    document.querySelector(target).dispatchEvent(new DragEvent("drop", {dataTransfer, bubbles: true, cancelable: true}));
}"""


def test_a_picture_dropped_on_the_form_brings_its_parameters(visitor: Visitor) -> None:
    visitor.fill(prompt="a turtle on a beach", steps=2, seed=12).generate()
    visitor.sees_progress("^Done")
    address = visitor.picture_address()
    visitor.fill(prompt="", steps=50, seed=-1)
    visitor.page.evaluate(DROP, [address, "#prompt textarea"])
    expect(visitor.field("prompt")).to_have_value("a turtle on a beach")
    expect(visitor.field("seed")).to_have_value("12")
    expect(visitor.field("steps")).to_have_value("2")


def test_the_arrow_takes_the_last_pictures_parameters_when_the_prompt_is_empty(visitor: Visitor) -> None:
    visitor.fill(prompt="a pizza on a green background", steps=2, seed=31).generate()
    visitor.sees_progress("^Done")
    visitor.fill(prompt="", steps=50, seed=-1)
    visitor.page.locator("#paste").click()
    expect(visitor.field("prompt")).to_have_value("a pizza on a green background")
    assert [visitor.value(name) for name in ("steps", "seed")] == ["2", "31"]
