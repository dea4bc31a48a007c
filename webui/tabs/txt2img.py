"""From text to picture: the drawing form, and nothing besides."""

from __future__ import annotations

from webui.runtime import Runtime
from webui.tabs import drawing_form
from webui.tabs.components import Tab
from webui.tabs.models import ModelBar

NAME = TITLE = "txt2img"


def build(runtime: Runtime, models: ModelBar) -> None:
    """Lay out the tab and connect it."""
    drawing_form.build(runtime, models, Tab(NAME))
