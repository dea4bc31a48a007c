"""The part of a request that hands an unfinished picture on to a second model, a "refiner", for the last steps.

SDXL was published in two parts (arXiv 2307.01952, section 2.5): the base model decides what is where, and the refiner, which
was trained on the lower noise levels only, draws the detail. Any other checkpoint whose latents are alike may stand in its place.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from webui.domain.parameter import parameter


@dataclass(frozen=True, kw_only=True)
class RefinerOptions:
    """Which model draws the last steps, from when on, and what a refiner is told of the picture."""

    refiner_checkpoint: str = parameter(
        "", "Refiner", "A second checkpoint that draws the last steps; empty is none.", infotext="Refiner"
    )
    refiner_switch_at: float = parameter(
        0.8,
        "Switch at",
        "From when on the refiner draws, as a share of the noise that training knew: 0.8 is when little of it is left.",
        infotext="Refiner switch at",
        minimum=0.0,
        maximum=1.0,
        step=0.01,
    )
    aesthetic_score: float = parameter(
        6.0,
        "Aesthetic score",
        "How beautiful SDXL's refiner is told that the picture is, of 10.",
        infotext="Aesthetic score",
        minimum=0.0,
        maximum=10.0,
        step=0.1,
    )
    negative_aesthetic_score: float = parameter(
        2.5,
        "Negative aesthetic score",
        "The same for the picture that the negative prompt leads away from.",
        infotext="Negative aesthetic score",
        minimum=0.0,
        maximum=10.0,
        step=0.1,
    )

    @property
    def refines(self) -> bool:
        """Whether a second model is to draw at all: at 1 its turn never comes."""
        return self.refiner_checkpoint not in ("", "None") and self.refiner_switch_at < 1


REFINER_OPTIONS: tuple[str, ...] = tuple(field.name for field in dataclasses.fields(RefinerOptions))
