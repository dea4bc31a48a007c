"""What can be said of a model file at a glance, and the names of kinds and families."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from webui.library.formats import TensorInfo

LATENT_CHANNELS = 4

# how wide the states of the text encoder(s) are that the U-Net's cross-attention reads
FAMILY_BY_CONTEXT_WIDTH = {768: "sd1", 1024: "sd2", 1280: "sdxl-refiner", 2048: "sdxl"}
FAMILY_TITLES = {
    "sd1": "Stable Diffusion 1",
    "sd2": "Stable Diffusion 2",
    "sdxl": "SDXL",
    "sdxl-refiner": "SDXL refiner",
    "sd3": "Stable Diffusion 3",
    "flux": "Flux",
    "video": "video",
}
# family -> its text encoders: what an embedding and other programs call them -> what diffusers does
TEXT_ENCODERS: Mapping[str, Mapping[str, str]] = {
    "sd1": {"clip_l": "text_encoder"},
    "sd2": {"clip_h": "text_encoder"},
    "sdxl": {"clip_l": "text_encoder", "clip_g": "text_encoder_2"},
    "sdxl-refiner": {"clip_g": "text_encoder_2"},
}
KIND_TITLES = {
    "checkpoint": "checkpoint",
    "vae": "VAE",
    "lora": "LoRA",
    "embedding": "embedding",
    "hypernetwork": "hypernetwork",
    "upscaler": "upscaler",
    "taesd": "TAESD",
    "controlnet": "ControlNet",
}


@dataclass(frozen=True)
class Identity:
    """``kind`` is "" when nothing is recognised; the other fields are as in ``ModelFile``.

    ``prediction_type`` "" of a checkpoint: the file does not tell, so it is measured when it is loaded.
    ``zero_terminal_snr``: the last training step was pure noise, so the noise schedule must be rescaled to end there.
    """

    kind: str
    family: str = "unknown"
    layout: str = "original"
    prediction_type: str = ""
    zero_terminal_snr: bool = False
    problem: str = ""


def not_supported(family: str, label: str) -> Identity:
    """A checkpoint of a family that cannot be used."""
    title = FAMILY_TITLES.get(family)
    problem = (
        f"{label} is a checkpoint of a family that Lucid does not know."
        if title is None
        else f"{label} cannot be used: {title} checkpoints are not supported yet."
    )
    return Identity("checkpoint", family, problem=problem)


def family_by_context(tensors: Mapping[str, TensorInfo]) -> str:
    return FAMILY_BY_CONTEXT_WIDTH.get(context_width(tensors), "unknown")


def context_width(tensors: Mapping[str, TensorInfo]) -> int:
    """The width of the text states that cross-attention reads: ``attn2.to_k`` is (inner width, context width)."""
    for key, info in tensors.items():
        if key.endswith(".attn2.to_k.weight") and not key.startswith("model_ema.") and len(info.shape) == 2:
            return info.shape[1]
    return 0


def any_starts(keys: Iterable[str], *prefixes: str) -> bool:
    return any(key.startswith(prefixes) for key in keys)
