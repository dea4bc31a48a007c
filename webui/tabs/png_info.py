"""Drop a picture, read how it was made, send that to a tab."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from webui.domain.infotext import compose
from webui.errors import WebUIError
from webui.runtime import Runtime
from webui.tabs.components import asset, widget_html
from webui.tabs.models import ModelBar

NAME = "png_info"
TITLE = "PNG Info"


def build(runtime: Runtime, models: ModelBar) -> None:
    widget_html(asset("png_info.html"), "png-info", "lucid.pngInfo(element)")


def build_reader(runtime: Runtime) -> None:
    """What reads a picture for the tab, and for all others: one may be dropped anywhere on the page."""

    def read(asked: dict[str, Any]) -> dict[str, Any]:
        try:
            data = base64.b64decode(str(asked.get("data", "")), validate=True)
        except binascii.Error:
            return {"error": "The picture did not arrive whole. Try again."}
        return described(runtime, data)

    widget_html("", "picture-reader", "lucid.pictureReader(server)", server_functions=[read], visible="hidden")


def described(runtime: Runtime, data: bytes) -> dict[str, Any]:
    """What a picture file tells about how it was made: ``infotext`` and its ``source``, or an ``error``."""
    try:
        told = runtime.read_infotext(data)
    except WebUIError as error:
        return {"error": str(error)}
    if told is None:
        return {"infotext": "", "source": "This picture does not say how it was made."}
    return {"infotext": compose(told), "source": f"Made with {told.source or 'an unknown program'}."}
