"""The part of a request that enlarges a picture and draws it over tile by tile, each of width x height: "SD upscale".

The words and the defaults are those of the script of that name of A1111's web UI.
"""

from __future__ import annotations

from dataclasses import dataclass

from webui.domain.parameter import parameter


@dataclass(frozen=True, kw_only=True)
class TiledUpscaleOptions:
    """How large the picture becomes, by what, and how far its tiles lie over one another."""

    sd_upscale: bool = parameter(
        False, "SD upscale", "Enlarge the picture, then draw it over in tiles of width x height that overlap."
    )
    sd_upscale_upscaler: str = parameter(
        "Lanczos",
        "Upscaler of SD upscale",
        "What enlarges before the tiles are drawn: Lanczos, Nearest, a network from models/upscalers, or None.",
        infotext="SD upscale upscaler",
    )
    sd_upscale_by: float = parameter(
        2.0,
        "Scale factor",
        "How many times as wide and as high the picture becomes.",
        infotext="SD upscale by",
        minimum=1.0,
        maximum=16.0,
        step=0.05,
        slider_maximum=4.0,
    )
    sd_upscale_overlap: int = parameter(
        64,
        "Tile overlap",
        "How many pixels neighbouring tiles share at least; they are blended there.",
        infotext="SD upscale overlap",
        minimum=0,
        maximum=2048,
        step=8,
        slider_maximum=256,
    )


TILED_UPSCALE_OPTIONS = ("sd_upscale", "sd_upscale_upscaler", "sd_upscale_by", "sd_upscale_overlap")
