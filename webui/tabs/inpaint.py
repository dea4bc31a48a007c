"""A part of a picture drawn anew, or the picture drawn on beyond its sides: the drawing form with the editor above it."""

from __future__ import annotations

from gradio.components import Component

from webui.runtime import Runtime
from webui.tabs import drawing_form
from webui.tabs.components import Tab
from webui.tabs.models import ModelBar
from webui.tabs.picture_editor import SENT, picture_editor
from webui.tabs.picture_fields import (
    advanced_fields,
    connect_fields,
    depth_field,
    extension_fields,
    loopback_fields,
    mask_fields,
    soft_fields,
    strength_fields,
)

NAME, TITLE = "inpaint", "Inpaint"
MODES = ("mask", "paint", "upload")


def build(runtime: Runtime, models: ModelBar) -> None:
    """Lay out the tab and connect it."""
    tab = Tab(NAME)

    def above(tab: Tab) -> dict[str, Component]:
        picture_editor(runtime, tab, MODES, extends=True)
        depth_field(tab)
        return {**extension_fields(tab), **strength_fields(tab), **mask_fields(tab), **soft_fields(tab)}

    def below(tab: Tab) -> dict[str, Component]:
        return {**loopback_fields(tab), **advanced_fields(tab, inpaints=True)}

    drawing_form.build(runtime, models, tab, drawing_form.Sections(above, below, (*SENT, "depth_map"), "pictured"))
    connect_fields(runtime, tab)
