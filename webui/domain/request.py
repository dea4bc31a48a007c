"""A generation, complete in itself: what to draw, how, and with which models.

Each parameter is declared ONCE, as a field of :class:`GenerationRequest` with its :class:`Parameter`
record. Form, API, command line, infotext and documentation read that record (``PARAMETERS``).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from webui.errors import InvalidRequest

SEED_RANGE = 2**32  # A1111 draws a random seed from 0 ... 4294967293; any 64-bit seed is accepted
LATENT_PIXELS = 8  # one latent is 8 x 8 pixels in every family


@dataclass(frozen=True)
class Parameter:
    """How one field is shown, bounded and written down.

    ``minimum`` and ``maximum`` are refused beyond; ``slider_maximum`` is where the form's slider ends when
    larger values, though allowed, are rarely wanted. ``infotext`` is the key in the ``parameters`` text of a
    picture (A1111's spelling), or None for what is not written under a key of its own.
    """

    name: str
    label: str
    default: Any
    help: str
    infotext: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    slider_maximum: float | None = None
    choices: tuple[str, ...] | None = None

    @property
    def type(self) -> type:
        return type(self.default)


def _parameter(default: Any, label: str, help: str, **more: Any) -> Any:
    return field(default=default, metadata={"label": label, "help": help, **more})


@dataclass(frozen=True, kw_only=True)
class GenerationRequest:
    """One job of one or more pictures. Frozen; change it with ``dataclasses.replace``.

    Values are checked on construction: a wrong type or a value out of range raises ``InvalidRequest``. Names (sampler,
    schedule, checkpoint, VAE) are checked where the tables and files are known: ``Runtime.generate``.
    """

    prompt: str = _parameter("", "Prompt", "What to draw. (word:1.2) stresses, [word] weakens.")
    negative_prompt: str = _parameter("", "Negative prompt", "What to keep away from.")
    steps: int = _parameter(
        20,
        "Sampling steps",
        "How often the noise predictor is asked.",
        infotext="Steps",
        minimum=1,
        maximum=1000,
        step=1,
        slider_maximum=150,
    )
    sampler: str = _parameter("DPM++ 2M", "Sampling method", "How predicted noise is subtracted.", infotext="Sampler")
    schedule: str = _parameter(
        "Automatic",
        "Schedule type",
        "How much noise is left after each step. Automatic takes the sampler's own.",
        infotext="Schedule type",
    )
    cfg_scale: float = _parameter(
        7.0,
        "CFG scale",
        "How strictly to follow the prompt: 0 ignores it, 1 is the prompt alone.",
        infotext="CFG scale",
        minimum=0.0,
        maximum=100.0,
        step=0.5,
        slider_maximum=30.0,
    )
    seed: int = _parameter(
        -1,
        "Seed",
        "The same seed gives the same noise; -1 draws one at random.",
        infotext="Seed",
        minimum=-1,
        maximum=2**63 - 1,
        step=1,
    )
    width: int = _parameter(
        512, "Width", "In pixels, a multiple of 8.", minimum=64, maximum=8192, step=8, slider_maximum=2048
    )
    height: int = _parameter(
        512, "Height", "In pixels, a multiple of 8.", minimum=64, maximum=8192, step=8, slider_maximum=2048
    )
    batch_count: int = _parameter(
        1,
        "Batch count",
        "How many batches, one after another.",
        minimum=1,
        maximum=1000,
        step=1,
        slider_maximum=100,
    )
    batch_size: int = _parameter(
        1,
        "Batch size",
        "How many pictures at once; each is the same as if drawn alone.",
        minimum=1,
        maximum=64,
        step=1,
        slider_maximum=8,
    )
    checkpoint: str = _parameter(
        "", "Checkpoint", "The model that draws. Empty takes the default one.", infotext="Model"
    )
    checkpoint_hash: str = _parameter(
        "", "Checkpoint hash", "First 10 hex digits of the file's SHA-256.", infotext="Model hash"
    )
    vae: str = _parameter(
        "Automatic",
        "VAE",
        "The decoder. Automatic takes a file named like the checkpoint, else the checkpoint's own.",
        infotext="VAE",
    )
    vae_hash: str = _parameter("", "VAE hash", "First 10 hex digits of the file's SHA-256.", infotext="VAE hash")
    variation_seed: int = _parameter(
        -1,
        "Variation seed",
        "A second seed to mix in; -1 draws one at random.",
        infotext="Variation seed",
        minimum=-1,
        maximum=2**63 - 1,
        step=1,
    )
    variation_strength: float = _parameter(
        0.0,
        "Variation strength",
        "0 keeps the seed's noise, 1 takes the variation seed's.",
        infotext="Variation seed strength",
        minimum=0.0,
        maximum=1.0,
        step=0.01,
    )
    seed_resize_width: int = _parameter(
        0,
        "Resize seed from width",
        "Draw the noise at this width and paste it centred; 0 is off.",
        minimum=0,
        maximum=8192,
        step=8,
        slider_maximum=2048,
    )
    seed_resize_height: int = _parameter(
        0,
        "Resize seed from height",
        "Draw the noise at this height and paste it centred; 0 is off.",
        minimum=0,
        maximum=8192,
        step=8,
        slider_maximum=2048,
    )
    clip_skip: int = _parameter(
        1,
        "Clip skip",
        "Which layer of the text encoder, counted from the last.",
        infotext="Clip skip",
        minimum=1,
        maximum=12,
        step=1,
    )
    ensd: int = _parameter(
        0,
        "Eta noise seed delta",
        "Added to the seed for the noise that ancestral samplers add.",
        infotext="ENSD",
        minimum=0,
        maximum=2**32 - 1,
        step=1,
    )
    rng: str = _parameter(
        "NV",
        "Random number source",
        "NV draws NVIDIA's stream on every device; GPU draws on the device in use; CPU draws torch's CPU stream.",
        infotext="RNG",
        choices=("NV", "GPU", "CPU"),
    )

    def __post_init__(self) -> None:
        for parameter in PARAMETERS.values():
            value = _checked(parameter, getattr(self, parameter.name))
            object.__setattr__(self, parameter.name, value)
        for name in ("width", "height", "seed_resize_width", "seed_resize_height"):
            value = getattr(self, name)
            if value % LATENT_PIXELS:
                near = max(LATENT_PIXELS, round(value / LATENT_PIXELS) * LATENT_PIXELS)
                raise InvalidRequest(
                    f"{PARAMETERS[name].label} must be a multiple of {LATENT_PIXELS}, not {value}. Try {near}.", name
                )

    @property
    def picture_count(self) -> int:
        return self.batch_count * self.batch_size

    def picture(self, index: int) -> GenerationRequest:
        """The request that draws picture ``index`` of this one alone.

        A1111's rule: picture i has seed + i; with a variation strength all share the seed and have variation seed + i.
        The seeds must have been drawn already (no -1).
        """
        alone = dataclasses.replace(self, batch_count=1, batch_size=1)
        if self.variation_strength:
            return dataclasses.replace(alone, variation_seed=self.variation_seed + index)
        return dataclasses.replace(alone, seed=self.seed + index)


def _checked(parameter: Parameter, value: Any) -> Any:
    """The value in the parameter's type, or ``InvalidRequest``. A whole float is an int; nothing else is converted."""
    wanted, label = parameter.type, parameter.label
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if wanted is int and isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, wanted) or isinstance(value, bool) is not (wanted is bool):
        noun = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}[wanted]
        raise InvalidRequest(f"{label} must be {noun}, not {value!r}.", parameter.name)
    if parameter.choices is not None and value not in parameter.choices:
        raise InvalidRequest(f"{label} must be one of {', '.join(parameter.choices)}, not {value!r}.", parameter.name)
    if parameter.minimum is not None and parameter.maximum is not None:
        number: Any = value
        if not parameter.minimum <= number <= parameter.maximum:  # written so that it refuses NaN too
            low, high = (int(end) if end == int(end) else end for end in (parameter.minimum, parameter.maximum))
            raise InvalidRequest(f"{label} must be between {low} and {high}, not {value}.", parameter.name)
    return value


PARAMETERS: Mapping[str, Parameter] = MappingProxyType(
    {
        declared.name: Parameter(name=declared.name, default=declared.default, **declared.metadata)
        for declared in dataclasses.fields(GenerationRequest)
    }
)


def to_dict(request: GenerationRequest) -> dict[str, Any]:
    """The request as plain JSON values, for storage and transport."""
    return dataclasses.asdict(request)


def from_dict(values: Mapping[str, Any]) -> GenerationRequest:
    """The inverse of :func:`to_dict`. An unknown key raises ``InvalidRequest``; a missing one takes its default."""
    unknown = sorted(set(values) - set(PARAMETERS))
    if unknown:
        raise InvalidRequest(f"Unknown parameter {unknown[0]!r}.", unknown[0])
    return GenerationRequest(**values)
