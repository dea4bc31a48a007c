"""Light and dark, wide and narrow, seen and heard."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect
from visitor import Visitor

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True}

BRIGHTNESS = """() => {
    const [r, g, b] = getComputedStyle(document.body).backgroundColor.match(/[\\d.]+/g).map(Number);
    return (r + g + b) / 3;
}"""

# Every control that can be seen, and has no name that a screen reader could say.
NAMELESS = """() => [...document.querySelectorAll("button, input, textarea, select, a[href]")]
    .filter((control) => control.offsetParent !== null)
    .filter((control) => !(control.getAttribute("aria-label") || control.title || control.textContent.trim()
        || control.labels?.length && control.labels[0].textContent.trim()))
    .map((control) => control.outerHTML)"""


def test_it_fits_a_phone_with_generate_in_reach_and_results_after_it(visit: Callable[..., Visitor]) -> None:
    visitor = visit(**PHONE)
    generate = visitor.page.locator("#generate")
    assert visitor.width_beyond_the_window() == 0
    visitor.fill(prompt="a red apple on a blue background " * 4, steps=4).generate()
    visitor.sees_progress("^Done")
    assert visitor.width_beyond_the_window() == 0
    expect(generate).to_be_in_viewport()
    visitor.page.get_by_role("button", name="Extra: variations").click()
    visitor.page.get_by_role("button", name="Advanced").click()
    visitor.field("ensd").scroll_into_view_if_needed()
    expect(generate).to_be_in_viewport()
    assert visitor.width_beyond_the_window() == 0
    top = {name: visitor.page.locator(name).bounding_box() for name in ("#prompt", "#results", "#sampler")}
    assert top["#prompt"] and top["#results"] and top["#sampler"]
    assert top["#prompt"]["y"] < top["#results"]["y"] < top["#sampler"]["y"]
    for tab in ("PNG Info", "History"):
        visitor.open_tab(tab)
        assert visitor.width_beyond_the_window() == 0


@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
def test_it_follows_the_system_until_told_otherwise(visit: Callable[..., Visitor], scheme: str, dark: bool) -> None:
    visitor = visit(color_scheme=scheme)
    assert (visitor.page.evaluate(BRIGHTNESS) < 128) is dark
    toggle = visitor.page.locator("#theme button")
    wanted = "light" if dark else "dark"
    while toggle.get_attribute("title") != f"Colours: {wanted}":
        toggle.click()
    assert (visitor.page.evaluate(BRIGHTNESS) < 128) is not dark
    visitor.reload()
    assert (visitor.page.evaluate(BRIGHTNESS) < 128) is not dark


def test_every_control_has_a_name(visitor: Visitor) -> None:
    visitor.page.get_by_role("button", name="Extra: variations").click()
    visitor.page.get_by_role("button", name="Advanced").click()
    expect(visitor.field("ensd")).to_be_visible()
    assert visitor.page.evaluate(NAMELESS) == []
    for tab in ("PNG Info", "History"):
        visitor.open_tab(tab)
        assert visitor.page.evaluate(NAMELESS) == []
