"""Hires fix in the form of txt2img: its fields, what size comes of them, and when it is worth while.

What is far larger than the pictures a model was trained on comes out with everything twice, so the page then offers to draw
small first. A finished picture can be drawn again so, too: "Upscale" beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import gradio as gr
from gradio.components import Component

from webui.domain.enlarging import RESAMPLERS
from webui.domain.hires_options import HIRES_OPTIONS, LATENT_UPSCALERS
from webui.domain.infotext import parse, to_request
from webui.domain.request import PARAMETERS, GenerationRequest
from webui.domain.samplers import SAMPLERS
from webui.domain.schedules import SCHEDULES
from webui.domain.second_pass import second_pass
from webui.domain.sizes import size_of_ratio
from webui.errors import WebUIError
from webui.runtime import Runtime
from webui.tabs.components import QUIET, Tab, flag_field, number_field, owner_of, text_field, typed, widget_html
from webui.tabs.drawing_form import DrawingForm
from webui.tabs.models import checkpoint_names

FAR_OVER = 1.5  # times the side that the model was trained at
_TAKEN = ("width", "height", "hires", "hires_width", "hires_height")
_HTML = """<div class="hires-told"><p class="target" role="status" hidden></p>
  <p class="advice" role="status" hidden><span></span> <button type="button" class="small">Use hires fix</button></p></div>"""


def hires_fields(runtime: Runtime, tab: Tab) -> dict[str, Component]:
    """The accordion. A name that is not in a list may be typed or pasted: the server finds it, or says what is near."""
    prefix = tab.prefix
    fields: dict[str, Component] = {}
    with gr.Accordion("Hires fix", open=False, elem_id=tab.id("hires-fix")):
        fields["hires"] = flag_field("hires", prefix)
        names = sorted(file.name for file in runtime.upscalers() if not file.problem)
        fields["hires_upscaler"] = _choice("hires_upscaler", (*LATENT_UPSCALERS, *RESAMPLERS, *names), tab)
        fields["hires_scale"] = number_field("hires_scale", prefix=prefix)
        with gr.Row(elem_classes="pair"):
            fields["hires_width"] = number_field("hires_width", slider=False, prefix=prefix)
            fields["hires_height"] = number_field("hires_height", slider=False, prefix=prefix)
        fields["denoising_strength"] = number_field("denoising_strength", 0.7, prefix=prefix)
        fields["hires_steps"] = number_field("hires_steps", prefix=prefix)
        with gr.Row(elem_classes="pair"):
            fields["hires_sampler"] = _choice("hires_sampler", ("", *(row.name for row in SAMPLERS)), tab)
            fields["hires_schedule"] = _choice("hires_schedule", ("", *(row.name for row in SCHEDULES)), tab)
        fields["hires_cfg_scale"] = number_field("hires_cfg_scale", prefix=prefix)
        fields["hires_checkpoint"] = _choice("hires_checkpoint", ("", *checkpoint_names(runtime)), tab)
        fields["hires_prompt"] = text_field("hires_prompt", prefix)
        fields["hires_negative_prompt"] = text_field("hires_negative_prompt", prefix)
    return fields


def _choice(name: str, names: tuple[str, ...], tab: Tab) -> gr.Dropdown:
    return gr.Dropdown(
        [(choice or "As in the first", choice) for choice in names],
        value=PARAMETERS[name].default,
        label=PARAMETERS[name].label,
        elem_id=tab.id(name),
        elem_classes="choice",
        allow_custom_value=True,
    )


def hires_told(runtime: Runtime) -> gr.HTML:
    """The line that says what size comes of it, or that hires fix would be better; it also gives results their "Upscale"."""

    def tell(asked: dict[str, Any]) -> dict[str, Any]:
        return told(runtime, asked)

    def upscale(asked: dict[str, Any], request: gr.Request) -> dict[str, Any]:
        return upscaled(runtime, owner_of(request), str(asked.get("infotext", "")), asked.get("values") or {})

    enliven = "lucid.hires(element, server, trigger) // 'take'"
    return widget_html(_HTML, "hires-told", enliven, server_functions=[tell, upscale])


def connect_hires(runtime: Runtime, built: DrawingForm, line: gr.HTML) -> None:
    """The button beside the advice: the model's own size first, then the one that was asked for."""
    widgets = built.form.widgets

    def take(inputs: dict[Component, Any]) -> dict[Component, Any]:
        values = built.form.values(inputs)
        return built.form.show(advice(runtime, values) or {})

    line.take(take, inputs=set(widgets.values()), outputs={widgets[name] for name in _TAKEN}, **QUIET)


def told(runtime: Runtime, asked: Mapping[str, Any]) -> dict[str, Any]:
    """``target``: from which size to which, with hires fix; ``advice``: a sentence, where it would be better; else ""."""
    values = {name: typed(PARAMETERS[name], value) for name, value in asked.items() if name in PARAMETERS}
    try:
        request = _request(values)
        if request.hires:
            second = second_pass(request)
            return {"target": f"{request.width} × {request.height} → {second.width} × {second.height}", "advice": ""}
        suggested = advice(runtime, values)
        if suggested is None:
            return {"target": "", "advice": ""}
        native = runtime.checkpoint(request.checkpoint).native_size
    except WebUIError as error:
        return {"target": str(error) if values.get("hires") else "", "advice": ""}
    sentence = (
        f"This model was trained on pictures of {native} pixels a side; so large, things may come out twice. Hires fix draws "
        f"{suggested['width']} × {suggested['height']} first and then enlarges."
    )
    return {"target": "", "advice": sentence}


def advice(runtime: Runtime, values: Mapping[str, Any]) -> dict[str, Any] | None:
    """Fields that draw the same size by way of the model's own; None where it is not far over that."""
    request = _request(values)
    native = runtime.checkpoint(request.checkpoint).native_size
    if request.hires or request.width * request.height <= (FAR_OVER * native) ** 2:
        return None
    first = size_of_ratio(request.width, request.height, native)
    return {
        "width": max(64, first.width),
        "height": max(64, first.height),
        "hires": True,
        "hires_width": request.width,
        "hires_height": request.height,
    }


def _request(values: Mapping[str, Any]) -> GenerationRequest:
    names = ("width", "height", "checkpoint", *HIRES_OPTIONS)
    return GenerationRequest(**{name: values[name] for name in names if name in values})


def upscaled(runtime: Runtime, owner: str, infotext: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Draw a finished picture once more, with hires fix as the form has it: ``{"job": id}`` or ``{"error": sentence}``."""
    wanted = ("denoising_strength", *HIRES_OPTIONS)
    values = {name: typed(PARAMETERS[name], value) for name, value in asked.items() if name in wanted}
    try:
        request, _, _ = to_request(parse(infotext))
        if request.hires:
            return {
                "error": "This picture was drawn with hires fix already. Send it to Extras or img2img to enlarge it further."
            }
        if request.seed == -1:
            return {"error": "This picture does not say how it was drawn. Send it to Extras to enlarge it."}
        request = replace(request, **{**values, "hires": True, "batch_count": 1, "batch_size": 1})
        return {"job": runtime.generate(request, owner, "txt2img").id}
    except WebUIError as error:
        return {"error": str(error)}
