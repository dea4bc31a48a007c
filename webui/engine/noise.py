"""The noise that a picture begins as, and the noise that some samplers add on the way.

Each picture has a generator of its own, so that it is the same alone and in a batch, and no draw touches a global seed.
The rules are AUTOMATIC1111's (its ``ImageRNG``), so that its seeds give its noise:

- The first noise is one draw of the seed, of shape (channels, height / 8, width / 8).
- A variation strength above 0 turns it towards the noise of the variation seed, along the arc between them.
- "Resize seed from" draws at another size and pastes the result centred, so that a picture's layout survives a new size.
- What a sampler adds later continues the same stream, or, with an eta noise seed delta (ENSD), starts from seed + ENSD.
- Samplers that want a Brownian path have one of the seed, without ENSD, over the noise levels of the whole schedule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import torch
from torch import Tensor

from webui.domain.request import LATENT_PIXELS, GenerationRequest
from webui.engine.brownian import BrownianNoise, BrownianPath, bounds
from webui.engine.philox import PhiloxGenerator

Shape = tuple[int, int, int]
Draw = Callable[[tuple[int, ...]], Tensor]
"""Standard normal numbers of a shape, float32; each call continues the stream."""


def generator(seed: int, source: str, device: torch.device) -> Draw:
    """The stream of a seed; what it draws lies on ``device``.

    ``source`` is "NV" (the stream of an NVIDIA card, the same on every device), "CPU" (torch's on the CPU, the same on
    every device) or "GPU" (torch's own on ``device``). Apple's MPS has no stream worth keeping: there "GPU" is "CPU".
    """
    if source == "NV":
        philox = PhiloxGenerator(seed)
        return lambda shape: torch.from_numpy(philox.randn(shape)).to(device)
    if source not in ("CPU", "GPU"):
        raise ValueError(f"random number source {source!r}: NV, CPU or GPU")
    place = torch.device("cpu") if source == "CPU" or device.type == "mps" else device
    stream = torch.Generator(place).manual_seed(seed)
    return lambda shape: torch.randn(shape, generator=stream, device=place).to(device)


class PictureNoise:
    """All random numbers of one picture, float32 on ``device``.

    ``shape`` is (channels, height, width) in latents; ``resize_from`` is (height, width) in latents, or None.
    """

    def __init__(
        self,
        seed: int,
        shape: Shape,
        device: torch.device,
        *,
        source: str = "NV",
        variation_seed: int = 0,
        variation_strength: float = 0.0,
        resize_from: tuple[int, int] | None = None,
        ensd: int = 0,
    ) -> None:
        self.shape = shape
        self._seed, self._source, self._device = seed, source, device
        self._variation_seed, self._variation_strength = variation_seed, variation_strength
        self._first_shape: Shape = shape if resize_from is None else (shape[0], *resize_from)
        self._ensd = ensd
        self._draw = self._generator(seed)

    @classmethod
    def of(cls, picture: GenerationRequest, channels: int, device: torch.device) -> PictureNoise:
        """For a request of a single picture whose seeds are drawn (``request.picture(index)``)."""
        height, width = picture.seed_resize_height // LATENT_PIXELS, picture.seed_resize_width // LATENT_PIXELS
        return cls(
            picture.seed,
            (channels, picture.height // LATENT_PIXELS, picture.width // LATENT_PIXELS),
            device,
            source=picture.rng,
            variation_seed=picture.variation_seed,
            variation_strength=picture.variation_strength,
            resize_from=(height, width) if height and width else None,
            ensd=picture.ensd,
        )

    def first(self) -> Tensor:
        """What the picture begins as; the same tensor whenever it is asked for."""
        return self._first

    def next(self) -> Tensor:
        """Fresh noise for a sampler that adds some, of shape ``shape``."""
        return self._sampling(self.shape)

    def path(self, low: float, high: float) -> BrownianPath:
        """The picture's Brownian path from ``low`` to ``high``, drawn from its random number source."""
        return BrownianPath(self._seed, low, high, lambda seed: self._generator(seed)(self.shape))

    def _generator(self, seed: int) -> Draw:
        return generator(seed, self._source, self._device)

    @cached_property
    def _first(self) -> Tensor:
        resized = self._first_shape != self.shape
        noise = self._generator(self._seed)(self._first_shape) if resized else self._draw(self.shape)
        if self._variation_strength:
            other = self._generator(self._variation_seed)(self._first_shape)
            noise = slerp(self._variation_strength, noise, other)
        return paste_centred(noise, self._draw(self.shape)) if resized else noise

    @cached_property
    def _sampling(self) -> Draw:
        if self._ensd:
            return self._generator(self._seed + self._ensd)
        self.first()  # comes first in the stream, whatever is asked for first
        return self._draw


class BatchNoise:
    """The noise of several pictures of one size, stacked: (pictures, channels, height, width)."""

    def __init__(self, pictures: Sequence[PictureNoise]) -> None:
        self.pictures = tuple(pictures)

    def first(self) -> Tensor:
        return torch.stack([picture.first() for picture in self.pictures])

    def next(self) -> Tensor:
        return torch.stack([picture.next() for picture in self.pictures])

    def brownian(self, levels: Sequence[float]) -> BrownianNoise:
        """Noise for samplers that want a Brownian path. ``levels`` are those of the whole schedule, also in img2img."""
        return BrownianNoise([picture.path(*bounds(levels)) for picture in self.pictures])


def paths_of(
    generators: torch.Generator | Sequence[torch.Generator] | None,
    shape: tuple[int, ...],
    levels: Sequence[float],
    device: torch.device,
) -> BrownianNoise:
    """Brownian noise of a latent ``shape`` (n, ...) for who has torch's generators, as diffusers' pipelines do.

    The paths are those of the generators' seeds: one for each picture where each has its own, else one for all together.
    """
    if isinstance(generators, Sequence):
        given, shape = [*generators], shape[1:]
    else:
        given = [generators or torch.Generator().manual_seed(int(torch.randint(2**63 - 1, ())))]

    def path(given: torch.Generator) -> BrownianPath:
        source = "CPU" if given.device.type == "cpu" else "GPU"
        return BrownianPath(given.initial_seed(), *bounds(levels), lambda node: generator(node, source, device)(shape))

    return BrownianNoise([path(each) for each in given])


def slerp(strength: float, low: Tensor, high: Tensor) -> Tensor:
    """Spherical interpolation (Shoemake 1985) of two noises of shape (channels, height, width), column by column.

    A straight line between two noises passes through a third with less variance, which no model was trained on; the arc
    keeps it. As in A1111 each column (dimension 1) has an angle of its own, and noises that are nearly equal are mixed
    linearly with ``strength`` the other way round, which makes no difference where they are.
    """
    cosine = (low / low.norm(dim=1, keepdim=True) * (high / high.norm(dim=1, keepdim=True))).sum(1)
    if cosine.mean() > 0.9995:
        return low * strength + high * (1 - strength)
    angle = torch.acos(cosine.clamp(-1, 1))
    sine = torch.sin(angle)
    flat = sine < 1e-6  # columns of one number are parallel: no arc between them
    sine = sine.masked_fill(flat, 1)
    low_part = torch.where(flat, 1 - strength, torch.sin((1 - strength) * angle) / sine)
    high_part = torch.where(flat, strength, torch.sin(strength * angle) / sine)
    return low_part[:, None] * low + high_part[:, None] * high


def paste_centred(noise: Tensor, canvas: Tensor) -> Tensor:
    """``canvas`` with ``noise`` in its middle; what reaches beyond is cut off. Both (channels, height, width)."""
    result = canvas.clone()
    (to_y, from_y, height), (to_x, from_x, width) = (_overlap(noise.shape[dim], canvas.shape[dim]) for dim in (1, 2))
    result[:, to_y : to_y + height, to_x : to_x + width] = noise[:, from_y : from_y + height, from_x : from_x + width]
    return result


def _overlap(inner: int, outer: int) -> tuple[int, int, int]:
    """Where a centred length begins in the outer one, where in itself, and how long the two overlap. A1111's rounding."""
    margin = (outer - inner) // 2
    return (margin, 0, inner) if margin >= 0 else (0, -margin, inner + 2 * margin)
