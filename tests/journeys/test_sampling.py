"""Sampler, schedule, the plot of what they visit, and the options behind them."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Locator, expect
from visitor import Visitor

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True}
INFOTEXT = (
    "a cat\nSteps: 12, Sampler: Euler a, Schedule type: Karras, CFG scale: 4.5, Seed: 99, Size: 128x128, "
    "Eta: 0.5, Sigma noise: 1.01, Schedule max sigma: 10, Schedule rho: 5, Discard penultimate sigma: True, "
    "SGM noise multiplier: True, NGMS: 1.5, CFG Rescale: 0.7"
)
HELD = {"eta": "0.5", "s_noise": "1.01", "sigma_max": "10", "rho": "5", "ngms": "1.5", "cfg_rescale": "0.7"}


def plot(visitor: Visitor) -> Locator:
    return visitor.page.locator("#schedule-plot svg")


def caption(visitor: Visitor) -> Locator:
    return visitor.page.locator("#schedule-plot figcaption")


def heights(visitor: Visitor) -> list[float]:
    """How high the dots of the noise levels lie, in the plot's own units, counted from its top."""
    read = "dots => dots.map(dot => dot.cy.baseVal.value)"
    found: list[float] = plot(visitor).locator("circle.sigma").evaluate_all(read)
    return found


def test_the_plot_shows_where_a_schedule_spends_its_steps(visitor: Visitor) -> None:
    visitor.choose("sampler", "Euler").choose("schedule", "Uniform")
    expect(caption(visitor)).to_have_text("7 of 20 steps below σ 1: details")
    uniform = heights(visitor)
    visitor.choose("schedule", "Karras")
    expect(caption(visitor)).to_have_text("9 of 20 steps below σ 1: details")
    karras = heights(visitor)
    assert len(uniform) == len(karras) == 20
    assert (uniform[0], uniform[-1]) == (karras[0], karras[-1])
    visitor.fill(steps=8)
    expect(caption(visitor)).to_have_text(re.compile("of 8 steps"))
    assert len(heights(visitor)) == 8


def test_the_plot_tells_the_numbers_of_a_step_to_mouse_and_keyboard(visitor: Visitor) -> None:
    expect(plot(visitor)).to_have_attribute("aria-valuetext", "9 of 20 steps below σ 1: details")
    box = plot(visitor).bounding_box()
    assert box is not None
    visitor.page.mouse.move(box["x"] + 1, box["y"] + 10)
    expect(caption(visitor)).to_have_text("Step 1 of 20: σ 14.61, timestep 999")
    visitor.page.mouse.move(0, 0)
    expect(caption(visitor)).to_have_text("9 of 20 steps below σ 1: details")
    plot(visitor).focus()
    for key in ("End", "ArrowLeft"):
        visitor.page.keyboard.press(key)
    expect(plot(visitor)).to_have_attribute("aria-valuetext", re.compile("^Step 19 of 20: σ 0.04848"))
    expect(plot(visitor)).to_have_attribute("aria-valuenow", "19")


def test_the_plot_can_be_seen_in_light_and_dark(visitor: Visitor) -> None:
    colour = "element => getComputedStyle(element).{}"
    backgrounds = []
    for _ in range(2):
        line = plot(visitor).locator("polyline.sigma").evaluate(colour.format("stroke"))
        text = plot(visitor).locator("text.timestep").first.evaluate(colour.format("fill"))
        backgrounds.append(visitor.page.locator("body").evaluate(colour.format("backgroundColor")))
        assert contrast(line, backgrounds[-1]) > 3
        assert contrast(text, backgrounds[-1]) > 4.5
        for _ in range(2):  # from "as the system", which is light here, over "light" to "dark"
            visitor.page.locator("#theme button").click()
    assert contrast(*backgrounds) > 10


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two CSS colours. WCAG 2.1, "relative luminance"."""

    def luminance(colour: str) -> float:
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_custom_sigmas_are_typed_and_a_mistake_stands_in_place_of_the_plot(visitor: Visitor) -> None:
    expect(visitor.field("custom_sigmas")).to_be_hidden()
    visitor.choose("sampler", "Euler").choose("schedule", "Custom")
    visitor.fill(custom_sigmas="14, 5, 2, 0.5, 0")
    expect(caption(visitor)).to_have_text("1 of 4 steps below σ 1: details")
    visitor.fill(custom_sigmas="14, 5, 20, 0")
    expect(caption(visitor)).to_contain_text("Custom sigmas")
    expect(plot(visitor)).to_have_count(0)
    visitor.fill(prompt="a cat").generate()
    visitor.sees_error("^Custom sigmas")
    visitor.choose("schedule", "Automatic")
    expect(plot(visitor)).to_be_visible()
    expect(visitor.field("custom_sigmas")).to_be_hidden()


def test_a_sampler_that_chooses_its_own_steps_says_so(visitor: Visitor) -> None:
    visitor.choose("sampler", "DPM adaptive")
    expect(caption(visitor)).to_contain_text("chooses its own steps")
    visitor.fill(prompt="a red apple").generate()
    visitor.sees_progress("^(Call|Done)")


def test_only_what_the_sampler_obeys_is_shown_and_hidden_values_come_back(visitor: Visitor) -> None:
    visitor.choose("sampler", "Euler").open("Sampling options")
    expect(visitor.field("s_churn")).to_be_visible()
    expect(visitor.field("eta")).to_be_hidden()
    visitor.fill(s_churn=5)
    visitor.choose("sampler", "Euler a")
    expect(visitor.field("eta")).to_be_visible()
    expect(visitor.field("s_churn")).to_be_hidden()
    visitor.choose("sampler", "LMS")
    expect(visitor.field("eta")).to_be_hidden()
    expect(visitor.field("s_noise")).to_be_hidden()
    expect(visitor.page.get_by_role("heading", name="Noise that the sampler adds")).to_be_hidden()
    visitor.choose("sampler", "Heun")
    expect(visitor.field("s_churn")).to_have_value("5")


def test_what_is_not_at_its_default_is_counted_and_can_be_reset(visitor: Visitor) -> None:
    header = visitor.page.locator("#sampling-options .label-wrap")
    reset = visitor.page.get_by_role("button", name="Reset to defaults")
    expect(header).to_have_text(re.compile(r"^Sampling options\s"))
    visitor.choose("sampler", "Euler a").open("Sampling options")
    expect(reset).to_be_hidden()
    visitor.fill(eta="0,5", ngms=2)
    visitor.field("ngms_all_steps").check()
    tip = visitor.page.locator("#ngms_all_steps")
    expect(tip).to_have_attribute("title", re.compile("leave out the negative prompt in all steps"))
    visitor.choose("prediction_type", "v_prediction")
    expect(header).to_contain_text("4 changed")
    visitor.choose("sampler", "Euler")
    expect(header).to_contain_text("3 changed")  # eta is not shown with it
    reset.click()
    expect(header).not_to_contain_text("changed")
    expect(visitor.field("ngms")).to_have_value("0")
    expect(visitor.field("ngms_all_steps")).not_to_be_checked()
    expect(visitor.field("prediction_type")).to_have_value("Automatic")
    visitor.choose("sampler", "Euler a")
    expect(visitor.field("eta")).to_have_value("-1")


def test_an_infotext_brings_its_options_and_a_reload_keeps_them(visitor: Visitor) -> None:
    visitor.fill(prompt=INFOTEXT)
    visitor.page.locator("#paste").click()
    expect(visitor.field("schedule")).to_have_value("Karras")
    expect(visitor.page.locator("#notes .pasted")).to_be_hidden()
    header = visitor.page.locator("#sampling-options .label-wrap")
    expect(header).to_contain_text("8 changed")
    expect(caption(visitor)).to_have_text(re.compile("of 12 steps"))
    visitor.open("Sampling options")
    for _ in range(2):
        for name, value in HELD.items():
            expect(visitor.field(name)).to_have_value(value)
        expect(visitor.field("discard_penultimate")).to_be_checked()
        expect(visitor.field("sgm_noise_multiplier")).to_be_checked()
        visitor.reload().open("Sampling options")


def test_a_picture_says_which_options_drew_it(visitor: Visitor) -> None:
    visitor.choose("sampler", "Euler a").open("Sampling options")
    visitor.fill(prompt="a red apple", steps=4, eta=0.5, cfg_rescale=0.3).generate()
    visitor.sees_progress("^Done")
    expect(visitor.see(".infotext")).to_contain_text("Eta: 0.5")
    expect(visitor.see(".infotext")).to_contain_text(re.compile("CFG rescale: 0.3", re.IGNORECASE))


def test_it_fits_a_phone(visit: Callable[..., Visitor]) -> None:
    visitor = visit(**PHONE)
    visitor.choose("sampler", "Euler").open("Sampling options")
    expect(visitor.field("s_churn")).to_be_visible()
    assert visitor.width_beyond_the_window() == 0
    expect(caption(visitor)).to_contain_text("7 of 20")  # Euler's plot: it is put in place of the one before
    plot(visitor).scroll_into_view_if_needed()
    box = plot(visitor).bounding_box()
    assert box is not None
    assert box["width"] > 250
    visitor.page.touchscreen.tap(box["x"] + box["width"] - 40, box["y"] + 40)
    expect(caption(visitor)).to_contain_text(re.compile("^Step (19|20) of 20"))
