"""What was made: thumbnails, newest first, searchable by prompt and by anything else that an infotext says."""

from __future__ import annotations

from typing import Any

import gradio as gr

from webui.runtime import Runtime
from webui.tabs.components import asset, owner_of, widget_html
from webui.tabs.models import ModelBar
from webui.tabs.streaming import picture

NAME = "history"
TITLE = "History"
_PAGE = 48  # thumbnails fetched at once
_LONGEST_SEARCH = 500


def build(runtime: Runtime, models: ModelBar) -> None:
    def search(asked: dict[str, Any], request: gr.Request) -> dict[str, Any]:
        text = str(asked.get("text") or "")[:_LONGEST_SEARCH]
        return found(runtime, owner_of(request), text, max(0, int(asked.get("offset") or 0)))

    widget_html(asset("history.html"), "history", "lucid.history(element, server)", server_functions=[search])


def found(runtime: Runtime, owner: str, text: str, offset: int) -> dict[str, Any]:
    """One page of what matches, newest first. ``missing``: the file is gone from the outputs folder."""
    rows = runtime.history.search(owner, text, _PAGE + 1, offset)
    return {
        "pictures": [{**picture(row.saved), "missing": row.missing} for row in rows[:_PAGE]],
        "more": len(rows) > _PAGE,
    }
