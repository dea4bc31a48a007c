"""Several pictures to draw over in one job, in place of the one in the editor. ``assets/picture_batch.js`` is the browser's half.

What a picture says of how it was made may count instead of the form, for what is ticked.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from typing import Any

import gradio as gr

from webui.domain.infotext import parse, to_request
from webui.domain.picture_batch import OWN
from webui.domain.request import PARAMETERS
from webui.tabs.components import Tab, asset, widget_html

OFFERED = OWN[:8]
_WITH = {"sampler": ("schedule",), "checkpoint": ("checkpoint_hash",), "prompt": ("lora_hashes", "ti_hashes")}


def picture_batch(tab: Tab) -> None:
    """The list, folded away."""

    def entries(asked: dict[str, Any]) -> dict[str, Any]:
        pictures, reused = asked.get("pictures") or [], set(asked.get("reuse") or [])
        return {"batch_pictures": json.dumps([entry(picture, reused) for picture in pictures])}

    boxes = "".join(
        f'<label class="flag"><input type="checkbox" value="{name}"> {html.escape(PARAMETERS[name].label)}</label>'
        for name in OFFERED
    )
    with gr.Accordion("Batch: several pictures", open=False, elem_id=tab.id("batch")):
        widget_html(
            asset("picture_batch.html").replace("<!-- reuse -->", boxes),
            tab.id("batch-pictures"),
            f"lucid.pictureBatch({tab.name!r}, element, server)",
            server_functions=[entries],
        )


def entry(picture: Mapping[str, Any], reused: set[str]) -> dict[str, Any]:
    """A picture for ``batch_pictures``: its id, and what its infotext says of the parameters in ``reused``."""
    told: dict[str, Any] = {"init_image": str(picture.get("id"))}
    parsed = parse(str(picture.get("infotext") or ""))
    if not reused or not (parsed.fields or parsed.prompt):
        return told
    said, _, _ = to_request(parsed)
    for name in OFFERED:
        key = PARAMETERS[name].infotext
        is_said = key is None or key in parsed.fields or (name == "checkpoint" and "Model hash" in parsed.fields)
        if name in reused and is_said:
            told |= {each: getattr(said, each) for each in (name, *_WITH.get(name, ()))}
    return told
