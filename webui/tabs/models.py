"""The models on top of the page: checkpoint and VAE. They belong to the request, so no other user's choice touches them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from webui.domain.request import PARAMETERS
from webui.errors import ModelNotFound
from webui.runtime import VAE_CHOICES, Runtime
from webui.tabs.components import QUIET, choice_field, offer


@dataclass(frozen=True)
class ModelBar:
    """Built once by the page; the tabs read the two dropdowns with their own form.

    ``chosen``: a card has chosen the checkpoint; what a tab does then follows by ``chosen.then(...)``.
    """

    checkpoint: gr.Dropdown
    vae: gr.Dropdown
    chosen: Any = None


def build(runtime: Runtime) -> ModelBar:
    bar = ModelBar(
        choice_field("checkpoint", checkpoint_names(runtime), default_checkpoint(runtime)),
        choice_field("vae", vae_names(runtime)),
    )
    refresh = gr.Button("↻", elem_id="refresh-models", elem_classes="tool", min_width=0)

    def rescan(inputs: dict[Component, Any]) -> dict[Component, Any]:
        runtime.rescan()
        return choices(runtime, bar, inputs[bar.checkpoint], inputs[bar.vae])

    both = {bar.checkpoint, bar.vae}
    refresh.click(rescan, inputs=both, outputs=both, **QUIET)
    return bar


def choices(runtime: Runtime, bar: ModelBar, checkpoint: Any, vae: Any) -> dict[Component, Any]:
    """Both dropdowns with what is there now; a choice that is gone becomes the default one, another is left alone."""
    checkpoints, vaes = checkpoint_names(runtime), vae_names(runtime)
    return {
        bar.checkpoint: offer(checkpoints, checkpoint, default_checkpoint(runtime)),
        bar.vae: offer(vaes, vae, vaes[0]),
    }


def checkpoint_names(runtime: Runtime) -> list[str]:
    return [file.name for file in runtime.checkpoints()]


def vae_names(runtime: Runtime) -> list[str]:
    return [*VAE_CHOICES, *(file.name for file in runtime.vaes())]


def default_checkpoint(runtime: Runtime) -> str | None:
    """What an empty checkpoint stands for; None where there is no checkpoint."""
    try:
        return runtime.checkpoint().name
    except ModelNotFound:
        return None


def suggestions(runtime: Runtime, checkpoint: str | None, names: Sequence[str]) -> dict[str, Any]:
    """What the checkpoint's file suggests for these parameters; what it is silent about keeps its general default."""
    files = {file.name: file for file in runtime.checkpoints()}
    suggested: Mapping[str, Any] = files[checkpoint].suggested if checkpoint in files else {}
    return {name: suggested.get(name, PARAMETERS[name].default) for name in names}


def follow_checkpoint(
    previous: Mapping[str, Any], chosen: Mapping[str, Any], current: Mapping[str, Any]
) -> dict[str, Any]:
    """The values to change when the checkpoint changes: those that were still the previous one's suggestion.

    >>> follow_checkpoint({"width": 128, "steps": 20}, {"width": 512, "steps": 30}, {"width": 128, "steps": 25})
    {'width': 512}
    """
    return {name: value for name, value in chosen.items() if current[name] == previous[name] != value}
