"""What inpainting keeps of a picture while the rest is drawn anew, on the latent grid.

After each call of the network the clean latent of the source is put in place of what was predicted where the mask keeps it
(A1111's way), so that what is drawn sees its surroundings as they will be.

``latents`` (n, c, h, w) are the source's, ``mask`` (1, 1, h, w) is 1 where they are drawn anew. ``during`` is what the sampler is
told instead of ``predicted``, the clean latents that the network sees at noise level ``sigma``; ``after`` is the result, of the
latents that the sampler ended with.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor


@dataclass(frozen=True, eq=False)
class HardKept:
    """A mask of 0 and 1: where it is 0 the source stays as it is."""

    latents: Tensor
    mask: Tensor

    def during(self, predicted: Tensor, sigma: float) -> Tensor:
        return self.after(predicted)

    def after(self, latents: Tensor) -> Tensor:
        return latents * self.mask + self.latents * (1 - self.mask)


@dataclass(frozen=True, eq=False)
class SoftKept:
    """Soft inpainting: where the mask is grey, old and new are mixed, the old one the less the less noise is left.

    A1111's extension of that name. The mask is raised to σ^``bias`` · ``preservation``: at much noise nearly all that is not
    white keeps the source, at the end nearly nothing does. A mixture of two latents is shorter than either, which shows as lost
    contrast; so it is stretched to the power mean, of exponent ``contrast``, of their lengths.
    """

    latents: Tensor
    mask: Tensor
    bias: float
    preservation: float
    contrast: float

    def during(self, predicted: Tensor, sigma: float) -> Tensor:
        share = self.mask ** (sigma**self.bias * self.preservation)
        mixed = self.latents * (1 - share) + predicted * share
        old, new, length = (x.double().norm(dim=1, keepdim=True) for x in (self.latents, predicted, mixed))
        wanted = (old**self.contrast * (1 - share) + new**self.contrast * share) ** (1 / self.contrast)
        stretched: Tensor = mixed * (wanted / (length + 1e-5)).to(mixed.dtype)
        return stretched

    def after(self, latents: Tensor) -> Tensor:
        """As they are: how much of them is seen is decided when they are pictures."""
        return latents


AnyKept = HardKept | SoftKept


def rows_of(kept: AnyKept, rows: slice) -> AnyKept:
    """The same for some of the pictures."""
    return replace(kept, latents=kept.latents[rows])
