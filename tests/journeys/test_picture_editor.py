"""Painting on a picture, and drawing anew what was painted: by mouse, by finger, over a reload."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from live_server import Server
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from playwright.sync_api import Locator, expect
from visitor import Visitor

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True}
DELIVERED = "tab => lucid.sources[tab].deliver()"


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """160 x 120, of all colours."""
    rows, columns = np.mgrid[0:120, 0:160]
    file = tmp_path_factory.mktemp("pictures") / "photo.png"
    Image.fromarray(np.stack([columns, 2 * rows, 200 - columns], -1).astype(np.uint8)).save(file)
    return file


@pytest.fixture
def visitor(visit: Callable[..., Visitor]) -> Visitor:
    """In a browser of their own: another's pictures would be found again otherwise."""
    return visit(viewport={"width": 1440, "height": 1000})


class Editor:
    """The editor of one tab, as a hand meets it."""

    def __init__(self, visitor: Visitor, tab: str) -> None:
        self.form = visitor.at(tab)
        self._page, self._tab, self._server = visitor.page, tab.lower(), visitor.address
        self.box = visitor.page.locator(f"#{self._tab}-editor")
        self.canvas = self.box.locator("canvas")

    def open(self, file: Path) -> Editor:
        self.box.locator(".editor-drop input").set_input_files(file)
        expect(self.canvas).to_be_visible()
        return self

    def button(self, name: str) -> Locator:
        return self.box.get_by_role("button", name=name, exact=True)

    def mode(self, name: str) -> Editor:
        self.box.get_by_role("radio", name=name).click()
        return self

    def draw(self, *places: tuple[float, float]) -> Editor:
        """A line of the mouse over these places, which are shares of the canvas."""
        points = [self._on_screen(place) for place in places]
        self._page.mouse.move(*points[0])
        self._page.mouse.down()
        for point in points[1:]:
            self._page.mouse.move(*point, steps=4)
        self._page.mouse.up()
        return self

    def touch(self, *fingers: list[tuple[float, float]]) -> Editor:
        """Lines of fingers that touch together, each over as many places."""
        session = self._page.context.new_cdp_session(self._page)
        self.canvas.scroll_into_view_if_needed()
        kinds = ["touchStart", *["touchMove"] * (len(fingers[0]) - 1)]
        for number, kind in enumerate(kinds):
            places = [self._on_screen(finger[number]) for finger in fingers]
            points = [{"x": x, "y": y, "id": index} for index, (x, y) in enumerate(places)]
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        return self

    def delivered(self) -> dict[str, str]:
        """The ids that Generate would send now."""
        ids: dict[str, str] = self._page.evaluate(DELIVERED, self._tab)
        return ids

    def handed_in(self, id: str) -> NDArray[np.uint8]:
        answer = self._page.request.get(f"{self._server}/lucid/inputs/{id}")
        return np.asarray(Image.open(io.BytesIO(answer.body())))

    def mask(self) -> NDArray[np.uint8]:
        """The mask that Generate would send now, as (height, width) of 0 and 255."""
        mask = self.handed_in(self.delivered()["mask"])[..., 0]
        assert set(np.unique(mask)) <= {0, 255}
        return mask

    def _on_screen(self, place: tuple[float, float]) -> tuple[float, float]:
        self.canvas.scroll_into_view_if_needed()
        box = self.canvas.bounding_box()
        assert box is not None
        return box["x"] + place[0] * box["width"], box["y"] + place[1] * box["height"]


def result_of(form: Visitor, server: Server) -> NDArray[np.int16]:
    form.sees_progress("^Done: 1 picture in ")
    address = form.picture_address()
    return np.asarray(Image.open(server.data_dir / "outputs" / address.removeprefix("pictures/"))).astype(np.int16)


def test_a_mask_is_painted_drawn_anew_sent_on_and_found_again(visitor: Visitor, server: Server) -> None:
    visitor.fill(prompt="a red apple on a blue background", steps=4, seed=5).generate()
    source = result_of(visitor, server)
    visitor.see("").get_by_role("button", name="Send to Inpaint").click()
    editor = Editor(visitor, "Inpaint")
    form = editor.form
    expect(form.field("prompt")).to_have_value("a red apple on a blue background")
    expect(form.field("seed")).to_have_value("5")

    form.generate().see("").page.wait_for_function(
        "() => document.querySelector('#inpaint-results .alert p').textContent"
    )
    form.sees_error("^The mask is empty. Paint over what shall be drawn anew")
    editor.draw((0.45, 0.4), (0.6, 0.5), (0.45, 0.6))
    mask = editor.mask()
    assert mask.shape == source.shape[:2]
    form.fill(
        prompt="a green apple on a blue background", denoising_strength=1, mask_blur_x=2, mask_blur_y=2
    ).generate()
    result = result_of(form, server)
    rows, columns = np.nonzero(mask)
    reach = 6  # beyond 2.5 times the blur all is as it was, to the bit
    near = np.zeros(mask.shape, bool)
    near[rows.min() - reach : rows.max() + 1 + reach, columns.min() - reach : columns.max() + 1 + reach] = True
    assert (result[~near] == source[~near]).all()
    assert np.abs(result - source)[mask == 255].mean() > 5
    assert re.search(r"Denoising strength: 1,.*Mask blur: 2", form.infotext())
    expect(form.see(".before")).to_have_attribute("style", re.compile("lucid/inputs/"))
    form.see(".compare input").fill("50")

    form.see("").get_by_role("button", name="Send to img2img").click()
    chained = Editor(visitor, "img2img")
    expect(chained.canvas).to_be_visible()
    expect(chained.form.field("prompt")).to_have_value("a green apple on a blue background")
    chained.form.fill(denoising_strength=0.3).generate()
    drawn = result_of(chained.form, server)
    assert 0 < np.abs(drawn - result).mean() < np.abs(source - 128).mean()

    before = editor.delivered()
    visitor.reload().open_tab("Inpaint")
    expect(editor.canvas).to_be_visible()
    visitor.page.wait_for_function("() => lucid.sources.inpaint.picture()")
    assert editor.delivered() == before  # an id is made of the pixels
    assert form.value("denoising_strength") == "1"


def test_what_is_painted_can_be_taken_back_and_turned_round(visitor: Visitor, photo: Path) -> None:
    editor = Editor(visitor.open_tab("Inpaint"), "Inpaint").open(photo)
    editor.form.generate().sees_error("^The mask is empty")
    editor.button("Rectangle").click()
    editor.draw((0.25, 0.25), (0.75, 0.5))
    rectangle = editor.mask()
    assert rectangle.shape == (120, 160)
    assert abs(float((rectangle == 255).mean()) - 0.125) < 0.01

    editor.canvas.press("e")
    for _ in range(4):
        editor.canvas.press("]")
    editor.draw((0.3, 0.4), (0.7, 0.4))
    erased = editor.mask()
    assert 0 < erased.sum() < rectangle.sum()
    editor.canvas.press("Control+z")
    assert (editor.mask() == rectangle).all()
    editor.canvas.press("Control+Shift+z")
    assert (editor.mask() == erased).all()
    editor.button("Invert").click()
    assert (editor.mask() == 255 - erased).all()
    editor.button("Zoom in").click()
    editor.button("Move").click()
    editor.draw((0.5, 0.5), (0.2, 0.2))  # moves the picture, and paints nothing
    assert (editor.mask() == 255 - erased).all()
    editor.button("Show all of it").click()
    visitor.open_tab("txt2img").open_tab("Inpaint")
    assert (editor.mask() == 255 - erased).all()
    editor.button("Clear").click()
    editor.form.generate().sees_error("^The mask is empty")

    editor.mode("Inpaint sketch").button("Brush").click()
    editor.draw((0.5, 0.5), (0.6, 0.5))
    ids = editor.delivered()
    covered, painted = editor.mask() == 255, editor.handed_in(ids["init_image"])
    original = np.asarray(Image.open(photo))
    assert (painted[~covered] == original[~covered]).all()
    assert (painted[covered] == painted[covered][0]).all()  # one colour
    editor.box.locator(".open input").set_input_files(photo)
    expect(editor.button("Clear")).to_be_disabled()  # a new picture, a new mask


def test_a_mask_comes_from_a_file_and_a_picture_grows(visitor: Visitor, photo: Path, server: Server) -> None:
    editor = Editor(visitor.open_tab("Inpaint"), "Inpaint")
    form = editor.form
    form.generate().sees_error("^There is no picture to start from. Drop one")
    editor.open(photo).mode("Upload mask")
    expect(form.field("width")).to_have_value("160")  # the size that suits the picture
    expect(form.field("height")).to_have_value("120")
    form.generate().sees_error("^There is no mask yet")
    mask = Image.new("L", (80, 60))
    ImageDraw.Draw(mask).rectangle((20, 20, 39, 39), fill=255)
    mask.save(photo.with_name("mask.png"))
    editor.box.locator(".open input").set_input_files(photo.with_name("mask.png"))
    expect(editor.box.locator(".editor-wish")).to_be_hidden()
    form.fill(prompt="a red apple", steps=2, seed=1, mask_blur_x=0, mask_blur_y=0).generate()
    result, original = result_of(form, server), np.asarray(Image.open(photo)).astype(np.int16)
    outside = np.ones(result.shape[:2], bool)
    outside[32:88, 32:88] = False  # making a small mask larger softens its edge
    assert (result[outside] == original[outside]).all()
    assert np.abs(result - original)[48:72, 48:72].mean() > 3

    expect(form.field("extend_right")).to_be_hidden()
    editor.mode("Draw mask").button("Extend").click()
    editor.draw((0.98, 0.5), (1.15, 0.5))  # a handle
    expect(form.field("extend_right")).not_to_have_value("0")
    form.fill(extend_right=32)
    expect(editor.box.locator(".editor-dimensions")).to_have_text("160 × 120 → 192 × 120")
    editor.button("Take its size").click()
    expect(form.field("width")).to_have_value("192")
    form.generate()
    form.sees_progress("^Done")
    expect(form.see(".infotext")).to_contain_text("Extend right: 32")
    grown = result_of(form, server)
    assert grown.shape == (120, 192, 3)
    assert (grown[:, :100] == original[:, :100]).all()


def test_fingers_paint_on_a_phone_and_two_of_them_look_closer(visit: Callable[..., Visitor], photo: Path) -> None:
    visitor = visit(**PHONE)
    visitor.page.evaluate("lucid.openTab('inpaint')")
    editor = Editor(visitor, "Inpaint").open(photo)
    assert visitor.width_beyond_the_window() == 0
    editor.touch([(0.3, 0.3), (0.5, 0.4), (0.6, 0.6)])
    painted = editor.mask()
    assert painted.any()
    fit = editor.button("Show all of it")
    expect(fit).to_be_disabled()
    editor.touch([(0.4, 0.5), (0.3, 0.5), (0.1, 0.5)], [(0.6, 0.5), (0.7, 0.5), (0.9, 0.5)])
    expect(fit).to_be_enabled()
    assert (editor.mask() == painted).all()
    expect(visitor.page.locator("#inpaint-generate")).to_be_in_viewport()
    assert visitor.width_beyond_the_window() == 0
