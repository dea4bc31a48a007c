"""One Brownian path per picture, for samplers that solve a stochastic differential equation.

A sampler that adds noise from one level to the next, and again over a part of that interval (DPM++ SDE does), must add
*the same* noise where the two overlap. So its noise is the increments of one Brownian path W: those of neighbouring
intervals are independent, and they sum up. A finer schedule then looks closer at the same path, which is why pictures of
these samplers settle as steps are added.

The path is a "virtual Brownian tree" (Li et al., arXiv 2001.01328, section 4; Gaines and Lyons 1997): nothing of it is kept.
The increment over the whole is drawn from the seed, and so is, at every halving of an interval, how much of the increment
falls into its left half, from a seed of that place in the tree. Whatever is asked, and in whatever order, the answer is
the same. k-diffusion uses the ``BrownianTree`` of torchsde; seeds and arithmetic here are its own, so the numbers are too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import add

import numpy as np
import torch
from torch import Tensor

_DIGITS = 6  # decimals to which times are rounded; torchsde's tolerance of 1e-6
_POOL = 24  # words of entropy that torchsde mixes seeds in


@dataclass(frozen=True)
class _Interval:
    """A node of the tree: the ``place``-th of the 2**``depth`` intervals that so many halvings make."""

    start: float
    end: float
    depth: int = 0
    place: int = 0

    @cached_property
    def middle(self) -> float:
        return round(0.5 * (self.end + self.start), _DIGITS)

    @property
    def left(self) -> _Interval:
        return _Interval(self.start, self.middle, self.depth + 1, 2 * self.place)

    @property
    def right(self) -> _Interval:
        return _Interval(self.middle, self.end, self.depth + 1, 2 * self.place + 1)


class BrownianPath:
    """The path of one picture between the times ``low`` and ``high``, which ``seed`` decides.

    ``unit_noise(seed)`` draws the first standard normal numbers of a seed, float32 in the picture's shape. A point of the
    path takes about 25 draws. Those of the interval asked for last, which are at most two points', are remembered: the next
    one begins where it ended.
    """

    def __init__(self, seed: int, low: float, high: float, unit_noise: Callable[[int], Tensor]) -> None:
        self._seed, self._length, self._unit_noise = seed, high - low, unit_noise
        self._root = _Interval(round(low, _DIGITS), round(high, _DIGITS))
        self._left_halves: dict[_Interval, Tensor] = {}

    def increment(self, start: float, end: float) -> Tensor:
        """W(end) − W(start) for start <= end, of variance end − start. Before low and after high the path stands still."""
        low, high = self._root.start, self._root.end
        start, end = (round(min(max(time, low), high), _DIGITS) for time in (start, end))
        if start == end:
            return torch.zeros_like(self._whole)
        before, self._left_halves = self._left_halves, {}
        return reduce(add, self._parts(self._root, self._whole, start, end, before))

    @cached_property
    def _whole(self) -> Tensor:
        seeds = np.random.SeedSequence(self._seed, pool_size=_POOL)
        return self._unit_noise(_first_word(seeds)) * math.sqrt(self._length)

    def _parts(
        self, node: _Interval, w: Tensor, start: float, end: float, before: dict[_Interval, Tensor]
    ) -> Iterator[Tensor]:
        """The increments over the fewest nodes that make up start ... end, within a node whose increment is ``w``."""
        if (start, end) == (node.start, node.end):
            yield w
            return
        left = self._left_halves[node] = before[node] if node in before else self._left_half(node, w)
        if start < node.middle:
            yield from self._parts(node.left, left, start, min(end, node.middle), before)
        if end > node.middle:
            yield from self._parts(node.right, w - left, max(start, node.middle), end, before)

    def _left_half(self, node: _Interval, w: Tensor) -> Tensor:
        """A Brownian bridge, at ``node.middle``: Gaussian about the straight line. Lévy's construction."""
        seeds = np.random.SeedSequence(self._seed, spawn_key=(node.place, node.depth), pool_size=_POOL)
        share = 1 / (node.end - node.start)
        left, right = node.middle - node.start, node.end - node.middle
        return left * w * share + math.sqrt(left * right * share) * self._unit_noise(_first_word(seeds))


class BrownianNoise:
    """noise(level_from, level_to) for a batch: (W(to) − W(from)) / √|to − from| of each picture's path, stacked.

    Levels are taken in float32, as k-diffusion has them: a path is rough, so that the seventh digit of a level shows in the
    fourth of the noise.
    """

    def __init__(self, paths: Sequence[BrownianPath]) -> None:
        self.paths = tuple(paths)

    def __call__(self, level_from: float, level_to: float) -> Tensor:
        ends = torch.tensor([level_from, level_to], dtype=torch.float32)
        start, end = sorted(ends.tolist())
        increment = torch.stack([path.increment(start, end) for path in self.paths])
        if start == end:
            return increment
        return (increment if level_to > level_from else -increment) / (ends[1] - ends[0]).abs().sqrt()


def bounds(levels: Sequence[float]) -> tuple[float, float]:
    """The smallest level above 0 and the largest, in float32: between them lies the path of a run, or of a part of it."""
    positive = np.array([level for level in levels if level > 0], dtype=np.float32)
    return positive.min().item(), positive.max().item()


def _first_word(seeds: np.random.SeedSequence) -> int:
    return int(seeds.generate_state(1)[0])
