"""From prompt text to what the U-Net's cross-attention reads: chunks of 77 tokens, encoded and weighted."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from webui.engine.chunks import Chunk

CACHED_PROMPTS = 64
CACHED_BYTES = 2**28  # a prompt of SD 1 takes 240 kB for each chunk and each text of its schedules
CHUNKS_PER_CALL = 64  # more are encoded one group after another

Prompt = tuple[Chunk, ...]


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
        self._states: OrderedDict[object, Tensor] = OrderedDict()
        self._bytes = 0

    def get(self, key: object, encode: Callable[[], Tensor]) -> Tensor:
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
    encode: Callable[[Tensor], Tensor],
    device: torch.device,
    *,
    keep_mean: bool = True,
) -> Tensor:
    """Conditioning (texts, 77 * chunks, width), float32, of texts that take turns in one prompt.

    ``encode`` turns token ids (n, 77) into states (n, 77, width). Shorter texts are filled up with ``empty`` chunks to the
    length of the longest, as in A1111. ``keep_mean`` see :func:`apply_emphasis`.
    """
    length = max(len(prompt) for prompt in prompts)
    chunks = [chunk for prompt in prompts for chunk in (*prompt, *[empty] * (length - len(prompt)))]
    with torch.inference_mode():
        ids = torch.tensor([chunk.tokens for chunk in chunks], device=device)
        states = torch.cat([encode(some).float() for some in ids.split(CHUNKS_PER_CALL)])
        states = states.unflatten(0, (len(prompts), length))
        if any(weight != 1.0 for chunk in chunks for weight in chunk.weights):
            weights = torch.tensor([chunk.weights for chunk in chunks], device=device)
            states = apply_emphasis(states, weights.unflatten(0, (len(prompts), length)), keep_mean=keep_mean)
        return states.flatten(1, 2)
