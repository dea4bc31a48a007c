"""From picture to picture: the drawing form with the editor above it, as it is or with a sketch painted over it."""

from __future__ import annotations

from gradio.components import Component

from webui.runtime import Runtime
from webui.tabs import drawing_form
from webui.tabs.components import Tab
from webui.tabs.models import ModelBar
from webui.tabs.picture_batch import picture_batch
from webui.tabs.picture_editor import SENT, picture_editor
from webui.tabs.picture_fields import (
    advanced_fields,
    connect_fields,
    depth_field,
    loopback_fields,
    strength_fields,
    tiled_upscale_fields,
)

NAME = TITLE = "img2img"
MODES = ("picture", "sketch")


def build(runtime: Runtime, models: ModelBar) -> None:
    """Lay out the tab and connect it."""
    tab = Tab(NAME)

    def above(tab: Tab) -> dict[str, Component]:
        picture_editor(runtime, tab, MODES)
        depth_field(tab)
        return strength_fields(tab)

    def below(tab: Tab) -> dict[str, Component]:
        picture_batch(tab)
        return {**loopback_fields(tab), **tiled_upscale_fields(runtime, tab), **advanced_fields(tab, inpaints=False)}

    drawing_form.build(
        runtime, models, tab, drawing_form.Sections(above, below, (*SENT, "batch_pictures", "depth_map"), "pictured")
    )
    connect_fields(runtime, tab)
