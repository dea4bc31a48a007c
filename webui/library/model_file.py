"""``ModelFile``: what is known of one model on disk without reading its tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from webui.errors import IncompatibleModel, WebUIError


@dataclass(frozen=True)
class ModelFile:
    """One entry of the library. Frozen; a changed file becomes another entry at the next scan.

    ``kind``: "checkpoint", "vae", "lora", "embedding", "hypernetwork", "upscaler", "taesd" or "controlnet".
    ``name``: unique within its kind; the stem, or the path below the model folder where two stems are the same.
    ``path``: the file, or the folder of a model in diffusers layout.
    ``family``: "sd1", "sd2", "sdxl", "sdxl-refiner" ... or "unknown".
    ``layout``: "original" or "diffusers", that is, whose tensor names are used.
    ``prediction_type``: "epsilon" or "v_prediction", what the U-Net was taught to predict; "" for what has no U-Net, and where
    the file does not tell (Stable Diffusion 2): then it is measured when the checkpoint is loaded.
    ``configs``: of "unet", "vae", "text_encoder", "text_encoder_2" and "scheduler", as far as the file has them, in diffusers'
    terms; of "embedding" and "hypernetwork" what ``library/embeddings.py`` and ``library/hypernetworks.py`` say.
    ``size``, ``mtime_ns``: bytes and time of change; together with the path they tell whether the file is still the same.
    ``native_size``: the side in pixels that the U-Net was trained at; 0 for what has no U-Net.
    ``suggested``: generation parameters that suit the model, by their names in ``GenerationRequest``.
    ``about``: what it tells people, as ``library/about.py`` says.
    ``preview``: a picture that lies beside the file and has its name.
    ``problem``: "" when usable, else the sentence that says why not; ``error`` is the class to raise it with.
    """

    kind: str
    name: str
    path: Path
    size: int
    mtime_ns: int
    family: str = "unknown"
    layout: str = "original"
    prediction_type: str = ""
    configs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    native_size: int = 0
    suggested: Mapping[str, Any] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)
    preview: Path | None = None
    problem: str = ""
    error: type[WebUIError] = IncompatibleModel
