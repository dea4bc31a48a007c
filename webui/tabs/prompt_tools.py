"""What hangs on the prompts of every drawing tab: styles, the view of tokens, completion while typing."""

from __future__ import annotations

from typing import Any

import gradio as gr

from webui.domain.request import PARAMETERS
from webui.runtime import Runtime
from webui.tabs.components import LOCAL_OWNER, QUIET, Tab, owner_of


def style_field(runtime: Runtime, tab: Tab) -> gr.Dropdown:
    """The styles that go into both prompts, in the order in which they were chosen. Call it inside ``gr.Blocks``.

    What there is to choose from is asked for again when the page is loaded and when the field is entered.
    """
    parameter = PARAMETERS["styles"]
    field = gr.Dropdown(
        style_names(runtime, LOCAL_OWNER),
        value=[],
        label=parameter.label,
        multiselect=True,
        allow_custom_value=True,  # a kept form may name a style that is not there now; the job then says so
        elem_id=tab.id("styles"),
        elem_classes="choice styles",
    )

    def offered(request: gr.Request) -> dict[str, Any]:
        update: dict[str, Any] = gr.update(choices=style_names(runtime, owner_of(request)))
        return update

    page = gr.context.Context.root_block
    if page is None:
        raise RuntimeError("style_field must be called inside gr.Blocks")
    for event in (page.load, field.focus):
        event(offered, outputs=field, **QUIET)
    return field


def style_names(runtime: Runtime, owner: str) -> list[str]:
    return [known.style.name for known in runtime.styles.styles(owner)]
