"""From text to picture: prompts, parameters on the left, results on the right, laid out as in A1111's web UI.

The path of a request begins here: ``generate`` turns what the widgets hold into a ``GenerationRequest`` and hands it to
``Runtime.generate``; the results panel then follows the job.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from typing import Any

import gradio as gr
from gradio.components import Component

from webui.domain.prompt_plan import plan_prompt
from webui.domain.request import PARAMETERS
from webui.domain.samplers import SAMPLERS
from webui.domain.sizes import size_of_ratio
from webui.errors import InvalidRequest, WebUIError
from webui.runtime import Runtime
from webui.tabs import models as model_bar
from webui.tabs.components import (
    QUIET,
    Form,
    asset,
    choice_field,
    flag_field,
    number_field,
    owner_of,
    typed,
    widget_html,
)
from webui.tabs.kept import keep
from webui.tabs.models import ModelBar, default_checkpoint, follow_checkpoint, suggestions
from webui.tabs.pasting import pasted
from webui.tabs.sampling import connect_sampler, offered_schedules, option_fields, sampling_fields, schedule_choices
from webui.tabs.streaming import results_panel

NAME = TITLE = "txt2img"
KEPT = "lucid.txt2img"  # where the browser keeps the form

FOLLOWING = ("width", "height", "steps", "cfg_scale")  # what takes a newly chosen checkpoint's suggestion
RATIOS = {"1:1": (1, 1), "4:3": (4, 3), "3:2": (3, 2), "16:9": (16, 9)}
EXAMPLES = {  # by the beginning of a checkpoint's name: prompts of words that it knows
    "lucid-starter": (
        "a panda on a pink background",
        "a rocket at night",
        "a sunflower in a meadow",
        "a whale under water",
        "a yellow circle on a purple background",
    ),
}


def build(runtime: Runtime, models: ModelBar) -> None:
    """Lay out the tab and connect it."""
    with gr.Row(elem_classes="prompts"):
        with gr.Column(elem_classes="prompt-column"):
            prompts = {name: _prompt(name) for name in ("prompt", "negative_prompt")}
            notes = _prompt_notes(runtime)
        with gr.Column(elem_classes="action-column"):
            actions = widget_html(
                asset("actions.html"), "actions", "lucid.actions(element, trigger) // 'generate' 'paste'"
            )
    with gr.Row(elem_classes="workbench"):
        with gr.Column(elem_classes="parameters"):
            fields, size_tools = _parameters(runtime, suggestions(runtime, default_checkpoint(runtime), FOLLOWING))
        with gr.Column(elem_classes="outcome"):
            results = results_panel(runtime, NAME, "results")
    form = Form({**prompts, **fields, "checkpoint": models.checkpoint, "vae": models.vae})
    # The checkpoint whose suggestions the form has followed so far; kept with it.
    followed = gr.Textbox(default_checkpoint(runtime) or "", visible=False)

    _connect_generate(runtime, form, actions, results)
    _connect_paste(runtime, form, followed, actions, notes)
    _connect_choices(runtime, form, followed, size_tools)
    _connect_kept(runtime, models, form, followed)


def _prompt(name: str) -> gr.Textbox:
    parameter = PARAMETERS[name]
    return gr.Textbox(
        label=parameter.label,
        placeholder=parameter.help,
        lines=3,
        max_lines=12,
        elem_id=name,
        elem_classes="prompt",
        html_attributes=gr.InputHTMLAttributes(autocomplete="off", spellcheck=False),
    )


def _prompt_notes(runtime: Runtime) -> gr.HTML:
    """Token counts and remarks of both prompts, asked for while typing; examples while there is no prompt."""

    def read(prompts: dict[str, str]) -> dict[str, Any]:
        return {name: read_prompt(runtime, str(text), name == "negative_prompt") for name, text in prompts.items()}

    return widget_html(
        asset("notes.html"),
        "notes",
        f"lucid.notes({json.dumps(EXAMPLES)}, element, props, server, trigger, watch) // 'example'",
        server_functions=[read],
    )


def read_prompt(runtime: Runtime, text: str, is_negative: bool = False) -> dict[str, Any]:
    """How a prompt is read: ``tokens`` of ``limit`` (75 for each chunk begun), and remarks."""
    count = runtime.count_tokens(text)
    remarks = plan_prompt(text, steps=1, is_negative=is_negative).remarks
    return {"tokens": count.tokens, "limit": count.limit, "remarks": [remark.message for remark in remarks]}


def _parameters(runtime: Runtime, first: Mapping[str, Any]) -> tuple[dict[str, Component], gr.HTML]:
    """All fields but the prompts and the models, and the buttons beside the size. ``first``: their first values."""
    fields = sampling_fields(runtime, KEPT, first["steps"])
    with gr.Row(elem_classes="sizes"):
        with gr.Column(elem_classes="stack", min_width=0):
            fields["width"] = number_field("width", first["width"])
            fields["height"] = number_field("height", first["height"])
        size_tools = widget_html(asset("size_tools.html"), "size-tools", "lucid.sizeTools(element, trigger) // 'ratio'")
        with gr.Column(elem_classes="stack batches", min_width=0):
            fields["batch_count"] = number_field("batch_count")
            fields["batch_size"] = number_field("batch_size")
    fields["cfg_scale"] = number_field("cfg_scale", first["cfg_scale"])
    with gr.Row(elem_classes="seed-row"):
        fields["seed"] = number_field("seed", slider=False)
        widget_html(asset("seed_tools.html"), "seed-tools", "lucid.seedTools(element, 'seed')")
    fields |= option_fields(KEPT)
    with gr.Accordion("Extra: variations of a seed", open=False):
        with gr.Row(elem_classes="seed-row"):
            fields["variation_seed"] = number_field("variation_seed", slider=False)
            widget_html(asset("seed_tools.html"), "variation-tools", "lucid.seedTools(element, 'variation_seed')")
        fields["variation_strength"] = number_field("variation_strength")
        with gr.Row(elem_classes="pair"):
            fields["seed_resize_width"] = number_field("seed_resize_width")
            fields["seed_resize_height"] = number_field("seed_resize_height")
    with gr.Accordion("Advanced", open=False):
        fields["clip_skip"] = number_field("clip_skip")
        with gr.Row(elem_classes="pair"):
            fields["emphasis"] = choice_field("emphasis", PARAMETERS["emphasis"].choices or ())
            fields["old_timelines"] = flag_field("old_timelines")
        with gr.Row(elem_classes="pair"):
            fields["rng"] = choice_field("rng", PARAMETERS["rng"].choices or ())
            fields["ensd"] = number_field("ensd", slider=False)
    return fields, size_tools


def _connect_generate(runtime: Runtime, form: Form, actions: gr.HTML, results: gr.HTML) -> None:
    def generate(inputs: dict[Component, Any], request: gr.Request) -> dict[str, Any]:
        try:
            job = runtime.generate(form.request(inputs), owner_of(request), NAME)
        except InvalidRequest as error:
            return {"error": str(error), "field": error.field, "at": time.time()}
        except WebUIError as error:
            return {"error": str(error), "field": None, "at": time.time()}
        return {"job": job.id}

    actions.generate(
        generate,
        inputs=set(form.widgets.values()),
        outputs=results,
        trigger_mode="multiple",  # pressed again: one more
        **QUIET,
    )


def _connect_paste(runtime: Runtime, form: Form, followed: gr.Textbox, actions: gr.HTML, notes: gr.HTML) -> None:
    # Where other tabs, and the results, deliver an infotext: lucid.send("txt2img", text)
    door = widget_html("", f"{NAME}-door", f"lucid.door({NAME!r}, trigger) // 'arrive'", visible="hidden")

    def take(text: str, inputs: dict[Component, Any]) -> dict[Component, Any]:
        values, remarks_on_it = pasted(runtime, text, form.values(inputs))
        shown = form.show(values)
        shown[form.widgets["schedule"]] = gr.update(
            choices=schedule_choices(values["sampler"]), value=values["schedule"]
        )
        return {**shown, followed: values["checkpoint"], notes: {"pasted": remarks_on_it, "at": time.time()}}

    def arrive(inputs: dict[Component, Any], event: gr.EventData) -> dict[Component, Any]:
        return take(str(event.text), inputs)

    def paste(inputs: dict[Component, Any], request: gr.Request) -> dict[Component, Any]:
        text = str(inputs[form.widgets["prompt"]] or "")
        if not text.strip():  # A1111's habit: an empty prompt takes the parameters of the last picture
            last = runtime.history.search(owner_of(request), limit=1)
            text = last[0].saved.infotext if last else ""
        return take(text, inputs)

    everything = {*form.widgets.values(), followed, notes}
    for event, handler in ((actions.paste, paste), (door.arrive, arrive)):
        event(
            handler,
            inputs=set(form.widgets.values()),
            outputs=everything,
            **QUIET,
        )
    notes.example(fn=None, js="() => lucid.chosenExample", outputs=form.widgets["prompt"], queue=False)


def _connect_choices(runtime: Runtime, form: Form, followed: gr.Textbox, size_tools: gr.HTML) -> None:
    """What one choice means for others: sampler -> schedules, checkpoint -> its suggested values, ratio -> size."""
    checkpoint = form.widgets["checkpoint"]
    following = {name: form.widgets[name] for name in FOLLOWING}

    def follow(inputs: dict[Component, Any]) -> dict[Component, Any]:
        previous, chosen = (suggestions(runtime, inputs[box], FOLLOWING) for box in (followed, checkpoint))
        current = {name: typed(PARAMETERS[name], inputs[widget]) for name, widget in following.items()}
        return {**form.show(follow_checkpoint(previous, chosen, current)), followed: inputs[checkpoint]}

    def take_ratio(inputs: dict[Component, Any], event: gr.EventData) -> dict[Component, Any]:
        across, down = RATIOS[event.ratio]
        native = suggestions(runtime, inputs[checkpoint], ("width", "height"))
        size = size_of_ratio(across, down, math.isqrt(native["width"] * native["height"]))
        return form.show({"width": size.width, "height": size.height})

    connect_sampler(form)
    sides = {form.widgets["width"], form.widgets["height"]}
    size_tools.ratio(take_ratio, inputs={checkpoint}, outputs=sides, **QUIET)
    checkpoint.input(  # type: ignore[attr-defined]
        follow,
        inputs={checkpoint, followed, *following.values()},
        outputs={followed, *following.values()},
        **QUIET,
    )


def _connect_kept(runtime: Runtime, models: ModelBar, form: Form, followed: gr.Textbox) -> None:
    def check(inputs: dict[Component, Any]) -> dict[Component, Any]:
        """Only what must change: whoever is quick has chosen something else by the time that this arrives."""
        held = {name: inputs[widget] for name, widget in form.widgets.items()}
        offers = {name: choices for name in form.widgets if (choices := PARAMETERS[name].choices) is not None}
        offers["sampler"] = tuple(row.name for row in SAMPLERS)
        gone = {name: PARAMETERS[name].default for name, offered in offers.items() if held[name] not in offered}
        schedules = schedule_choices(gone.get("sampler", held["sampler"]))
        return {
            **form.show(gone),
            **offered_schedules(form, schedules, held["schedule"]),
            **model_bar.choices(runtime, models, inputs[models.checkpoint], inputs[models.vae]),
        }

    keep(form, {"followed": followed}, KEPT, check)
