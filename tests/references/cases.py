"""Which runs are recorded: what the script that records and the tests that compare must agree on."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

SHAPE = (4, 2, 2)
SEEDS = (7, 2**32 + 11)
STEPS = (4, 7, 20)
FEW = (2, 3)  # on the sampler's own schedule; with a single step some of the originals fail
SCHEDULES = (
    *("Uniform", "Karras", "Exponential", "Polyexponential", "SGM Uniform", "KL Optimal", "Align Your Steps"),
    *("Simple", "Normal", "DDIM", "Beta", "Turbo", "Align Your Steps GITS", "Align Your Steps 32", "Linear Quadratic"),
    "Beta (ComfyUI)",
)

# in the runs of ComfyUI's and Forge's samplers
PROGRAM_SCHEDULES = ("Karras", "SGM Uniform")
PROGRAM_STEPS = (3, 4, 7, 20)
TIMESTEP_STEPS = (4, 7, 20, 30)

STRENGTHS = (0.3, 0.5, 0.75, 1.0)
INIT = torch.linspace(-1.5, 1.5, 16).reshape(SHAPE)


def skip_of(strength: float, steps: int = 20) -> int:
    """How many of the steps img2img leaves out at the start. A1111's arithmetic."""
    return steps - int(min(strength, 0.999) * steps) - 1


def relative_error(found: Tensor, right: Tensor) -> Tensor:
    """|found − right| / |right| of each picture (..., pictures, 4, h, w), and of these the greatest (...)."""
    difference = (found.double() - right.double()).flatten(-3).norm(dim=-1)
    return (difference / right.double().flatten(-3).norm(dim=-1)).amax(-1)


CHURN: dict[str, Any] = {"s_churn": 6.0, "s_tmin": 0.05, "s_tmax": 9.0, "s_noise": 1.02}
OPTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    *((sampler, CHURN) for sampler in ("Euler", "Heun", "DPM2")),
    *(
        (sampler, options)
        for sampler in (
            "Euler a",
            "DPM2 a",
            "DPM++ 2S a",
            "DPM++ SDE",
            "DPM++ 2M SDE",
            "DPM++ 2M SDE Heun",
            "DPM++ 3M SDE",
        )
        for options in ({"eta": 0.5, "s_noise": 1.02}, {"eta": 0.0})
    ),
    ("DPM fast", {"eta": 0.5, "s_noise": 1.02}),
    ("DPM fast", {"eta": 0.0}),
    ("DPM adaptive", {"eta": 0.5, "s_noise": 1.02}),
    ("DPM adaptive", {"eta": 0.0}),
)
