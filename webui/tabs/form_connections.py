"""What happens in a drawing form: Generate, pasting, what one choice means for others, keeping it in the browser.

The path of a request begins here: ``generate`` turns what the widgets hold into a ``GenerationRequest`` and hands it to
``Runtime.generate``; the results panel then follows the job.
"""

from __future__ import annotations

import math
import time
from typing import Any

import gradio as gr
from gradio.components import Component

from webui.domain.request import PARAMETERS
from webui.domain.samplers import SAMPLERS
from webui.domain.sizes import size_of_ratio
from webui.errors import InvalidRequest, WebUIError
from webui.runtime import Runtime
from webui.tabs import models as model_bar
from webui.tabs.components import QUIET, Form, Tab, owner_of, typed, widget_html
from webui.tabs.kept import keep
from webui.tabs.models import ModelBar, follow_checkpoint, suggestions
from webui.tabs.pasting import pasted
from webui.tabs.sampling import connect_sampler, offered_schedules, schedule_choices

FOLLOWING = ("width", "height", "steps", "cfg_scale")  # what takes a newly chosen checkpoint's suggestion
RATIOS = {"1:1": (1, 1), "4:3": (4, 3), "3:2": (3, 2), "16:9": (16, 9)}


def generate(
    runtime: Runtime, tab: Tab, form: Form, actions: gr.HTML, results: gr.HTML, sent: tuple[str, ...] = ()
) -> None:
    """``sent``: parameters without a widget, which the browser sends along (``lucid.sources`` in assets/shell.js)."""

    def draw(inputs: dict[Component, Any], request: gr.Request, event: gr.EventData) -> dict[str, Any]:
        told = event._data or {}
        more = {name: str(told[name]) for name in sent if name in told}
        try:
            job = runtime.generate(form.request(inputs, more), owner_of(request), tab.name)
        except InvalidRequest as error:
            return {"error": str(error), "field": error.field, "at": time.time()}
        except WebUIError as error:
            return {"error": str(error), "field": None, "at": time.time()}
        return {"job": job.id}

    actions.generate(
        draw,
        inputs=set(form.widgets.values()),
        outputs=results,
        trigger_mode="multiple",  # pressed again: one more
        **QUIET,
    )


def paste(runtime: Runtime, tab: Tab, form: Form, followed: gr.Textbox, actions: gr.HTML, notes: gr.HTML) -> None:
    """The arrow under Generate, and the door where other tabs and the results deliver an infotext."""
    # lucid.send("txt2img", text)
    door = widget_html("", f"{tab.name}-door", f"lucid.door({tab.name!r}, trigger) // 'arrive'", visible="hidden")

    def take(text: str, inputs: dict[Component, Any], owner: str) -> dict[Component, Any]:
        values, remarks_on_it = pasted(runtime, text, form.values(inputs), owner)
        shown = form.show(values)
        shown[form.widgets["schedule"]] = gr.update(
            choices=schedule_choices(values["sampler"]), value=values["schedule"]
        )
        return {**shown, followed: values["checkpoint"], notes: {"pasted": remarks_on_it, "at": time.time()}}

    def arrive(inputs: dict[Component, Any], request: gr.Request, event: gr.EventData) -> dict[Component, Any]:
        return take(str(event.text), inputs, owner_of(request))

    def from_prompt(inputs: dict[Component, Any], request: gr.Request) -> dict[Component, Any]:
        text = str(inputs[form.widgets["prompt"]] or "")
        if not text.strip():  # A1111's habit: an empty prompt takes the parameters of the last picture
            last = runtime.history.search(owner_of(request), limit=1)
            text = last[0].saved.infotext if last else ""
        return take(text, inputs, owner_of(request))

    everything = {*form.widgets.values(), followed, notes}
    for event, handler in ((actions.paste, from_prompt), (door.arrive, arrive)):
        event(
            handler,
            inputs=set(form.widgets.values()),
            outputs=everything,
            **QUIET,
        )
    notes.example(fn=None, js="() => lucid.chosenExample", outputs=form.widgets["prompt"], queue=False)


def choices(runtime: Runtime, models: ModelBar, form: Form, followed: gr.Textbox, size_tools: gr.HTML) -> None:
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
    for chosen in (checkpoint.input, models.chosen.then):  # in the dropdown; by a card
        chosen(
            follow,
            inputs={checkpoint, followed, *following.values()},
            outputs={followed, *following.values()},
            **QUIET,
        )


def kept(runtime: Runtime, tab: Tab, models: ModelBar, form: Form, followed: gr.Textbox) -> None:
    """Keep the form in the browser, and correct what was kept of what is not offered any more."""

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

    keep(form, {"followed": followed}, tab, check)
