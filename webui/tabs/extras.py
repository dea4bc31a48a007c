"""Finished pictures made larger: one or several, by one upscaler or two laid over each other.

The form is a piece of HTML of our own, generated from ``ENLARGE_PARAMETERS``; ``assets/extras.js`` enlivens it.
"""

from __future__ import annotations

import html
from typing import Any

import gradio as gr

from webui.domain.enlarging import ENLARGE_PARAMETERS, KIND, NO_UPSCALER, RESAMPLERS, EnlargeRequest
from webui.domain.parameter import Parameter
from webui.errors import InvalidRequest, WebUIError
from webui.runtime import Runtime
from webui.tabs.components import Tab, asset, owner_of, widget_html, written
from webui.tabs.models import ModelBar
from webui.tabs.streaming import results_panel

NAME = KIND
TITLE = "Extras"
_SENT_BY_THE_BROWSER = ("pictures", "infotexts")  # made of the pictures that were dropped


def build(runtime: Runtime, models: ModelBar) -> None:
    """Lay out the tab."""

    def enlarge(asked: dict[str, Any], request: gr.Request) -> dict[str, Any]:
        return enlarged(runtime, owner_of(request), asked)

    def upscalers(asked: dict[str, Any]) -> dict[str, Any]:
        return {
            "names": upscaler_names(runtime),
            "problems": [file.problem for file in runtime.upscalers() if file.problem],
        }

    with gr.Row(elem_classes="workbench extras"):
        with gr.Column(elem_classes="parameters"):
            widget_html(
                form_html(), "extras-form", "lucid.extras(element, server)", server_functions=[enlarge, upscalers]
            )
        with gr.Column(elem_classes="outcome"):
            results_panel(runtime, Tab(NAME))


def enlarged(runtime: Runtime, owner: str, asked: dict[str, Any]) -> dict[str, Any]:
    """The answer to the button: ``{"job": id}``, or ``{"error": sentence, "field": name}``."""
    try:
        values = {name: asked[name] for name in ENLARGE_PARAMETERS if name in asked}
        return {"job": runtime.enlarge(EnlargeRequest(**values), owner).id}
    except InvalidRequest as error:
        return {"error": str(error), "field": error.field}
    except WebUIError as error:
        return {"error": str(error), "field": None}


def upscaler_names(runtime: Runtime) -> list[str]:
    """What can be chosen: what needs no file, then the usable files."""
    return [NO_UPSCALER, *RESAMPLERS, *sorted(file.name for file in runtime.upscalers() if not file.problem)]


def form_html() -> str:
    """The form's template with a field for every parameter, at the place that the template names."""
    fields = {name: _field(ENLARGE_PARAMETERS[name]) for name in ENLARGE_PARAMETERS if name not in _SENT_BY_THE_BROWSER}
    template = asset("extras.html")
    for name, field in fields.items():
        template = template.replace(f"<!-- {name} -->", field)
    return template


def _field(parameter: Parameter) -> str:
    name, label, tip = parameter.name, html.escape(parameter.label), html.escape(parameter.help)
    default = html.escape(str(written(parameter.default)))
    attributes = f'id="extras-{name}" data-name="{name}"'
    if parameter.type is bool:
        ticked = " checked" if parameter.default else ""
        return f'<label class="flag" title="{tip}"><input type="checkbox" {attributes}{ticked}> {label}</label>'
    if parameter.type is str:
        options = "".join(
            f'<option value="{html.escape(choice)}">{html.escape(choice)}</option>'
            for choice in parameter.choices or ()
        )
        return (
            f'<div class="select" title="{tip}"><label for="extras-{name}">{label}</label>'
            f'<select {attributes} data-default="{default}">{options}</select></div>'
        )
    end = parameter.maximum if parameter.slider_maximum is None else parameter.slider_maximum
    bounds = {"min": parameter.minimum, "max": parameter.maximum, "step": parameter.step, "end": end}
    data = " ".join(f'data-{key}="{bound:.17g}"' for key, bound in bounds.items() if bound is not None)
    return (
        f'<div class="number-holder"><div class="number" title="{tip}" {data}><label for="extras-{name}">{label}</label>'
        f'<input {attributes} data-default="{default}" class="number-field" inputmode="decimal" autocomplete="off" '
        f'spellcheck="false"><input class="number-range" type="range" tabindex="-1" aria-label="{label}, slider"></div></div>'
    )
