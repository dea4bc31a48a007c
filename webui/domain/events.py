"""What a running job tells, as plain values that climb by ``yield`` from the engine to the page."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Loading:
    """A model is being brought into memory. ``fraction`` is 0 ... 1."""

    text: str
    fraction: float


@dataclass(frozen=True)
class Step:
    """The noise predictor has been asked once more.

    ``step`` counts from 1 to ``steps`` within the batch (network evaluations, so Heun counts twice), or to a number that
    is not known beforehand where ``steps`` is 0 (DPM adaptive); ``batch`` counts from 0 to ``batches`` - 1; ``sigma`` is
    the noise level that the step started from.
    """

    step: int
    steps: int
    batch: int
    batches: int
    sigma: float


@dataclass(frozen=True)
class Preview:
    """What the picture would be if the sampler stopped here, as JPEG bytes."""

    jpeg: bytes
    step: int
    batch: int


@dataclass(frozen=True)
class Notice:
    """Something the user should know though the job goes on ("decoded in tiles, because memory ran out")."""

    text: str


@dataclass(frozen=True)
class Saved:
    """A picture is on disk. ``path`` is relative to the outputs folder, with forward slashes."""

    index: int
    seed: int
    path: str
    infotext: str
    width: int
    height: int


JobEvent = Loading | Step | Preview | Notice | Saved
