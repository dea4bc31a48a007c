"""The form that every drawing tab has: prompts and actions on top, parameters at the left, results at the right, as in A1111.

A tab is built by one call of :func:`build`, and adds its own fields by sections::

    drawing_form.build(runtime, models, Tab("img2img"), Sections(above=source_fields, below=advanced_fields))

A section is a function of the :class:`~webui.tabs.components.Tab` that lays out widgets and returns them by parameter name
(``{"denoising_strength": number_field("denoising_strength", prefix=tab.prefix)}``); they then belong to the form: they are
sent with the request, kept over a reload and filled by a pasted infotext. ``above`` stands before the sampler, ``below`` after
the seed and the sampling options. Parameters that have no widget, like the id of a picture, come with the press of Generate:
see ``lucid.sources`` in ``assets/shell.js``, and ``sent`` here.

:class:`DrawingForm` is what tools that hang on the form are given: its widgets and the ids of its elements.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from webui.domain.request import PARAMETERS
from webui.runtime import Runtime
from webui.tabs import form_connections as connect
from webui.tabs.components import Form, Tab, asset, choice_field, flag_field, number_field, widget_html
from webui.tabs.models import ModelBar, default_checkpoint, suggestions
from webui.tabs.prompt_tools import prompt_notes, style_row
from webui.tabs.refiner import refiner_fields
from webui.tabs.sampling import option_fields, sampling_fields
from webui.tabs.streaming import results_panel

Section = Callable[[Tab], dict[str, Component]]

EXAMPLES = {  # by the beginning of a checkpoint's name: prompts of words that it knows
    "lucid-starter": (
        "a panda on a pink background",
        "a rocket at night",
        "a sunflower in a meadow",
        "a whale under water",
        "a yellow circle on a purple background",
    ),
}


@dataclass(frozen=True)
class Sections:
    """What a tab adds to the form; see the top of this module."""

    above: Section | None = None
    below: Section | None = None
    sent: tuple[str, ...] = ()  # parameters that the browser sends with the press of Generate
    classes: str = ""  # of both rows: that of the prompts, and that of parameters and results


@dataclass(frozen=True)
class DrawingForm:
    """A form that is laid out and connected."""

    tab: Tab
    form: Form
    actions: gr.HTML
    notes: gr.HTML
    results: gr.HTML


def build(runtime: Runtime, models: ModelBar, tab: Tab, sections: Sections | None = None) -> DrawingForm:
    """Lay out a tab's form and connect it."""
    sections = sections or Sections()
    with gr.Row(elem_classes=["prompts", sections.classes]):
        with gr.Column(elem_classes="prompt-column"):
            prompts, notes = _prompts(runtime, tab)
        with gr.Column(elem_classes="action-column"):
            actions = _actions(tab)
    first = suggestions(runtime, default_checkpoint(runtime), connect.FOLLOWING)
    with gr.Row(elem_classes=["workbench", sections.classes]):
        with gr.Column(elem_classes="parameters"):
            above = sections.above(tab) if sections.above else {}
            fields, size_tools = _parameters(runtime, tab, first, sections.below)
        with gr.Column(elem_classes="outcome"):
            results = results_panel(runtime, tab)
    # What a pasted picture says of which files its networks were: nothing to look at, but kept and sent with the rest.
    hashes = {name: gr.Textbox("", visible=False, elem_id=tab.id(name)) for name in ("lora_hashes", "ti_hashes")}
    form = Form({**prompts, **above, **fields, **hashes, "checkpoint": models.checkpoint, "vae": models.vae})
    # The checkpoint whose suggestions the form has followed so far; kept with it.
    followed = gr.Textbox(default_checkpoint(runtime) or "", visible=False)

    connect.generate(runtime, tab, form, actions, results, sections.sent)
    connect.paste(runtime, tab, form, followed, actions, notes)
    connect.choices(runtime, models, form, followed, size_tools)
    connect.kept(runtime, tab, models, form, followed)
    return DrawingForm(tab, form, actions, notes, results)


def _prompts(runtime: Runtime, tab: Tab) -> tuple[dict[str, Component], gr.HTML]:
    """Both prompts and what is said below them. Tools for prompts find them as ``.prompt`` and by ``tab.id("prompt")``."""
    fields: dict[str, Component] = {name: _prompt(name, tab) for name in ("prompt", "negative_prompt")}
    styles = style_row(runtime, tab, fields)
    return {**fields, "styles": styles}, prompt_notes(runtime, tab, EXAMPLES)


def _prompt(name: str, tab: Tab) -> gr.Textbox:
    parameter = PARAMETERS[name]
    return gr.Textbox(
        label=parameter.label,
        placeholder=parameter.help,
        lines=3,
        max_lines=12,
        elem_id=tab.id(name),
        elem_classes="prompt",
        html_attributes=gr.InputHTMLAttributes(autocomplete="off", spellcheck=False),
    )


def _actions(tab: Tab) -> gr.HTML:
    template = asset("actions.html").replace('id="', f'id="{tab.prefix}')
    enliven = f"lucid.actions({tab.name!r}, {tab.prefix!r}, element, trigger) // 'generate' 'paste'"
    return widget_html(template, tab.id("actions"), enliven)


def _parameters(
    runtime: Runtime, tab: Tab, first: Mapping[str, Any], below: Section | None
) -> tuple[dict[str, Component], gr.HTML]:
    """The fields that all tabs have but prompts and models, and the buttons beside the size. ``first``: first values."""
    prefix = tab.prefix
    fields = sampling_fields(runtime, tab, first["steps"])
    with gr.Row(elem_classes="sizes"):
        with gr.Column(elem_classes="stack", min_width=0):
            fields["width"] = number_field("width", first["width"], prefix=prefix)
            fields["height"] = number_field("height", first["height"], prefix=prefix)
        size_tools = widget_html(
            asset("size_tools.html"),
            tab.id("size-tools"),
            f"lucid.sizeTools({prefix!r}, element, trigger) // 'ratio'",
        )
        with gr.Column(elem_classes="stack batches", min_width=0):
            fields["batch_count"] = number_field("batch_count", prefix=prefix)
            fields["batch_size"] = number_field("batch_size", prefix=prefix)
    fields["cfg_scale"] = number_field("cfg_scale", first["cfg_scale"], prefix=prefix)
    fields["seed"] = _seed("seed", "seed-tools", tab)
    fields |= option_fields(tab)
    if below:
        fields |= below(tab)
    fields |= refiner_fields(runtime, tab)
    with gr.Accordion("Extra: variations of a seed", open=False):
        fields["variation_seed"] = _seed("variation_seed", "variation-tools", tab)
        fields["variation_strength"] = number_field("variation_strength", prefix=prefix)
        with gr.Row(elem_classes="pair"):
            fields["seed_resize_width"] = number_field("seed_resize_width", prefix=prefix)
            fields["seed_resize_height"] = number_field("seed_resize_height", prefix=prefix)
    with gr.Accordion("Advanced", open=False):
        fields["clip_skip"] = number_field("clip_skip", prefix=prefix)
        with gr.Row(elem_classes="pair"):
            fields["emphasis"] = choice_field("emphasis", PARAMETERS["emphasis"].choices or (), prefix=prefix)
            fields["old_timelines"] = flag_field("old_timelines", prefix)
        with gr.Row(elem_classes="pair"):
            fields["rng"] = choice_field("rng", PARAMETERS["rng"].choices or (), prefix=prefix)
            fields["ensd"] = number_field("ensd", slider=False, prefix=prefix)
        with gr.Row(elem_classes="pair"):
            fields["tile_x"] = flag_field("tile_x", prefix)
            fields["tile_y"] = flag_field("tile_y", prefix)
    return fields, size_tools


def _seed(name: str, tools: str, tab: Tab) -> Component:
    with gr.Row(elem_classes="seed-row"):
        seed = number_field(name, slider=False, prefix=tab.prefix)
        widget_html(asset("seed_tools.html"), tab.id(tools), f"lucid.seedTools(element, {tab.id(name)!r})")
    return seed
