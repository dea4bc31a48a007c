"""Somebody at the page: what they do, in a browser, and what they see. For the journeys."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from playwright.sync_api import Locator, Page, expect

FORM_IS_BACK = "() => window.lucid && lucid.form.records['lucid.txt2img']"


@dataclass(frozen=True)
class Visitor:
    """``prefix`` is what the ids of the form begin with that is spoken of; see ``Tab`` in webui/tabs/components.py."""

    page: Page
    address: str
    prefix: str = ""

    def come(self) -> Visitor:
        self.page.goto(self.address)
        return self.ready()

    def reload(self) -> Visitor:
        self.page.reload()
        return self.ready()

    def ready(self) -> Visitor:
        expect(self.page.locator("#generate")).to_be_visible()
        self.page.wait_for_function(FORM_IS_BACK)
        return self

    # the form

    def at(self, tab: str) -> Visitor:
        """The same visitor, with the form of another tab: ``at("Inpaint").fill(prompt=...)``."""
        return replace(self, prefix="" if tab == "txt2img" else f"{tab.lower()}-")

    def field(self, name: str) -> Locator:
        name = self.prefix + name
        return self.page.locator(f"#{name} textarea, #{name} .number-field, #{name}.choice input, #{name}.flag input")

    def value(self, name: str) -> str:
        return self.field(name).input_value()

    def fill(self, **values: Any) -> Visitor:
        for name, value in values.items():
            field = self.field(name)
            if "number-field" in (
                field.get_attribute("class") or ""
            ):  # in an accordion it comes alive after it is opened
                expect(field).to_have_attribute("aria-invalid", re.compile("true|false"))
            field.fill(str(value))
        return self

    def open(self, accordion: str) -> Visitor:
        self.page.get_by_role("button", name=accordion).click()
        return self

    def choose(self, name: str, choice: str) -> Visitor:
        self._open(name).get_by_role("option", name=choice, exact=True).click()
        return self

    def offered(self, name: str) -> list[str]:
        """The choices of a dropdown."""
        options = self._open(name).get_by_role("option").all_text_contents()
        self.field(name).press("Escape")
        return [option.lstrip("✓ ").strip() for option in options]

    def _open(self, name: str) -> Locator:
        """The list of a dropdown, once no other one is open."""
        choices = self.page.get_by_role("listbox")
        expect(choices).to_have_count(0)
        self.field(name).click()
        expect(choices).to_have_count(1)
        return choices

    def generate(self) -> Visitor:
        self.page.locator(f"#{self.prefix}generate").click()
        return self

    # the results

    def see(self, selector: str) -> Locator:
        return self.page.locator(f"#{self.prefix}results {selector}")

    def sees_progress(self, pattern: str) -> None:
        expect(self.see(".what")).to_have_text(re.compile(pattern))

    def sees_preview(self) -> None:
        expect(self.see(".stage img")).to_have_attribute("src", re.compile("^data:image/jpeg;base64,"))

    def sees_picture(self) -> None:
        expect(self.see(".stage img")).to_have_attribute("src", re.compile("^pictures/"))

    def picture_address(self) -> str:
        """Where the finished picture on the stage comes from, once it is there."""
        self.sees_picture()
        return self.see(".stage img").get_attribute("src") or ""

    def sees_error(self, pattern: str) -> None:
        expect(self.see(".alert p")).to_have_text(re.compile(pattern))

    def infotext(self) -> str:
        return self.see(".infotext").inner_text()

    def open_tab(self, name: str) -> Visitor:
        """A click on its name, which on a narrow screen may be in the menu of those that found no place."""
        tab = self.page.get_by_role("tab", name=name)
        if tab.count() == 0:
            self.page.get_by_role("button", name="More tabs").click()
            tab = self.page.locator(".overflow-dropdown").get_by_role("button", name=name, exact=True)
        tab.click()
        return self

    def width_beyond_the_window(self) -> int:
        width: int = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        return width
