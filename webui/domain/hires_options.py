"""The part of a request that draws a picture twice: small, as the model was trained, then enlarged and drawn over.

A network that is asked for much more than the size of its training pictures repeats itself: two heads, two horizons. "Hires
fix" lets it decide what is where at its own size, and adds the detail in a second pass that begins with the enlarged picture.
``denoising_strength`` says how much of that is drawn anew. The words and defaults are those of A1111's web UI.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from webui.domain.parameter import parameter

LATENT_UPSCALERS = (
    "Latent",
    "Latent (antialiased)",
    "Latent (bicubic)",
    "Latent (bicubic antialiased)",
    "Latent (nearest)",
    "Latent (nearest-exact)",
)


@dataclass(frozen=True, kw_only=True)
class HiresOptions:
    """How the second pass differs from the first. What is empty or 0 is as in the first."""

    hires: bool = parameter(False, "Hires fix", "Draw small first, then enlarge and draw over it with more detail.")
    hires_upscaler: str = parameter(
        "Latent",
        "Upscaler",
        "What enlarges: Latent stretches the unfinished picture and wants a denoising strength over 0.5; the others a picture.",
        infotext="Hires upscaler",
    )
    hires_scale: float = parameter(
        2.0,
        "Upscale by",
        "How many times as wide and as high.",
        infotext="Hires upscale",
        minimum=1.0,
        maximum=16.0,
        step=0.05,
        slider_maximum=4.0,
    )
    hires_width: int = parameter(
        0,
        "Resize width to",
        "A width instead of a factor; 0 follows from the height. If both are given, what is too much is cut.",
        minimum=0,
        maximum=8192,
        step=8,
        slider_maximum=2048,
    )
    hires_height: int = parameter(
        0,
        "Resize height to",
        "A height instead of a factor; 0 follows from the width.",
        minimum=0,
        maximum=8192,
        step=8,
        slider_maximum=2048,
    )
    hires_steps: int = parameter(
        0,
        "Hires steps",
        "Steps of the second pass; 0 takes as many as in the first.",
        infotext="Hires steps",
        minimum=0,
        maximum=1000,
        step=1,
        slider_maximum=150,
    )
    hires_sampler: str = parameter(
        "", "Hires sampling method", "The sampler of the second pass.", infotext="Hires sampler"
    )
    hires_schedule: str = parameter(
        "", "Hires schedule type", "The schedule of the second pass.", infotext="Hires schedule type"
    )
    hires_cfg_scale: float = parameter(
        0.0,
        "Hires CFG scale",
        "The CFG scale of the second pass; 0 takes that of the first.",
        infotext="Hires CFG Scale",
        minimum=0.0,
        maximum=100.0,
        step=0.5,
        slider_maximum=30.0,
    )
    hires_checkpoint: str = parameter(
        "", "Hires checkpoint", "The model that draws the second pass.", infotext="Hires checkpoint"
    )
    hires_prompt: str = parameter(
        "", "Hires prompt", "What to draw in the second pass; empty is as in the first.", infotext="Hires prompt"
    )
    hires_negative_prompt: str = parameter(
        "",
        "Hires negative prompt",
        "What to keep away from in the second pass; empty is as in the first.",
        infotext="Hires negative prompt",
    )

    @property
    def resizes_to(self) -> tuple[int, int]:
        """Width and height that were asked for; (0, 0) leaves it to the factor."""
        return self.hires_width, self.hires_height


HIRES_OPTIONS: tuple[str, ...] = tuple(field.name for field in dataclasses.fields(HiresOptions))
