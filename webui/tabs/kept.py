"""A form is the browser's: it is kept there while it changes, and put back when the page is loaded again.

So neither a reload nor a restarted server loses what was typed, and two users never see each other's form.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr
from gradio.components import Component

from webui.domain.request import PARAMETERS
from webui.tabs.components import QUIET, Form, Tab


def keep(
    form: Form,
    also: Mapping[str, Component],
    tab: Tab,
    check: Callable[[dict[Component, Any]], dict[Component, Any]],
) -> None:
    """Keep the tab's form in the browser; ``also`` are widgets of no parameter that belong to it.

    On loading the page the browser puts the values back at once, however busy the server is; then ``check`` corrects what
    is not offered any more (a checkpoint that was removed), of all the widgets' values. Call it inside ``gr.Blocks``.
    """
    widgets = {**form.widgets, **also}
    everything = list(widgets.values())  # in the order of `names`: both are read from `widgets`
    key, names = tab.kept, json.dumps(list(widgets))
    tips = json.dumps({name: PARAMETERS[name].help for name in form.widgets})
    page = gr.context.Context.root_block
    if page is None:
        raise RuntimeError("keep must be called inside gr.Blocks")

    loaded = page.load(fn=None, js=f"() => lucid.form.back({key!r}, {names})", outputs=everything)
    loaded.then(
        fn=None,
        js=f"(...values) => {{ lucid.form.begin({key!r}, {tab.prefix!r}, {names}, values, {tips}); return []; }}",
        inputs=everything,
    ).then(check, inputs=set(everything), outputs=set(everything), **QUIET)
    gr.on(
        [widget.change for widget in everything],  # type: ignore[attr-defined]
        fn=None,
        js=f"(...values) => {{ lucid.form.keep({key!r}, {names}, values); return []; }}",
        inputs=everything,
    )
