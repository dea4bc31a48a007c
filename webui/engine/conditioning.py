"""From prompt text to what the U-Net is told: chunks of 77 tokens, encoded and weighted, and what SDXL wants beside them.

Cross-attention reads a state for each token. SDXL (Podell et al. 2023, arXiv 2307.01952, section 2.2) is told two things
more, which are added to the timestep's embedding: a pooled vector of the whole text, and the sizes of the picture.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from webui.engine.chunks import Chunk

CACHED_PROMPTS = 64
CACHED_BYTES = 2**28  # a prompt of SD 1 takes 240 kB for each chunk and each text of its schedules
CHUNKS_PER_CALL = 64  # more are encoded one group after another

Prompt = tuple[Chunk, ...]


@dataclass(frozen=True, eq=False)
class Conditioning:
    """What the network is told beside the noisy latents, one text a row; float32.

    ``text`` (n, tokens, width) is read by cross-attention. ``pooled`` (n, width) sums each text up and ``time_ids`` (n, 6 or 5)
    are the picture's sizes in pixels, the refiner's with a score last; None where the family knows no such thing.
    """

    text: Tensor
    pooled: Tensor | None = None
    time_ids: Tensor | None = None

    @property
    def nbytes(self) -> int:
        return sum(tensor.nbytes for tensor in self._tensors() if tensor is not None)

    @property
    def length(self) -> int:
        """In tokens, those of padding among them."""
        return self.text.shape[1]

    def rows(self) -> tuple[Conditioning, ...]:
        """Each text alone."""
        return tuple(self._each(lambda tensor, row=row: tensor[row : row + 1]) for row in range(len(self.text)))  # type: ignore[misc]

    def repeated(self, count: int) -> Conditioning:
        """A single text for ``count`` pictures."""
        return self._each(lambda tensor: tensor.expand(count, *tensor.shape[1:]))

    def silenced(self) -> Conditioning:
        """All that was read from the text is zero, as SDXL was trained to be told of no text; the sizes stay."""
        pooled = None if self.pooled is None else torch.zeros_like(self.pooled)
        return replace(self, text=torch.zeros_like(self.text), pooled=pooled)

    def with_time_ids(self, numbers: Sequence[float]) -> Conditioning:
        """The same numbers told with every text."""
        ids = torch.tensor([numbers], dtype=torch.float32, device=self.text.device)
        return replace(self, time_ids=ids.expand(len(self.text), -1))

    @classmethod
    def joined(cls, some: Sequence[Conditioning]) -> Conditioning:
        """Several of equal length below each other."""
        columns = zip(*(each._tensors() for each in some), strict=True)
        return cls(*(None if column[0] is None else torch.cat(column) for column in columns))  # type: ignore[arg-type]

    def _tensors(self) -> tuple[Tensor, Tensor | None, Tensor | None]:
        return self.text, self.pooled, self.time_ids

    def _each(self, change: Callable[[Tensor], Tensor]) -> Conditioning:
        return Conditioning(*(None if tensor is None else change(tensor) for tensor in self._tensors()))  # type: ignore[arg-type]


class Reading(NamedTuple):
    """What one text encoder makes of token ids (n, 77): states (n, 77, width) and, if it sums up, pooled (n, width)."""

    states: Tensor
    pooled: Tensor | None = None


Read = Callable[[Tensor], Reading]


def apply_emphasis(states: Tensor, weights: Tensor, *, keep_mean: bool = True) -> Tensor:
    """Weigh each token's state, then give the states back the mean that they had.

    ``states`` is (texts, chunks, 77, width), ``weights`` (texts, chunks, 77). The mean is that of a chunk in all texts of a
    schedule together, one factor for all of them, as in A1111's emphasis "Original"; its "No norm" does not ``keep_mean``.
    """
    weighted = states * weights[..., None]
    if not keep_mean:
        return weighted
    each_chunk = (0, 2, 3)
    return weighted * (states.mean(each_chunk, keepdim=True) / weighted.mean(each_chunk, keepdim=True))


class ConditioningCache:
    """Encoded prompts of one checkpoint by their content, the least recently used out first.

    It lives and dies with the text encoder whose work it remembers.
    """

    def __init__(self) -> None:
        self._states: OrderedDict[object, Conditioning] = OrderedDict()
        self._bytes = 0

    def get(self, key: object, encode: Callable[[], Conditioning]) -> Conditioning:
        if key not in self._states:
            self._states[key] = encode()
            self._bytes += self._states[key].nbytes
            while len(self._states) > CACHED_PROMPTS or (self._bytes > CACHED_BYTES and len(self._states) > 1):
                self._bytes -= self._states.popitem(last=False)[1].nbytes
        self._states.move_to_end(key)
        return self._states[key]

    def clear(self) -> None:
        self._states.clear()
        self._bytes = 0


def encode_prompts(
    prompts: Sequence[Prompt],
    empty: Chunk,
    encoders: Sequence[Read],
    device: torch.device,
    *,
    keep_mean: bool = True,
) -> Conditioning:
    """Conditioning of texts that take turns in one prompt: one row each, as long as the longest, 77 * chunks.

    Each of ``encoders`` reads the same tokens; their states are weighed apart and stand side by side. Shorter texts are
    filled up with ``empty`` chunks, as in A1111. Of a text's chunks the first alone is pooled, which emphasis does not touch.
    ``keep_mean`` see :func:`apply_emphasis`.
    """
    length = max(len(prompt) for prompt in prompts)
    chunks = [chunk for prompt in prompts for chunk in (*prompt, *[empty] * (length - len(prompt)))]
    shape = (len(prompts), length)
    with torch.inference_mode():
        ids = torch.tensor([chunk.tokens for chunk in chunks], device=device)
        weights = torch.tensor([chunk.weights for chunk in chunks], device=device).unflatten(0, shape)
        texts, pooled = [], None
        for encode in encoders:
            readings = [encode(some) for some in ids.split(CHUNKS_PER_CALL)]
            states = torch.cat([reading.states.float() for reading in readings]).unflatten(0, shape)
            if (weights != 1).any():
                states = apply_emphasis(states, weights, keep_mean=keep_mean)
            texts.append(states.flatten(1, 2))
            sums = [reading.pooled.float() for reading in readings if reading.pooled is not None]
            if sums:
                pooled = torch.cat(sums).unflatten(0, shape)[:, 0]
        return Conditioning(torch.cat(texts, dim=-1), pooled)
