"""Looking through many models, clicking one into the prompt, and writing down what it is for."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from live_server import Server
from model_headers import kohya_lora, write_model
from playwright.sync_api import Locator, expect
from visitor import Visitor

from webui.library.formats import read_header

MANY = 500


@pytest.fixture(scope="module")
def loras(server: Server) -> Iterator[Path]:
    """Hundreds of LoRAs in the server's folder, and one that is looked for."""
    folder = server.data_dir / "loras"
    for number in range(MANY):
        write_model(folder / "many" / f"filler {number:03}.safetensors", kohya_lora(768))
    write_model(folder / "places" / "castle.safetensors", kohya_lora(768), {"modelspec.trigger_phrase": "old tower"})
    write_model(folder / "places" / "large castle.safetensors", kohya_lora(2048, "lora_te1_text_model"))
    yield folder
    shutil.rmtree(folder)
    folder.mkdir()


def card(visitor: Visitor, name: str) -> Locator:
    return visitor.page.locator(".card").filter(has=visitor.page.get_by_text(name, exact=True))


def open_cards(visitor: Visitor) -> Locator:
    visitor.page.locator(".open-cards:visible").click()
    drawer = visitor.page.locator(".cards-drawer")
    expect(drawer).to_be_visible()
    return drawer


def test_from_hundreds_of_files_to_a_word_in_the_prompt_and_back(visitor: Visitor, loras: Path) -> None:
    page, prompt = visitor.page, visitor.field("prompt")
    visitor.fill(prompt="a hill")
    drawer = open_cards(visitor)
    drawer.get_by_role("button", name="Look at the model folders again").click()
    expect(drawer.locator(".cards-count")).to_have_text(str(MANY + 2))
    assert page.locator(".card").count() < 80, "only what is in sight is in the page"
    drawer.locator(".cards-scroll").evaluate("scroll => { scroll.scrollTop = scroll.scrollHeight; }")
    expect(card(visitor, "large castle")).to_be_visible()
    assert page.locator(".card").count() < 80

    # folders, words, and what does not fit
    drawer.locator(".cards-tree").get_by_role("button", name="places").click()
    expect(page.locator(".card")).to_have_count(2)
    expect(card(visitor, "large castle")).to_have_class("card misfit")
    drawer.get_by_label("fitting only").check()
    expect(page.locator(".card")).to_have_count(1)
    drawer.get_by_label("fitting only").uncheck()
    drawer.locator(".cards-tree").get_by_role("button", name="All folders").click()
    drawer.locator(".cards-search").fill("TOWER")
    expect(drawer.locator(".cards-count")).to_have_text(f"1 of {MANY + 2}")

    # the keyboard alone: into the prompt, and out of it
    pick = card(visitor, "castle").locator(".pick")
    drawer.locator(".cards-search").press("ArrowDown")
    expect(pick).to_be_focused()
    page.keyboard.press("Enter")
    expect(prompt).to_have_value("a hill <lora:castle:1>")
    expect(pick).to_have_attribute("aria-pressed", "true")
    prompt.fill("a hill <lora:castle:0.35> at night")
    expect(pick).to_have_attribute("aria-pressed", "true")
    pick.click()
    expect(prompt).to_have_value("a hill at night")
    expect(pick).to_have_attribute("aria-pressed", "false")
    page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()


def test_notes_and_a_preview_are_kept_beside_the_file(visitor: Visitor, loras: Path) -> None:
    page, prompt = visitor.page, visitor.field("prompt")
    visitor.fill(prompt="a rocket", steps=2).generate()
    visitor.sees_picture()
    drawer = open_cards(visitor)
    drawer.get_by_role("button", name="Look at the model folders again").click()
    drawer.locator(".cards-search").fill("castle")
    card(visitor, "castle").hover()
    card(visitor, "castle").get_by_role("button", name="About castle").click()
    details = page.locator(".card-details")
    expect(details).to_contain_text("castle.safetensors")
    details.get_by_role("button", name="old tower").click()
    expect(prompt).to_have_value("a rocket, old tower")
    details.get_by_label("Preferred weight").fill("much")
    details.get_by_role("button", name="Save").click()
    expect(details.locator(".card-told")).to_contain_text("must be a number")
    for label, value in (
        ("Description", "Stands on a hill."),
        ("Activation text", "stones"),
        ("Preferred weight", "0.7"),
    ):
        details.get_by_label(label).fill(value)
    details.get_by_label("Negative text").fill("ruin")
    details.get_by_role("button", name="Save").click()
    expect(details.locator(".card-told")).to_have_text("Saved beside the file.")
    written = json.loads((loras / "places" / "castle.json").read_text())
    assert (written["activation text"], written["preferred weight"]) == ("stones", 0.7)
    details.get_by_role("button", name="Use the picture shown as preview").click()
    expect(details.locator("img")).to_be_visible()
    assert (loras / "places" / "castle.preview.png").is_file()

    visitor.reload()
    drawer = open_cards(visitor)
    drawer.locator(".cards-search").fill("stands on a hill")
    image = card(visitor, "castle").locator("img")
    expect(image).to_be_visible()
    page.wait_for_function("image => image.complete && image.naturalWidth === 128", arg=image.element_handle())
    visitor.fill(prompt="a rocket")
    card(visitor, "castle").locator(".pick").click()
    expect(prompt).to_have_value("a rocket <lora:castle:0.7> stones")
    expect(visitor.field("negative_prompt")).to_have_value("ruin")
    card(visitor, "castle").locator(".pick").click()
    expect(prompt).to_have_value("a rocket")
    expect(visitor.field("negative_prompt")).to_have_value("")


def test_a_checkpoint_is_chosen_by_its_card_and_brings_its_size(visit: Callable[..., Visitor]) -> None:
    visitor = visit(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True, color_scheme="dark")
    drawer = open_cards(visitor)
    assert visitor.width_beyond_the_window() == 0
    drawer.get_by_role("tab", name="Checkpoints").tap()
    expect(card(visitor, "lucid-starter").locator(".pick")).to_have_attribute("aria-pressed", "true")
    card(visitor, "tiny").locator(".pick").tap()
    expect(visitor.field("checkpoint")).to_have_value("tiny")
    expect(visitor.field("width")).to_have_value("64")
    expect(card(visitor, "tiny").locator(".pick")).to_have_attribute("aria-pressed", "true")
    drawer.get_by_role("button", name="Close the cards").tap()
    expect(drawer).to_be_hidden()


def test_a_pickle_is_converted_beside_itself(visitor: Visitor, loras: Path) -> None:
    folder = loras  # what a file is decides its kind, wherever it lies
    torch.save({"string_to_param": {"*": torch.ones(2, 768)}, "name": "quiet"}, folder / "quiet.pt")
    drawer = open_cards(visitor)
    drawer.get_by_role("tab", name="Embeddings").click()
    drawer.get_by_role("button", name="Look at the model folders again").click()
    card(visitor, "quiet").hover()
    card(visitor, "quiet").get_by_role("button", name="About quiet").click()
    details = visitor.page.locator(".card-details")
    details.get_by_role("button", name="Convert to safetensors").click()
    expect(details.locator(".card-told")).to_have_text("quiet.safetensors lies beside it now.")
    expect(details.get_by_role("button", name="Convert to safetensors")).to_be_hidden()
    assert read_header(folder / "quiet.safetensors").metadata["name"] == "quiet"
    assert (folder / "quiet.pt").is_file()
