"""How noise is subtracted: sampler, schedule and steps, a plot of the noise levels, and the options behind them.

Only what the chosen sampler and schedule obey is shown. The rest keeps its value, so that it is there again when the
sampler is changed back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr
from gradio.components import Component

from webui.domain.request import PARAMETERS
from webui.domain.samplers import SAMPLERS, find_sampler
from webui.domain.sampling_options import SAMPLING_OPTIONS
from webui.domain.schedules import AUTOMATIC, SCHEDULES
from webui.runtime import Runtime
from webui.tabs.components import (
    QUIET,
    Form,
    Tab,
    asset,
    choice_field,
    field,
    number_field,
    offer,
    widget_html,
    written,
)
from webui.tabs.schedule_plot import PLOTTED, plotted

CUSTOM_SIGMAS = "custom_sigmas"  # stands below the schedule, since "Custom" is nothing without it
GROUPS: Mapping[str, tuple[str, ...]] = {  # heading -> options; those that no row of a table names are always shown
    "Noise that the sampler adds": ("eta", "s_noise", "s_churn", "s_tmin", "s_tmax"),
    "Schedule": ("sigma_min", "sigma_max", "rho", "beta_alpha", "beta_beta", "discard_penultimate"),
    "Guidance": ("ngms", "ngms_all_steps", "skip_early_cfg", "cfg_rescale"),
    "Checkpoint": ("prediction_type", "zero_terminal_snr", "sgm_noise_multiplier"),
}


def sampling_fields(runtime: Runtime, tab: Tab, steps: Any) -> dict[str, Component]:
    """Sampler, schedule, plot and steps. ``steps`` is their first value."""

    def levels(asked: dict[str, Any]) -> dict[str, Any]:
        return plotted(runtime, asked)

    fields: dict[str, Component] = {}
    with gr.Row(elem_classes="sampling"):
        with gr.Column(elem_classes="stack", min_width=0):
            samplers, schedules = [sampler.name for sampler in SAMPLERS], schedule_choices(SAMPLERS[0].name)
            fields["sampler"] = choice_field("sampler", samplers, prefix=tab.prefix)
            fields["schedule"] = choice_field("schedule", schedules, prefix=tab.prefix)
        widget_html(
            asset("schedule_plot.html"),
            tab.id("schedule-plot"),
            f"lucid.schedulePlot({tab.kept!r}, {json.dumps(PLOTTED)}, element, server)",
            server_functions=[levels],
        )
    with gr.Column(elem_id=tab.id("custom-schedule"), min_width=0):
        fields[CUSTOM_SIGMAS] = field(CUSTOM_SIGMAS, tab.prefix)
    fields["steps"] = number_field("steps", steps, prefix=tab.prefix)
    return fields


def option_fields(tab: Tab) -> dict[str, Component]:
    """The accordion of all other options."""
    fields: dict[str, Component] = {}
    # outside of the accordion, whose contents the browser builds only when it is opened
    enliven = f"lucid.samplingOptions({tab.kept!r}, {tab.prefix!r}, {json.dumps(rules())})"
    widget_html("", tab.id("option-rules"), enliven, visible="hidden")
    with gr.Accordion("Sampling options", open=False, elem_id=tab.id("sampling-options")):
        for number, (heading, names) in enumerate(GROUPS.items()):
            with gr.Column(elem_id=tab.id(f"option-group-{number}"), elem_classes="option-group", min_width=0):
                widget_html(f"<h3>{heading}</h3>", tab.id(f"option-heading-{number}"), "")
                with gr.Row(elem_classes="options"):
                    fields |= {name: field(name, tab.prefix) for name in names}
        reset = widget_html(
            asset("sampling_reset.html"), tab.id("options-reset"), "lucid.resetOptions(element, trigger) // 'reset'"
        )
    defaults = {name: written(PARAMETERS[name].default) for name in fields}
    reset.reset(fn=None, js=f"() => {json.dumps(list(defaults.values()))}", outputs=list(fields.values()), queue=False)
    return fields


def rules() -> dict[str, Any]:
    """What is shown when, for the browser.

    ``options`` are all of them with their defaults; of these ``always`` are shown, and those that the chosen sampler and
    the schedule that it runs name. Those of the ``accordion`` are counted there when they are not at their defaults.
    ``groups``: element -> options (ids without the tab's prefix); a heading without options is hidden too.
    """
    by_samplers = {option for row in SAMPLERS for option in row.options}
    by_schedules = {option for row in SCHEDULES for option in row.options}
    return {
        "accordion": [name for names in GROUPS.values() for name in names],
        "options": {name: PARAMETERS[name].default for name in SAMPLING_OPTIONS},
        "always": [name for name in SAMPLING_OPTIONS if name not in by_samplers | by_schedules],
        "samplers": {row.name: {"options": row.options, "automatic": row.default_schedule} for row in SAMPLERS},
        "schedules": {row.name: row.options for row in SCHEDULES},
        "groups": {
            "custom-schedule": [CUSTOM_SIGMAS],
            **{f"option-group-{number}": names for number, names in enumerate(GROUPS.values())},
        },
    }


def schedule_choices(sampler: str) -> list[str]:
    """The schedules that this sampler accepts."""
    row = find_sampler(sampler)
    return [schedule.name for schedule in SCHEDULES if row.accepts(schedule.name)]


def connect_sampler(form: Form) -> None:
    """Offer the schedules of the sampler that was chosen, and keep the one that was chosen if it is among them."""
    sampler, schedule = form.widgets["sampler"], form.widgets["schedule"]

    def follow(inputs: dict[Component, Any]) -> dict[Component, Any]:
        return offered_schedules(form, schedule_choices(inputs[sampler]), inputs[schedule])

    # `input`, not `change`: what is pasted or kept brings its own schedule
    sampler.input(follow, inputs={sampler, schedule}, outputs={schedule}, **QUIET)  # type: ignore[attr-defined]


def offered_schedules(form: Form, schedules: Sequence[str], held: Any) -> dict[Component, Any]:
    """The update of the schedule dropdown that offers these; one that is not among them gives way to Automatic."""
    return {form.widgets["schedule"]: offer(schedules, held, AUTOMATIC.name)}
