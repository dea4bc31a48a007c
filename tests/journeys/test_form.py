"""Typing, choosing, mistaking and coming back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from live_server import Server
from playwright.sync_api import Browser, expect
from visitor import Visitor


def test_the_form_begins_with_what_suits_the_default_checkpoint(visitor: Visitor) -> None:
    begins = {name: visitor.value(name) for name in ("checkpoint", "width", "height", "cfg_scale", "steps", "seed")}
    assert begins == {
        "checkpoint": "lucid-starter",
        "width": "128",
        "height": "128",
        "cfg_scale": "2.5",
        "steps": "20",
        "seed": "-1",
    }
    # Another checkpoint brings its own values, but not over what the user has set.
    visitor.fill(steps=33).choose("checkpoint", "tiny")
    expect(visitor.field("width")).to_have_value("64")
    expect(visitor.field("cfg_scale")).to_have_value("7")
    assert visitor.value("steps") == "33"
    visitor.choose("checkpoint", "lucid-starter")
    expect(visitor.field("width")).to_have_value("128")


def test_an_example_is_one_click(visitor: Visitor) -> None:
    chip = visitor.page.get_by_role("button", name="a panda on a pink background")
    chip.click()
    expect(visitor.field("prompt")).to_have_value("a panda on a pink background")
    expect(chip).to_be_hidden()
    expect(visitor.page.locator("#prompt .tokens")).to_have_text("6/75")


def test_prompts_are_counted_and_remarked_on_while_typing(visitor: Visitor) -> None:
    tokens = visitor.page.locator("#prompt .tokens")
    visitor.fill(prompt="a cat")
    expect(tokens).to_have_text("2/75")
    visitor.fill(prompt="a cat " * 40, negative_prompt="(blurry")
    expect(tokens).to_have_text("80/150")
    expect(visitor.page.locator("#notes .remarks")).to_contain_text("never closed")
    visitor.fill(negative_prompt="")
    expect(visitor.page.locator("#notes .remarks")).to_be_hidden()


def test_control_and_arrows_weigh_the_word_at_the_cursor(visitor: Visitor) -> None:
    visitor.fill(prompt="a red apple")
    field = visitor.field("prompt")
    field.press("Home")
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "Control+ArrowUp", "Control+ArrowUp"):
        field.press(key)
    assert visitor.value("prompt") == "a (red:1.2) apple"
    for _ in range(2):
        field.press("Control+ArrowDown")
    assert visitor.value("prompt") == "a red apple"


@pytest.fixture(scope="module")
def lasting(browser: Browser, server: Server) -> Iterator[Visitor]:
    """One page for a whole table of mistakes: a mistake leaves it as it was."""
    page = browser.new_page()
    yield Visitor(page, server.address).come()
    page.close()


@pytest.mark.parametrize(
    ("field", "typed", "sentence"),
    [
        ("steps", "", "Sampling steps must be a whole number"),
        ("steps", "0", "Sampling steps must be between 1 and 1000, not 0"),
        ("width", "100", "Width must be a multiple of 8, not 100"),
        ("height", "99999999", "Height must be between 64 and 8192"),
        ("cfg_scale", "seven", "CFG scale must be a number, not 'seven'"),
        ("batch_size", "1.5", "Batch size must be a whole number, not 1.5"),
        ("seed", "9" * 30, "Seed must be between"),
    ],
)
def test_a_mistake_is_a_sentence_that_names_the_field(lasting: Visitor, field: str, typed: str, sentence: str) -> None:
    before = lasting.value(field)
    lasting.fill(prompt="kept", **{field: typed}).generate()
    lasting.sees_error(f"^{sentence}")
    expect(lasting.field(field)).to_have_attribute("aria-invalid", "true")
    expect(lasting.field(field)).to_be_focused()
    assert lasting.value("prompt") == "kept"
    lasting.see(".alert").get_by_role("button", name="Close").click()
    lasting.fill(**{field: before})
    expect(lasting.field(field)).to_have_attribute("aria-invalid", "false")


def test_a_sampler_with_timesteps_of_its_own_takes_no_schedule(visitor: Visitor) -> None:
    visitor.choose("schedule", "Karras").choose("sampler", "DDIM")
    expect(visitor.field("schedule")).to_have_value("Automatic")
    assert visitor.offered("schedule") == ["Automatic"]
    visitor.choose("sampler", "Euler")
    expect(visitor.field("schedule")).to_have_value("Automatic")
    visitor.choose("schedule", "Exponential").choose("sampler", "Heun")
    expect(visitor.field("schedule")).to_have_value("Exponential")  # kept where it is accepted


def test_sizes_swap_and_take_a_ratio(visitor: Visitor) -> None:
    visitor.page.get_by_role("button", name="16:9").click()
    expect(visitor.field("width")).to_have_value("168")
    expect(visitor.field("height")).to_have_value("96")
    visitor.page.get_by_role("button", name="Swap width and height").click()
    assert (visitor.value("width"), visitor.value("height")) == ("96", "168")


def test_the_form_is_kept_over_a_reload_by_each_page_for_itself(visitor: Visitor) -> None:
    visitor.fill(prompt="first page", steps=31, seed=2**60 + 1).choose("sampler", "UniPC")
    second = Visitor(visitor.page.context.new_page(), visitor.address).come()
    expect(second.field("prompt")).to_have_value("first page")  # a new page begins where the last one stands
    second.fill(prompt="second page", steps=9)
    for page, prompt, steps in ((visitor, "first page", "31"), (second, "second page", "9")):
        page.reload()
        assert (page.value("prompt"), page.value("steps")) == (prompt, steps)
        assert (page.value("sampler"), page.value("seed")) == ("UniPC", str(2**60 + 1))
        assert page.offered("schedule") == ["Automatic"]


def test_a_kept_checkpoint_that_is_gone_becomes_the_default(visitor: Visitor) -> None:
    visitor.fill(prompt="still here")
    visitor.page.evaluate(
        """() => { for (const store of [sessionStorage, localStorage]) {
            const kept = JSON.parse(store["lucid.txt2img"]);
            store["lucid.txt2img"] = JSON.stringify({...kept, checkpoint: "removed", sampler: "removed", rng: 7});
        } }"""
    )
    visitor.reload()
    expect(visitor.field("checkpoint")).to_have_value("lucid-starter")
    expect(visitor.field("sampler")).to_have_value("DPM++ 2M")
    assert visitor.value("prompt") == "still here"


def test_the_arrow_reads_an_infotext_into_the_form(visitor: Visitor) -> None:
    visitor.fill(
        prompt="a cat\nNegative prompt: a dog\nSteps: 12, Sampler: Euler a, Schedule type: Karras, CFG scale: 4.5, Seed: 99, "
        "Size: 192x256, Model: somebody-elses, Clip skip: 2, Token merging ratio: 0.5, Version: v1.10.1"
    )
    visitor.page.locator("#paste").click()
    expect(visitor.field("prompt")).to_have_value("a cat")
    expected = {
        "negative_prompt": "a dog",
        "steps": "12",
        "sampler": "Euler a",
        "schedule": "Karras",
        "cfg_scale": "4.5",
    }
    expected |= {"seed": "99", "width": "192", "height": "256", "checkpoint": "lucid-starter"}
    assert {name: visitor.value(name) for name in expected} == expected
    remarks = visitor.page.locator("#notes .pasted")
    expect(remarks).to_contain_text("somebody-elses")
    expect(remarks).to_contain_text("Token merging ratio")
    visitor.page.get_by_role("button", name="Advanced").click()
    expect(visitor.field("clip_skip")).to_have_value("2")
