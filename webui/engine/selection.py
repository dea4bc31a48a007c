"""Which model files a request runs with."""

from __future__ import annotations

from dataclasses import dataclass, replace

from webui.library.model_file import ModelFile


@dataclass(frozen=True)
class AdapterUse:
    """A LoRA or one of its kin, with the strengths at which it changes text encoder and U-Net.

    ``dyn`` bounds the rank of LoRA layers; None uses all of it.
    """

    file: ModelFile
    te: float = 1.0
    unet: float = 1.0
    dyn: int | None = None


@dataclass(frozen=True)
class HypernetworkUse:
    """A hypernetwork and how strongly it acts; 1 as it was trained."""

    file: ModelFile
    strength: float = 1.0


@dataclass(frozen=True)
class Selection:
    """The model files that a request runs with. ``vae`` None is the checkpoint's own, ``taesd`` None has no preview.

    ``embeddings`` are those whose names the prompts may use. ``hypernetworks`` act one after another in this order.
    ``refiner`` is a second checkpoint, for the last steps.
    """

    checkpoint: ModelFile
    vae: ModelFile | None = None
    taesd: ModelFile | None = None
    embeddings: tuple[ModelFile, ...] = ()
    hypernetworks: tuple[HypernetworkUse, ...] = ()
    adapters: tuple[AdapterUse, ...] = ()
    upscaler: ModelFile | None = None
    refiner: ModelFile | None = None

    @property
    def of_refiner(self) -> Selection | None:
        """What the refiner draws with. Only one of the checkpoint's own family can carry the same adapters."""
        if self.refiner is None:
            return None
        if self.refiner.family == self.checkpoint.family:
            return replace(self, checkpoint=self.refiner, refiner=None)
        return replace(self, checkpoint=self.refiner, refiner=None, adapters=(), hypernetworks=())
