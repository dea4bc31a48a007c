"""From prompt text to what the U-Net's cross-attention reads: chunks of 77 tokens, encoded and weighted."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from webui.engine.chunks import Chunk

CACHED_PROMPTS = 64


def apply_emphasis(states: Tensor, weights: Tensor) -> Tensor:
    """Weigh each token's state, then give each chunk back the mean that it had (A1111's "Original" emphasis).

    ``states`` is (n, 77, width), ``weights`` (n, 77).
    """
    before = states.mean(dim=(1, 2), keepdim=True)
    weighted = states * weights[..., None]
    return weighted * (before / weighted.mean(dim=(1, 2), keepdim=True))


class ConditioningCache:
    """Encoded prompts of one checkpoint by their content, the least recently used out first.

    It lives and dies with the text encoder whose work it remembers.
    """

    def __init__(self) -> None:
        self._states: OrderedDict[object, Tensor] = OrderedDict()

    def get(self, key: object, encode: Callable[[], Tensor]) -> Tensor:
        if key not in self._states:
            self._states[key] = encode()
            if len(self._states) > CACHED_PROMPTS:
                self._states.popitem(last=False)
        self._states.move_to_end(key)
        return self._states[key]

    def clear(self) -> None:
        self._states.clear()


def encode_chunks(chunks: Sequence[Chunk], encode: Callable[[Tensor], Tensor], device: torch.device) -> Tensor:
    """Conditioning (1, 77 * chunks, width), float32. ``encode`` turns token ids (n, 77) into states (n, 77, width)."""
    with torch.inference_mode():
        states = encode(torch.tensor([chunk.tokens for chunk in chunks], device=device)).float()
        if any(weight != 1.0 for chunk in chunks for weight in chunk.weights):
            states = apply_emphasis(states, torch.tensor([chunk.weights for chunk in chunks], device=device))
        return states.reshape(1, -1, states.shape[-1])
