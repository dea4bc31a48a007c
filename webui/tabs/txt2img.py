"""From text to picture: the drawing form, with a second, larger pass if one is wanted."""

from __future__ import annotations

import gradio as gr
from gradio.components import Component

from webui.runtime import Runtime
from webui.tabs import drawing_form
from webui.tabs.components import Tab
from webui.tabs.hires import connect_hires, hires_fields, hires_told
from webui.tabs.models import ModelBar

NAME = TITLE = "txt2img"


def build(runtime: Runtime, models: ModelBar) -> None:
    """Lay out the tab and connect it."""
    lines: list[gr.HTML] = []

    def below(tab: Tab) -> dict[str, Component]:
        lines.append(hires_told(runtime))
        return hires_fields(runtime, tab)

    built = drawing_form.build(runtime, models, Tab(NAME), drawing_form.Sections(below=below))
    connect_hires(runtime, built, lines[0])
