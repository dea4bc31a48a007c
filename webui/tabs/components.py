"""Form widgets, generated from ``PARAMETERS``, and their values -> ``GenerationRequest``.

Every widget answers to the name of its parameter. Handlers take their inputs as a *set*, so Gradio hands over a dict of
widget -> value, and nothing depends on the order of widgets. Values come as the browser sent them (``preprocess=False``),
so that whatever was typed is judged in one place, by the request itself, with a sentence that names the field.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import gradio as gr
from gradio.components import Component
from starlette.requests import Request

from webui.accounts.account import Account
from webui.accounts.asker import account_of
from webui.domain.request import PARAMETERS, GenerationRequest, Parameter
from webui.runtime import LOCAL_OWNER

# How an event of the page is told to Gradio: values as they are (see above), at once, without a veil over the outputs, and
# not as an endpoint for programs.
QUIET: Mapping[str, Any] = {
    "preprocess": False,
    "queue": False,
    "show_progress": "hidden",
    "api_visibility": "private",
}


def asker(request: gr.Request | Request) -> Account | None:
    """The account that asks; None where there are no accounts."""
    asked = request.request if isinstance(request, gr.Request) else request  # Gradio's, in some events, is a wrapper
    if asked is None:
        raise RuntimeError("nobody asks here: Gradio hands over no request")
    return account_of(asked.scope)


def owner_of(request: gr.Request | Request) -> str:
    """Whose jobs the asker sees: the account's, or where there are no accounts those of everybody at this server."""
    account = asker(request)
    return LOCAL_OWNER if account is None else account.name


@dataclass(frozen=True)
class Tab:
    """A tab that holds a drawing form. Several forms stand in one page, so the ids of elements begin with the tab's name.

    Those of txt2img, the first one, are bare.
    """

    name: str

    @property
    def prefix(self) -> str:
        """What the ids of its elements begin with."""
        return "" if self.name == "txt2img" else f"{self.name}-"

    @property
    def kept(self) -> str:
        """Where the browser keeps the form."""
        return f"lucid.{self.name}"

    def id(self, name: str) -> str:
        return self.prefix + name


def asset(name: str) -> str:
    """The text of a file in ``tabs/assets``."""
    return resources.files("webui.tabs").joinpath("assets").joinpath(name).read_text(encoding="utf-8")


def typed(parameter: Parameter, value: Any) -> Any:
    """What was typed, as the parameter's type if it can be read so; else unchanged, for the request to refuse.

    >>> [typed(PARAMETERS["steps"], text) for text in (" 30 ", "2.5", "many")], typed(PARAMETERS["cfg_scale"], "7,5")
    ([30, 2.5, 'many'], 7.5)
    """
    if value is None and parameter.type in (str, tuple):  # a dropdown that nothing can be chosen from
        return parameter.type()
    if not isinstance(value, str) or parameter.type is str:
        return value
    text = value.strip()
    for read in (int, float) if parameter.type is int else (float,):
        try:
            return read(text.replace(",", "."))
        except ValueError:
            continue
    return text


def written(value: Any) -> Any:
    """A parameter's value as its widget shows it. Numbers are text: JavaScript would round whole ones beyond 2**53.

    >>> written(7.0), written(2**60), written(2.5), written("Euler a"), written(True)
    ('7', '1152921504606846976', '2.5', 'Euler a', True)
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value)


def number_field(name: str, value: Any = None, slider: bool = True, prefix: str = "") -> gr.HTML:
    """A field to type a number in and, where the parameter is bounded, a slider. The value is text.

    Gradio's own slider cannot hold a value beyond its end and silently moves it there; here the slider ends at
    ``slider_maximum`` while the field takes anything, and the request says what is wrong with it.
    """
    parameter = PARAMETERS[name]
    end = parameter.slider_maximum if parameter.slider_maximum is not None else parameter.maximum
    bounds = {"min": parameter.minimum, "max": parameter.maximum, "step": parameter.step, "end": end}
    data = " ".join(f'data-{key}="{bound:.17g}"' for key, bound in bounds.items() if bound is not None)
    label, field_id = html.escape(parameter.label), f"{prefix}{name}-field"
    keyboard = "numeric" if parameter.type is int and parameter.minimum != -1 else "text"
    range_input = (
        f'<input class="number-range" type="range" tabindex="-1" aria-label="{label}, slider">' if slider else ""
    )
    return gr.HTML(
        value=written(parameter.default if value is None else value),
        label=parameter.label,
        html_template=f"""<div class="number" title="{html.escape(parameter.help)}" {data}>
            <label for="{field_id}">{label}</label>
            <input id="{field_id}" class="number-field" inputmode="{keyboard}" autocomplete="off" spellcheck="false">
            {range_input}</div>""",
        js_on_load=f"lucid.numberField({prefix + name!r}, element, props, watch)",
        elem_id=prefix + name,
        elem_classes="number-block",
        apply_default_css=False,
    )


def choice_field(name: str, choices: Iterable[str], value: str | None = None, prefix: str = "") -> gr.Dropdown:
    """A dropdown. ``value`` is the parameter's default unless given; one that is no choice leaves it empty.

    The choice "", which leaves it to the checkpoint, is called Automatic.
    """
    parameter, choices = PARAMETERS[name], list(choices)
    value = parameter.default if value is None else value
    return gr.Dropdown(
        [(choice or "Automatic", choice) for choice in choices],
        value=value if value in choices else None,
        label=parameter.label,
        elem_id=prefix + name,
        elem_classes="choice",
    )


def offer(choices: Sequence[str], held: Any, default: str | None) -> dict[str, Any]:
    """An update of a dropdown's choices; of its value, too, where what it holds is not among them."""
    update: dict[str, Any] = (
        gr.update(choices=choices) if held in choices else gr.update(choices=choices, value=default)
    )
    return update


def flag_field(name: str, prefix: str = "") -> gr.Checkbox:
    """A box to tick."""
    parameter, elem_id = PARAMETERS[name], prefix + name
    return gr.Checkbox(parameter.default, label=parameter.label, elem_id=elem_id, elem_classes="flag", container=False)


def text_field(name: str, prefix: str = "") -> gr.Textbox:
    """One line of text, which grows with what is typed."""
    parameter = PARAMETERS[name]
    return gr.Textbox(
        parameter.default,
        label=parameter.label,
        lines=1,
        max_lines=4,
        elem_id=prefix + name,
        elem_classes="prompt line",
        html_attributes=gr.InputHTMLAttributes(autocomplete="off", spellcheck=False),
    )


def field(name: str, prefix: str = "") -> Component:
    """The widget that suits the parameter's type. ``prefix``: see :class:`Tab`."""
    parameter = PARAMETERS[name]
    if parameter.type is bool:
        return flag_field(name, prefix)
    if parameter.choices is not None:
        return choice_field(name, parameter.choices, prefix=prefix)
    return text_field(name, prefix) if parameter.type is str else number_field(name, prefix=prefix)


def widget_html(template: str, elem_id: str, js_on_load: str, **more: Any) -> gr.HTML:
    """A piece of the page of our own: a template in ``assets`` and the function in ``assets/*.js`` that enlivens it."""
    return gr.HTML(html_template=template, elem_id=elem_id, js_on_load=js_on_load, apply_default_css=False, **more)


@dataclass(frozen=True)
class Form:
    """The widgets of one tab, by parameter name."""

    widgets: Mapping[str, Component]

    def values(self, inputs: Mapping[Component, Any]) -> dict[str, Any]:
        """What the widgets hold, by parameter name, in the parameters' types where readable."""
        return {name: typed(PARAMETERS[name], inputs[widget]) for name, widget in self.widgets.items()}

    def request(self, inputs: Mapping[Component, Any], more: Mapping[str, Any] | None = None) -> GenerationRequest:
        """``more``: parameters that have no widget. Raises ``InvalidRequest``, which names the field."""
        return GenerationRequest(**{**self.values(inputs), **(more or {})})

    def show(self, values: Mapping[str, Any]) -> dict[Component, Any]:
        """Widget updates that show these values; names without a widget are left out."""
        return {self.widgets[name]: written(value) for name, value in values.items() if name in self.widgets}
