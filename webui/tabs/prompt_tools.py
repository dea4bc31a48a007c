"""What hangs on the prompts of every drawing tab: counts, remarks and tokens, styles, and completion while typing.

A tab builds :func:`prompt_notes` and :func:`style_row`, and the page :func:`build` once for all. The scripts are
``assets/prompt_*.js``; they find a tab's prompts by ``tab.id("prompt")``.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import gradio as gr
from gradio.components import Component

from webui.domain.name_matches import best_matches
from webui.domain.request import PARAMETERS, GenerationRequest
from webui.domain.styles import Style
from webui.errors import InvalidRequest, WebUIError
from webui.runtime import Runtime
from webui.tabs.components import QUIET, Tab, asset, owner_of, typed, widget_html

# What of a form tells how its prompts are read.
READ = ("prompt", "negative_prompt", "styles", "seed", "steps", "emphasis", "old_timelines")

# what is completed -> the kinds of names that are offered for it
COMPLETED: Mapping[str, tuple[str, ...]] = {
    "lora": ("lora",),
    "lyco": ("lora",),
    "hypernet": ("hypernet",),
    "style": ("style",),
    "embed": ("embedding",),
    "embedding": ("embedding",),
    "wildcard": ("wildcard",),
    "word": ("embedding",),
    "tag": ("lora", "hypernet", "style", "embedding"),
    "any": ("embedding", "lora", "hypernet", "wildcard", "style"),
}
INSERTED: Mapping[str, str] = {
    "lora": "<lora:{}:1>",
    "hypernet": "<hypernet:{}:1>",
    "embedding": "{}",
    "wildcard": "__{}__",
    "style": "",  # is chosen, not written
}


def prompt_notes(runtime: Runtime, tab: Tab, examples: Mapping[str, Iterable[str]]) -> gr.HTML:
    """Token counts, remarks and tokens of both prompts, asked for while typing; examples while there is no prompt."""

    def read(asked: dict[str, Any], request: gr.Request) -> dict[str, Any]:
        return read_prompts(runtime, asked, owner_of(request))

    arguments = f"{tab.name!r}, {tab.prefix!r}, {json.dumps(examples)}, element, props, server, trigger, watch"
    return widget_html(
        asset("notes.html"),
        tab.id("notes"),
        f"lucid.notes({arguments}) // 'example'",
        server_functions=[read],
    )


def read_prompts(runtime: Runtime, asked: Mapping[str, Any], owner: str) -> dict[str, Any]:
    """How the prompts of a form are read: ``tokens`` of ``limit`` (75 for each chunk begun), remarks, and on wish all texts.

    ``asked`` holds what a form does, by the names in ``READ``; what cannot be used of it counts as not there.
    """
    request = GenerationRequest()
    for name in READ:
        try:
            request = dataclasses.replace(request, **{name: typed(PARAMETERS[name], asked.get(name))})
        except InvalidRequest:
            continue
    seen = runtime.see_prompts(request, owner, in_full=bool(asked.get("in_full")))
    told: dict[str, Any] = {"steps": request.steps}
    for name, prompt in zip(READ, seen, strict=False):
        told[name] = {
            "tokens": prompt.count.tokens,
            "limit": prompt.count.limit,
            "remarks": [dataclasses.asdict(remark) for remark in prompt.remarks],
            "chosen": prompt.chosen,
            "parts": prompt.parts,
            "moreTexts": prompt.more_texts,
            "leftOut": list(prompt.left_out),
            "texts": [
                {
                    "part": text.part,
                    "weight": text.weight,
                    "first": text.first,
                    "last": text.last,
                    "more": text.more_chunks,
                    "chunks": [
                        [[token.text, token.ids, token.weight, token.ends_word, token.is_embedding] for token in chunk]
                        for chunk in text.chunks
                    ],
                }
                for text in prompt.texts
            ],
        }
    return told


def style_row(runtime: Runtime, tab: Tab, prompts: Mapping[str, Component]) -> gr.Dropdown:
    """The styles that go into both prompts, in the order in which they were chosen, and the buttons of the prompts.

    Call it inside ``gr.Blocks``. What there is to choose from is asked for again when the page is loaded, when the field is
    entered, and when styles were changed.
    """
    parameter = PARAMETERS["styles"]
    with gr.Row(elem_classes="style-row"):
        styles = gr.Dropdown(
            [],  # the page is built once for all, so it cannot know whose styles these are
            value=[],
            label=parameter.label,
            multiselect=True,
            allow_custom_value=True,  # a kept form may name a style that is not there now; the job then says so
            elem_id=tab.id("styles"),
            elem_classes="choice styles",
        )
        tools = widget_html(
            asset("style_tools.html"),
            tab.id("style-tools"),
            f"lucid.styleTools({tab.name!r}, {tab.prefix!r}, element, trigger) // 'write' 'take' 'changed'",
        )

    def offered(request: gr.Request) -> dict[str, Any]:
        update: dict[str, Any] = gr.update(choices=style_names(runtime, owner_of(request)))
        return update

    def take(inputs: dict[Component, Any], event: gr.EventData) -> list[str]:
        held = [*(inputs[styles] or ())]
        return held if event.name in held else [*held, str(event.name)]

    def write(inputs: dict[Component, Any], request: gr.Request) -> dict[Component, Any]:
        positive, negative, missing = runtime.styles.applied(
            owner_of(request),
            str(inputs[prompts["prompt"]] or ""),
            str(inputs[prompts["negative_prompt"]] or ""),
            [str(name) for name in inputs[styles] or ()],
        )
        return {prompts["prompt"]: positive, prompts["negative_prompt"]: negative, styles: list(missing)}

    page = gr.context.Context.root_block
    if page is None:
        raise RuntimeError("style_row must be called inside gr.Blocks")
    for event in (page.load, styles.focus, tools.changed):
        event(offered, outputs=styles, **QUIET)
    tools.take(take, inputs={styles}, outputs=styles, **QUIET)
    everything = {styles, *prompts.values()}
    tools.write(write, inputs=everything, outputs=everything, **QUIET)
    return styles


def build(runtime: Runtime) -> None:
    """What answers the prompts of all tabs: completion, and the window where styles are made."""

    def complete(asked: dict[str, Any], request: gr.Request) -> dict[str, Any]:
        kind, query = str(asked.get("kind")), str(asked.get("query") or "")
        return {"offers": completions(runtime, kind, query, owner_of(request))}

    def list_styles(asked: dict[str, Any], request: gr.Request) -> dict[str, Any]:
        return _styles(runtime, owner_of(request))

    def save_style(asked: dict[str, Any], request: gr.Request) -> dict[str, Any]:
        style = Style(*(str(asked.get(name) or "") for name in ("name", "prompt", "negative_prompt")))
        return _changed(runtime, owner_of(request), "Saved.", lambda owner: runtime.styles.save(owner, style))

    def delete_style(asked: dict[str, Any], request: gr.Request) -> dict[str, Any]:
        name = str(asked.get("name") or "")
        return _changed(runtime, owner_of(request), "Deleted.", lambda owner: runtime.styles.delete(owner, name))

    widget_html(
        "",
        "prompt-tools",
        "lucid.promptTools(server)",
        server_functions=[complete, list_styles, save_style, delete_style],
        visible="hidden",
    )


def completions(runtime: Runtime, kind: str, query: str, owner: str) -> list[dict[str, str]]:
    """What could be meant by what was typed: ``name``, its ``kind``, and what to ``insert``; the best first.

    ``kind`` is one of ``COMPLETED``: where in a prompt the cursor stands. A word in a sentence is taken for a name only if the
    letters stand in it together.
    """
    offered = {kind: _names(runtime, kind, owner) for kind in COMPLETED.get(kind, ())}
    kinds: dict[str, str] = {}
    for each in reversed(offered):  # of two that are called alike, the one that comes first in the table
        kinds.update(dict.fromkeys(offered[each], each))
    best = best_matches(query, kinds, loosely=kind != "word")
    return [{"name": name, "kind": kinds[name], "insert": INSERTED[kinds[name]].format(name)} for name in best]


def _names(runtime: Runtime, kind: str, owner: str) -> Iterable[str]:
    if kind == "wildcard":
        return runtime.wildcards
    if kind == "style":
        return style_names(runtime, owner)
    files = runtime.library.files({"hypernet": "hypernetwork"}.get(kind, kind))
    return (file.name for file in files if not file.problem)


def style_names(runtime: Runtime, owner: str) -> list[str]:
    return [known.style.name for known in runtime.styles.styles(owner)]


def _styles(runtime: Runtime, owner: str) -> dict[str, Any]:
    known = [{**dataclasses.asdict(each.style), "own": each.own} for each in runtime.styles.styles(owner)]
    return {"styles": known, "error": " ".join(runtime.styles.problems(owner))}


def _changed(runtime: Runtime, owner: str, said: str, change: Callable[[str], None]) -> dict[str, Any]:
    try:
        change(owner)
    except WebUIError as error:
        return {"error": str(error)}
    return {**_styles(runtime, owner), "said": said}
