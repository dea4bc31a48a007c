"""In which order an infotext names its fields.

AUTOMATIC1111's web UI writes them so, and readers lean on it: some want ``Steps`` first, and all that hold hashes are
looked for near the end. A key that is in no table here is written where extensions write theirs: after the settings,
before the hashes.
"""

from __future__ import annotations

from collections.abc import Mapping

SETTINGS: tuple[str, ...] = (
    "Steps",
    "Sampler",
    "Schedule type",
    "CFG scale",
    "Image CFG scale",
    "Distilled CFG Scale",
    "Seed",
    "Face restoration",
    "Size",
    "Model hash",
    "Model",
    "FP8 weight",
    "Cache FP16 weight for LoRA",
    "VAE hash",
    "VAE",
    "Variation seed",
    "Variation seed strength",
    "Seed resize from",
    "Denoising strength",
    "Conditional mask weight",
    "Clip skip",
    "ENSD",
    "Token merging ratio",
    "Token merging ratio hr",
    "Init image hash",
    "Mask hash",
    "RNG",
    "Tiling",
    # the second pass at a larger size ("hires fix") and the second model ("refiner")
    "Hires upscale",
    "Hires resize",
    "Hires steps",
    "Hires upscaler",
    "Hires sampler",
    "Hires schedule type",
    "Hires checkpoint",
    "Hires CFG Scale",
    "Hires prompt",
    "Hires negative prompt",
    "Refiner",
    "Refiner switch at",
    "Hires refiner",
    "Refiner switch by sampling steps",
    "Aesthetic score",
    "Negative aesthetic score",
    # what is painted over, and how
    "Resize mode",
    "Exact steps",
    "Transparent ground",
    "Color correction",
    "Extend left",
    "Extend right",
    "Extend up",
    "Extend down",
    "Extend fill",
    "Mask blur",
    "Mask mode",
    "Inpaint area",
    "Masked area padding",
    "Masked content",
    "Noise multiplier",
    "Extra noise",
    "Loops",
    "Loop",
    "Final denoising strength",
    "Denoising curve",
    "SD upscale overlap",
    "SD upscale upscaler",
    "SD upscale by",
    "Mask rounding",
    "Soft inpainting enabled",
    "Soft inpainting schedule bias",
    "Soft inpainting preservation strength",
    "Soft inpainting transition contrast boost",
    "Soft inpainting mask influence",
    "Soft inpainting difference threshold",
    "Soft inpainting difference contrast",
    # what is written only where it was changed from its default
    "Eta",
    "Eta DDIM",
    "Sigma churn",
    "Sigma tmin",
    "Sigma tmax",
    "Sigma noise",
    "Schedule min sigma",
    "Schedule max sigma",
    "Schedule rho",
    "Beta schedule alpha",
    "Beta schedule beta",
    "Discard penultimate sigma",
    "Custom sigmas",
    "SGM noise multiplier",
    "Skip Early CFG",
    "NGMS",
    "NGMS all steps",
    "CFG rescale",
    "Pad conds",
    "Pad conds v0",
    "Emphasis",
    "Noise Schedule",
    "Prediction type",
    "Downcast alphas_cumprod",
    "Old prompt editing timelines",
    "VAE Encoder",
    "VAE Decoder",
    "UniPC variant",
    "UniPC skip type",
    "UniPC order",
    "UniPC lower order final",
    # families of keys: everything that begins so, in the order given
    "ADetailer",
    "ControlNet",
    "Script",
    "X Type",
    "X Values",
    "Fixed X Values",
    "Y Type",
    "Y Values",
    "Fixed Y Values",
    "Z Type",
    "Z Values",
    "Fixed Z Values",
    "Batch size",
    "Batch count",
)

HASHES_AND_ORIGIN: tuple[str, ...] = (
    "Lora hashes",
    "TI hashes",
    "Hashes",
    "Civitai resources",
    "Civitai metadata",
    "Exact prompt",
    "Exact negative prompt",
    "Version",
    "User",
)

FAMILIES: tuple[str, ...] = ("ADetailer", "ControlNet")

_UNKNOWN = len(SETTINGS)
_RANKS: Mapping[str, int] = {key: rank for rank, key in enumerate((*SETTINGS, "", *HASHES_AND_ORIGIN))}


def _rank(key: str) -> int:
    if key in _RANKS:
        return _RANKS[key]
    family = key.split(" ", 1)[0]
    return _RANKS[family] if family in FAMILIES else _UNKNOWN


def in_order(fields: Mapping[str, str]) -> dict[str, str]:
    """The same fields, each at its place; what shares a place keeps the order that it came in."""
    return dict(sorted(fields.items(), key=lambda field: _rank(field[0])))
