"""The random numbers of an NVIDIA card, calculated anywhere.

CUDA draws with Philox 4x32-10, a counter-based generator (Salmon et al. 2011, "Parallel random numbers: as easy as
1, 2, 3"): number k of draw d is a hash of (d, k) under the seed, so no state is carried along. Two of its 32-bit words
become a normal deviate by Box and Muller's transform. AUTOMATIC1111's web UI offers this stream as random number source
"NV", so that pictures first drawn on an NVIDIA card can be drawn again without one. Its arithmetic is followed to the bit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL = 0x9E3779B9, 0xBB67AE85  # golden ratio and √3 − 1, added to the key in each round
_WORD = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
# float32 constants in a calculation of double precision, as A1111's
_UNIT = float(np.float32(2.3283064e-10))  # 2**-32
_TURN = float(np.float32(2.3283064e-10 * 6.2831855))


class PhiloxGenerator:
    """Normal deviates of one seed; each call of :meth:`randn` continues the stream."""

    def __init__(self, seed: int) -> None:
        self._key = seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF
        self._draws = 0

    def randn(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Standard normal numbers, float32, within 3e-7 of what ``torch.randn`` draws on CUDA.

        As long as one launch of the card's kernel makes them all: of very many numbers the order depends on the card.
        """
        count = int(np.prod(shape))
        words = philox(self._draws, np.arange(count, dtype=np.uint64), self._key)
        self._draws += 1
        return box_muller(*words).astype(np.float32).reshape(shape)


def philox(draw: int, index: NDArray[np.uint64], key: tuple[int, int]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The first two of the four 32-bit words that ten rounds make of the counter (draw, 0, index, 0)."""
    nothing = np.zeros_like(index)
    a, b, c, d = np.full_like(index, draw), nothing, index, nothing
    for round_ in range(10):
        key0, key1 = (np.uint64((key[half] + round_ * _WEYL[half]) & 0xFFFFFFFF) for half in (0, 1))
        product0, product1 = a * _MULTIPLIERS[0], c * _MULTIPLIERS[1]  # 32 x 32 bits, exact in 64
        a, b, c, d = (
            (product1 >> _HALF) ^ b ^ key0,
            product1 & _WORD,
            (product0 >> _HALF) ^ d ^ key1,
            product0 & _WORD,
        )
    return a, b


def box_muller(x: NDArray[np.uint64], y: NDArray[np.uint64]) -> NDArray[np.float64]:
    """√(−2 ln u) · sin v, for u and v that two words put in (0, 1) and (0, 2π). CUDA takes the sine of the pair only."""
    u = x * _UNIT + _UNIT / 2
    v = y * _TURN + _TURN / 2
    deviates: NDArray[np.float64] = np.sqrt(-2 * np.log(u)) * np.sin(v)
    return deviates
