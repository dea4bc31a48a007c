"""Finished pictures made larger, in a browser."""

from __future__ import annotations

from pathlib import Path

from PIL import Image
from playwright.sync_api import expect
from visitor import Visitor

from webui.jobs.pictures import encode


def test_pictures_are_enlarged_compared_sent_on_and_there_again_after_a_reload(
    visitor: Visitor, tmp_path: Path
) -> None:
    drawn = "a panda\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5, Size: 64x48, Model: x"
    (tmp_path / "one.png").write_bytes(encode(Image.new("RGB", (64, 48), "pink"), drawn, "png", 90))
    Image.new("RGB", (32, 32), "blue").save(tmp_path / "two.png")
    page = visitor.page
    page.evaluate("lucid.openTab('extras')")
    page.set_input_files(".extras-form .drop input", [tmp_path / "one.png", tmp_path / "two.png"])
    expect(page.locator(".extras-form .chosen li")).to_have_count(2)
    page.select_option("#extras-upscaler_1", "Nearest")
    page.fill("#extras-scale_by", "3")
    expect(page.locator(".sizes-told")).to_have_text("64 × 48 → 192 × 144, and 1 more")
    page.keyboard.press("Control+Enter")
    results = page.locator("#extras-results")
    expect(results.locator(".what")).to_contain_text("Done: 2 pictures")
    expect(results.locator(".infotext")).to_contain_text("Seed: 5")
    expect(results.locator(".infotext")).to_contain_text("Postprocess upscale by: 3, Postprocess upscaler: Nearest")
    expect(results.locator(".compare")).to_be_visible()

    results.get_by_role("button", name="Send to Extras").click()
    expect(page.locator(".sizes-told")).to_have_text("192 × 144 → 576 × 432")
    expect(page.locator(".extras-form .chosen li")).to_have_count(1)
    visitor.reload()
    page.evaluate("lucid.openTab('extras')")
    expect(page.locator(".sizes-told")).to_have_text("192 × 144 → 576 × 432")
    page.get_by_role("button", name="Take away").click()
    page.locator("#extras-generate").click()
    expect(page.locator("#extras-results .alert")).to_contain_text("no picture to enlarge")
