"""The refiner in the form: a second checkpoint for the last steps."""

from __future__ import annotations

import gradio as gr
from gradio.components import Component

from webui.domain.request import PARAMETERS
from webui.runtime import Runtime
from webui.tabs.components import Tab, number_field
from webui.tabs.models import checkpoint_names


def refiner_fields(runtime: Runtime, tab: Tab) -> dict[str, Component]:
    """The accordion. A name that is not in the list may be typed or pasted: the server finds the file, or says what is near."""
    names = checkpoint_names(runtime)
    with gr.Accordion("Refiner", open=False, elem_id=tab.id("refiner")):
        checkpoint = gr.Dropdown(
            [("None", ""), *((name, name) for name in names)],
            value="",
            label=PARAMETERS["refiner_checkpoint"].label,
            elem_id=tab.id("refiner_checkpoint"),
            elem_classes="choice",
            allow_custom_value=True,
        )
        switch_at = number_field("refiner_switch_at", prefix=tab.prefix)
        with gr.Row(elem_classes="pair"):
            good = number_field("aesthetic_score", slider=False, prefix=tab.prefix)
            bad = number_field("negative_aesthetic_score", slider=False, prefix=tab.prefix)
    return {
        "refiner_checkpoint": checkpoint,
        "refiner_switch_at": switch_at,
        "aesthetic_score": good,
        "negative_aesthetic_score": bad,
    }
