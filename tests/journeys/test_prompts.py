"""Writing a prompt: its tokens, names that are completed, styles that are made and used, choices of the seed."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator

import pytest
from live_server import Server
from playwright.sync_api import Locator, expect
from visitor import Visitor


@pytest.fixture
def wildcards(server: Server) -> Iterator[None]:
    folder = server.data_dir / "wildcards" / "pets"
    folder.mkdir(parents=True)
    (folder / "kept.txt").write_text("panda\nwhale\nrocket\n", encoding="utf-8")
    yield
    shutil.rmtree(folder)


def offers(visitor: Visitor) -> Locator:
    return visitor.page.locator(".completions:visible [role=option]")


def test_a_prompt_from_the_first_letter_to_the_picture(visitor: Visitor, wildcards: None) -> None:
    page, prompt = visitor.page, visitor.field("prompt")

    # names are completed at the cursor; in plain words nothing is in the way
    prompt.press_sequentially("a big ")
    expect(offers(visitor)).to_have_count(0)
    prompt.press_sequentially("__ke")
    expect(offers(visitor)).to_have_text(["pets/keptwildcard"])
    prompt.press("Escape")
    expect(offers(visitor)).to_have_count(0)
    prompt.press_sequentially("p")
    expect(offers(visitor)).to_have_count(1)
    prompt.press("Enter")
    expect(prompt).to_have_value("a big __pets/kept__")
    prompt.press("Control+z")
    expect(prompt).not_to_have_value("a big __pets/kept__")
    prompt.press("Control+Space")
    offers(visitor).first.click()
    expect(prompt).to_have_value("a big __pets/kept__")

    # a style is made of what stands in the prompts, chosen as it is typed, and written out
    page.locator("#style-tools .edit").click()
    window = page.locator(".style-window")
    window.get_by_label("Name").fill("On blue")
    window.get_by_label("Prompt", exact=True).fill("{prompt} on a blue background")
    window.get_by_role("button", name="Save as new").click()
    expect(window.get_by_role("option", name="On blue")).to_be_visible()
    expect(window.get_by_role("status")).to_have_text("Saved.")
    page.keyboard.press("Escape")
    expect(window).to_be_hidden()
    prompt.press("End")
    prompt.press_sequentially(" <style:blu")
    offers(visitor).get_by_text("On blue").click()
    expect(prompt).to_have_value("a big __pets/kept__ ")
    expect(page.locator("#styles")).to_contain_text("On blue")

    # the tokens are those that will be drawn, and a remark leads to its place
    visitor.fill(seed=1)
    page.locator("#prompt .tokens").click()
    tokens = page.locator("#notes .token-view section:first-child .token")
    expect(tokens).to_have_text(["a", "big", re.compile("panda|whale|rocket"), "on", "a", "blue", "background"])
    expect(page.locator("#prompt .tokens")).to_have_text("7/75")
    tokens.first.click()
    expect(page.locator(".token-told")).to_contain_text("token 320, weight 1")
    visitor.fill(prompt="🙂 a (big __pets/kept__ ")
    page.locator("#notes .remarks .place").click()
    selected = prompt.evaluate("area => area.value.slice(area.selectionStart, area.selectionEnd)")
    assert selected == "("
    visitor.fill(prompt="a big __pets/kept__ ")

    # each picture of the batch chooses for itself, and says what
    visitor.fill(batch_size=3, steps=2)
    prompt.press("Control+Enter")
    expect(visitor.see(".infotext")).to_contain_text("Template: ")
    texts = page.locator("#results .thumbnails button, #results .strip button")
    expect(texts).to_have_count(3)
    assert re.match(r"a big (panda|whale|rocket) on a blue background\n", visitor.infotext())

    # written out, the style is in the prompt and not chosen any more; both survive a reload
    page.locator("#style-tools .write").click()
    expect(prompt).to_have_value("a big __pets/kept__ on a blue background")
    expect(page.locator("#style-tools .write")).to_be_disabled()
    visitor.reload()
    expect(page.locator("#notes .token-view .token").first).to_be_visible()

    # pasted, the picture's prompt is plain, and the style is recognised
    visitor.fill(prompt="")
    page.locator("#paste").click()
    expect(prompt).to_have_value(re.compile("^a big (panda|whale|rocket)$"))
    expect(page.locator("#styles")).to_contain_text("On blue")
    expect(page.locator("#notes .pasted")).to_contain_text("The seed chose this out of the template")


def test_late_answers_and_phones(visit: Callable[..., Visitor], wildcards: None) -> None:
    visitor = visit(viewport={"width": 390, "height": 844}, has_touch=True, color_scheme="dark")
    prompt = visitor.field("prompt")
    prompt.tap()
    prompt.press_sequentially("__kept", delay=30)
    expect(offers(visitor)).to_have_count(1)
    offers(visitor).first.tap()
    expect(prompt).to_have_value("__pets/kept__")
    assert visitor.width_beyond_the_window() == 0
    visitor.page.locator("#style-tools .see").tap()
    expect(visitor.page.locator("#notes .token").first).to_be_visible()
    assert visitor.width_beyond_the_window() == 0
    # the counter shows the last text, however quickly others came before it
    for length in range(1, 12):
        visitor.fill(prompt="cat " * length)
    expect(visitor.page.locator("#prompt .tokens")).to_have_text("11/75")
    expect(visitor.page.locator("#notes .token")).to_have_count(11)
