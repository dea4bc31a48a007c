"""A generation, complete in itself: what to draw, how, and with which models.

Each parameter is declared ONCE, as a field of :class:`GenerationRequest` with its :class:`Parameter`
record. Form, API, command line, infotext and documentation read that record (``PARAMETERS``). What a picture is for, where
one is drawn over, stands in :mod:`webui.domain.picture_options`; the finer choices about sampling, most of which are rarely
touched, in :mod:`webui.domain.sampling_options`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from webui.domain.hires_options import HIRES_OPTIONS, HiresOptions
from webui.domain.loopback_options import strength_of_loop
from webui.domain.parameter import Parameter, parameter
from webui.domain.picture_options import PICTURE_OPTIONS, PictureOptions
from webui.domain.refiner_options import REFINER_OPTIONS, RefinerOptions
from webui.domain.sampling_options import SAMPLING_OPTIONS, SamplingOptions
from webui.errors import InvalidRequest, did_you_mean

__all__ = ["PARAMETERS", "GenerationRequest", "Parameter", "from_dict", "to_dict"]

SEED_RANGE = 2**32  # A1111 draws a random seed from 0 ... 4294967293; any 64-bit seed is accepted
LATENT_PIXELS = 8  # one latent is 8 x 8 pixels in every family


@dataclass(frozen=True, kw_only=True)
class GenerationRequest(PictureOptions, HiresOptions, RefinerOptions, SamplingOptions):
    """One job of one or more pictures. Frozen; change it with ``dataclasses.replace``.

    Values are checked on construction: a wrong type or a value out of range raises ``InvalidRequest``. Names (sampler,
    schedule, checkpoint, VAE) are checked where the tables and files are known: ``Runtime.generate``.
    """

    prompt: str = parameter("", "Prompt", "What to draw. (word:1.2) stresses, [word] weakens.")
    negative_prompt: str = parameter("", "Negative prompt", "What to keep away from.")
    styles: tuple[str, ...] = parameter((), "Styles", "Names of styles to put into both prompts, one after another.")
    steps: int = parameter(
        20,
        "Sampling steps",
        "How often the noise predictor is asked.",
        infotext="Steps",
        minimum=1,
        maximum=1000,
        step=1,
        slider_maximum=150,
    )
    sampler: str = parameter("DPM++ 2M", "Sampling method", "How predicted noise is subtracted.", infotext="Sampler")
    schedule: str = parameter(
        "Automatic",
        "Schedule type",
        "How much noise is left after each step. Automatic takes the sampler's own.",
        infotext="Schedule type",
    )
    cfg_scale: float = parameter(
        7.0,
        "CFG scale",
        "How strictly to follow the prompt: 0 ignores it, 1 is the prompt alone.",
        infotext="CFG scale",
        minimum=0.0,
        maximum=100.0,
        step=0.5,
        slider_maximum=30.0,
    )
    seed: int = parameter(
        -1,
        "Seed",
        "The same seed gives the same noise; -1 draws one at random.",
        infotext="Seed",
        minimum=-1,
        maximum=2**63 - 1,
        step=1,
    )
    width: int = parameter(
        512, "Width", "In pixels, a multiple of 8.", minimum=64, maximum=8192, step=8, slider_maximum=2048
    )
    height: int = parameter(
        512, "Height", "In pixels, a multiple of 8.", minimum=64, maximum=8192, step=8, slider_maximum=2048
    )
    batch_count: int = parameter(
        1,
        "Batch count",
        "How many batches, one after another.",
        minimum=1,
        maximum=1000,
        step=1,
        slider_maximum=100,
    )
    batch_size: int = parameter(
        1,
        "Batch size",
        "How many pictures at once; each is the same as if drawn alone.",
        minimum=1,
        maximum=64,
        step=1,
        slider_maximum=8,
    )
    checkpoint: str = parameter(
        "", "Checkpoint", "The model that draws. Empty takes the default one.", infotext="Model"
    )
    checkpoint_hash: str = parameter(
        "", "Checkpoint hash", "First 10 hex digits of the file's SHA-256.", infotext="Model hash"
    )
    vae: str = parameter(
        "Automatic",
        "VAE",
        "The decoder. Automatic takes a file named like the checkpoint, else the checkpoint's own.",
        infotext="VAE",
    )
    vae_hash: str = parameter("", "VAE hash", "First 10 hex digits of the file's SHA-256.", infotext="VAE hash")
    lora_hashes: str = parameter(
        "",
        "LoRA hashes",
        "Which files the LoRAs in the prompt are: name: hash, name: hash. Lucid fills it in.",
        infotext="Lora hashes",
    )
    ti_hashes: str = parameter(
        "",
        "Embedding hashes",
        "Which files the embeddings in the prompts are: name: hash, name: hash. Lucid fills it in.",
        infotext="TI hashes",
    )
    variation_seed: int = parameter(
        -1,
        "Variation seed",
        "A second seed to mix in; -1 draws one at random.",
        infotext="Variation seed",
        minimum=-1,
        maximum=2**63 - 1,
        step=1,
    )
    variation_strength: float = parameter(
        0.0,
        "Variation strength",
        "0 keeps the seed's noise, 1 takes the variation seed's.",
        infotext="Variation seed strength",
        minimum=0.0,
        maximum=1.0,
        step=0.01,
    )
    seed_resize_width: int = parameter(
        0,
        "Resize seed from width",
        "Draw the noise at this width and paste it centred; 0 is off.",
        minimum=0,
        maximum=8192,
        step=8,
        slider_maximum=2048,
    )
    seed_resize_height: int = parameter(
        0,
        "Resize seed from height",
        "Draw the noise at this height and paste it centred; 0 is off.",
        minimum=0,
        maximum=8192,
        step=8,
        slider_maximum=2048,
    )
    clip_skip: int = parameter(
        1,
        "Clip skip",
        "Which layer of the text encoder, counted from the last.",
        infotext="Clip skip",
        minimum=1,
        maximum=12,
        step=1,
    )
    emphasis: str = parameter(
        "Original",
        "Emphasis",
        "What (word:1.2) does: No norm lets it change the strength of the rest too, Ignore does without, None reads letters.",
        infotext="Emphasis",
        choices=("Original", "No norm", "Ignore", "None"),
    )
    old_timelines: bool = parameter(
        False,
        "Old prompt editing timelines",
        "Count steps in [from:to:when] as A1111 did before 1.6: below 1 a share of the steps, with or without a point.",
        infotext="Old prompt editing timelines",
    )
    ensd: int = parameter(
        0,
        "Eta noise seed delta",
        "Added to the seed for the noise that ancestral samplers add.",
        infotext="ENSD",
        minimum=0,
        maximum=2**32 - 1,
        step=1,
    )
    rng: str = parameter(
        "NV",
        "Random number source",
        "NV draws NVIDIA's stream on every device; GPU draws on the device in use; CPU draws torch's CPU stream.",
        infotext="RNG",
        choices=("NV", "GPU", "CPU"),
    )

    def __post_init__(self) -> None:
        for name, declared in PARAMETERS.items():
            object.__setattr__(self, name, declared.checked(getattr(self, name)))
        self.check_eta()
        self.check_ground()
        for name in ("width", "height", "seed_resize_width", "seed_resize_height"):
            value = getattr(self, name)
            if value % LATENT_PIXELS:
                near = max(LATENT_PIXELS, round(value / LATENT_PIXELS) * LATENT_PIXELS)
                raise InvalidRequest(
                    f"{PARAMETERS[name].label} must be a multiple of {LATENT_PIXELS}, not {value}. Try {near}.", name
                )

    @property
    def draws_twice(self) -> bool:
        """Hires fix, which begins with no picture."""
        return self.hires and not self.has_picture

    @property
    def runs(self) -> int:
        """How many times a worker begins: with each batch, or with each picture that it draws over and over."""
        runs = self.batch_count * self.batch_size if self.loops_back else self.batch_count
        return runs * max(1, len(self.batch_entries))

    @property
    def pictures_per_run(self) -> int:
        return self.loops if self.loops_back else self.batch_size

    @property
    def picture_count(self) -> int:
        return self.runs * self.pictures_per_run

    def of_entry(self, place: int) -> GenerationRequest:
        """The request that draws over the picture at that place of ``batch_pictures`` alone."""
        return dataclasses.replace(self, batch_pictures="", **self.batch_entries[place])

    def picture(self, index: int) -> GenerationRequest:
        """The request that draws picture ``index`` of this one alone.

        A1111's rule: picture i has seed + i; with a variation strength all share the seed and have variation seed + i, but
        not the loops of loopback. The seeds must have been drawn already (no -1). A loop after the first begins with the
        picture before it, which no request can know: its ``init_image`` is put in when that is drawn.
        """
        if self.batch_entries:
            of_each = self.picture_count // len(self.batch_entries)
            return self.of_entry(index // of_each).picture(index % of_each)
        alone = dataclasses.replace(self, batch_count=1, batch_size=1, loops=1 if self.loops_back else self.loops)
        if self.loops_back:
            loop = index % self.loops
            first, final, curve = self.denoising_strength, self.final_denoising_strength, self.denoising_curve
            return dataclasses.replace(
                alone,
                seed=self.seed + index,
                denoising_strength=strength_of_loop(first, final, loop, self.loops, curve),
                masked_content="original" if loop else self.masked_content,
            )
        if self.variation_strength:
            return dataclasses.replace(alone, variation_seed=self.variation_seed + index)
        return dataclasses.replace(alone, seed=self.seed + index)


_OTHERS = (*HIRES_OPTIONS, *REFINER_OPTIONS, *PICTURE_OPTIONS, *SAMPLING_OPTIONS)


def _declared() -> dict[str, Parameter]:
    """The request's own parameters first, in the order in which they stand above, then those of the modules that it names."""
    fields = {field.name: field for field in dataclasses.fields(GenerationRequest)}
    own = [name for name in fields if name not in _OTHERS]
    return {
        name: Parameter(name=name, default=fields[name].default, **fields[name].metadata) for name in (*own, *_OTHERS)
    }


PARAMETERS: Mapping[str, Parameter] = MappingProxyType(_declared())


def to_dict(request: GenerationRequest) -> dict[str, Any]:
    """The request as plain JSON values, for storage and transport."""
    return dataclasses.asdict(request)


def from_dict(values: Mapping[str, Any]) -> GenerationRequest:
    """The inverse of :func:`to_dict`. An unknown key raises ``InvalidRequest``; a missing one takes its default."""
    unknown = sorted(set(values) - set(PARAMETERS))
    if unknown:
        raise InvalidRequest(
            f'There is no parameter "{unknown[0]}". {did_you_mean(unknown[0], PARAMETERS)}', unknown[0]
        )
    return GenerationRequest(**values)
