"""The picture that a request starts from, and what is painted over it: the editor of img2img and Inpaint.

It lives in the browser (``assets/picture_editor.js`` and ``assets/editor_*.js``). It hands pictures in as they come, and what was
painted when Generate is pressed, and sends their ids with the form. Here is what it asks the server: sizes and boxes, whose
arithmetic is declared once, in :mod:`webui.domain.sizes`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from webui.domain.picture_options import EXTENSIONS
from webui.domain.request import PARAMETERS
from webui.domain.sizes import Box, Size, masked_region, on_grid
from webui.runtime import Runtime
from webui.tabs.components import Tab, asset, typed, widget_html
from webui.tabs.models import suggestions

_OF_REGION = ("mask_blur_x", "mask_blur_y", "mask_padding", "width", "height", *EXTENSIONS)
SENT = ("init_image", "mask")  # with the press of Generate
_MORE_PIXELS_THAN_TRAINED_ON = 1.6  # a picture larger than that is drawn smaller, unless its owner wants otherwise


def picture_editor(runtime: Runtime, tab: Tab, modes: tuple[str, ...], extends: bool = False) -> None:
    """The editor, with these of the modes in ``assets/picture_editor.js``. ``extends``: the picture may be made larger."""

    def region(asked: dict[str, Any]) -> dict[str, Any]:
        return {"box": drawn_region(asked)}

    def size(asked: dict[str, Any]) -> dict[str, Any]:
        native = suggestions(runtime, str(asked.get("checkpoint") or ""), ("width", "height"))
        trained_on = Size(native["width"], native["height"])
        picture = Size(max(1, int(asked["width"])), max(1, int(asked["height"])))
        return {"native": trained_on, "size": suggested_size(picture, trained_on)}

    options = {"tab": tab.name, "prefix": tab.prefix, "form": tab.kept, "modes": modes, "extends": extends}
    widget_html(
        asset("picture_editor.html"),
        tab.id("editor"),
        f"lucid.pictureEditor({json.dumps(options)}, element, server)",
        server_functions=[region, size],
    )


def suggested_size(picture: Size, trained_on: Size) -> Size:
    """What to draw a picture at: its own size, or its shape with as many pixels as the checkpoint was trained on.

    >>> suggested_size(Size(640, 480), Size(512, 512)), suggested_size(Size(4000, 3000), Size(512, 512))
    (Size(width=640, height=480), Size(width=576, height=432))
    """
    native, pixels = trained_on.width * trained_on.height, picture.width * picture.height
    fits = native / 2 <= pixels <= _MORE_PIXELS_THAN_TRAINED_ON * native
    ratio, wanted = picture.width / picture.height, pixels if fits else native
    least, most = int(PARAMETERS["width"].minimum or 0), int(PARAMETERS["width"].maximum or 0)
    middle = math.sqrt(wanted * ratio)

    def within(length: float) -> int:
        return min(most, max(least, on_grid(length)))

    def misfit(size: Size) -> float:
        """A stretched picture is seen at once; a few more or fewer pixels are not."""
        stretched = abs(math.log(size.width / size.height / ratio))
        return stretched + 0.1 * abs(math.log(size.width * size.height / wanted))

    widths = {within(middle * share / 100) for share in range(80, 121)}
    return min((Size(width, within(width / ratio)) for width in sorted(widths)), key=misfit)


def drawn_region(asked: Mapping[str, Any]) -> Box | None:
    """The part of the picture that "Only masked" draws, for a form that holds these values; None if they cannot be used.

    ``mask`` is the box of what is painted (None if nothing is), ``picture`` the size, both in pixels; the rest are parameters
    by name. Where the picture is extended the part may reach beyond it, to negative places.
    """
    values = {name: typed(PARAMETERS[name], asked.get(name)) for name in _OF_REGION}
    if not all(isinstance(value, int | float) and value >= 0 for value in values.values()):
        return None
    left, right, up, down = (int(values[name]) for name in EXTENSIONS)
    width, height = (max(1, int(side)) for side in asked["picture"])
    canvas = Size(width + left + right, height + up + down)
    parts = [
        *([Box(*(int(edge) for edge in asked["mask"]))] if asked.get("mask") else []),
        *([Box(-left, -up, 0, height + down)] if left else []),
        *([Box(width, -up, width + right, height + down)] if right else []),
        *([Box(-left, -up, width + right, 0)] if up else []),
        *([Box(-left, height, width + right, height + down)] if down else []),
    ]
    if not parts or not values["width"] or not values["height"]:
        return None
    across, down_reach = reach(values["mask_blur_x"]), reach(values["mask_blur_y"])
    mask = Box(
        max(0, min(part.left for part in parts) + left - across),
        max(0, min(part.top for part in parts) + up - down_reach),
        min(canvas.width, max(part.right for part in parts) + left + across),
        min(canvas.height, max(part.bottom for part in parts) + up + down_reach),
    )
    drawn = masked_region(mask, int(values["mask_padding"]), canvas, Size(int(values["width"]), int(values["height"])))
    return Box(drawn.left - left, drawn.top - up, drawn.right - left, drawn.bottom - up)


def reach(blur: float) -> int:
    """How far beyond a straight edge a blurred mask is above 0 in 8 bits; round a corner it is a little less.

    >>> [reach(blur) for blur in (0, 1, 4, 16, 64)]
    [0, 3, 10, 39, 154]
    """
    most = int(2.5 * blur + 0.5)
    weights = [math.exp(-(offset**2) / (2 * blur**2)) for offset in range(most + 1)] if most else [1.0]
    whole = 2 * sum(weights) - weights[0]
    return max((far for far in range(1, most + 1) if 255 * sum(weights[far:]) / whole >= 0.5), default=0)
