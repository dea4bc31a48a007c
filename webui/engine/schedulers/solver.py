"""Samplers as papers write them: generators that ask for the network where it is needed.

Such a generator yields a state and its noise level, and is sent back the clean latent that the network saw in it::

    for sigma, sigma_next in pairwise(sigmas):
        denoised = yield x, sigma
        d = (x - denoised) / sigma
        x = x + d * (sigma_next - sigma)
    return x

:class:`Solver` runs one, call by call, for a loop that keeps the network to itself::

    x = solver.begin(x, noise)
    while not solver.done:
        output = unet(solver.scale_model_input(x), solver.timestep)
        denoised = solver.predict_x0(output, x)
        x = solver.advance(denoised)

Three kinds of algorithm want something else, and say so by a class attribute: ``needs_uncond``, ``adaptive``, ``brownian``.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Generator, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from webui.errors import InvalidRequest

Algorithm = Generator[tuple[Tensor, float], Tensor, Tensor]
"""Yields (x, level), is sent x0 of the same shape, returns the last x. All in float32; levels are Python floats."""

PairAlgorithm = Generator[tuple[Tensor, float], tuple[Tensor, Tensor], Tensor]
"""The same for ``needs_uncond``: is sent (x0, x0 without the prompt)."""

Noise = Callable[[float, float], Tensor]
"""noise(level_from, level_to): unit Gaussian, shaped like the state. A Brownian path needs the levels; others do not."""

_Run = Generator[tuple[Tensor, float], Any, Tensor]  # either, started


class Solver(ABC):
    """An algorithm with its noise levels, and at most one run of it.

    ``levels`` are the noise levels of the run, falling, where it ends included, in the unit of the subclass: sigma or
    timestep; ``whole_levels`` are those of the schedule they were cut from, where img2img entered in the middle.
    ``timesteps`` (n_calls,), float32 and fractional, are what the network is told in each call; an algorithm may call
    several times in one step. Levels and counters stay on the CPU, so a step never waits for the device.
    """

    order = 1  # network calls per step; where they vary, of most steps
    needs_uncond = False  # CFG++: is sent what the network predicts without the prompt, too
    adaptive = False  # which levels it asks for depends on x: only the first call is known before it is made
    brownian = False  # its noise is increments of one Brownian path: of intervals that overlap, related
    cfg_factor = 1.0  # what the user's CFG scale is multiplied by
    prediction_type = "epsilon"

    def __init__(self) -> None:
        self.levels: tuple[float, ...] = ()
        self.whole_levels: tuple[float, ...] = ()
        self.num_inference_steps = 0
        self.timesteps = torch.zeros(0)
        self._path: tuple[float, ...] = ()
        self._calls: tuple[float, ...] = ()
        self._call_timesteps: list[float] = []
        self._forget_run()

    def _forget_run(self) -> None:
        self._run: _Run | None = None
        self._begin_index: int | None = None
        self._call = 0
        self._start_level = self._level = 0.0
        self._done = False
        self._x = torch.zeros(())  # the state, float32
        self._noise: Noise | None = None

    @abstractmethod
    def algorithm(self, x: Tensor, levels: Sequence[float], noise: Noise) -> Algorithm | PairAlgorithm:
        """The sampler itself, along ``levels``, which are ``path(self.levels)`` or, begun in the middle, the rest of it.

        It must not change tensors in place. Unless ``adaptive``, which levels it asks for must not depend on x.
        """

    def path(self, levels: tuple[float, ...]) -> Sequence[float]:
        """Where the steps of the algorithm begin and end, when it is to go along ``levels``.

        For algorithms that choose their own way (DPM fast) or go up again (Restart): decided here, once for the whole run,
        what they do from one level of the path on does not depend on how they came there.
        """
        return levels

    @abstractmethod
    def level_to_timestep(self, level: float) -> float:
        """What the network is told."""

    @abstractmethod
    def timestep_to_level(self, timestep: float) -> float:
        """The inverse of ``level_to_timestep``."""

    @abstractmethod
    def signal_and_noise(self, level: float) -> tuple[float, float]:
        """(a, b) such that the state at this level is a·x0 + b·noise."""

    def _set_levels(
        self, levels: Sequence[float], device: str | torch.device | None, whole: Sequence[float] | None = None
    ) -> None:
        """Take the levels, find out which network calls they lead to, and forget any run."""
        self.levels = tuple(float(level) for level in levels)
        self.whole_levels = self.levels if whole is None else tuple(float(level) for level in whole)
        self.num_inference_steps = len(self.levels) - 1
        self._path = tuple(self.path(self.levels))
        self._calls = self._path[:1] if self.adaptive else self._plan(self._path)
        plan = torch.tensor([self.level_to_timestep(level) for level in self._calls], dtype=torch.float32)
        self._call_timesteps = plan.tolist()
        self.timesteps = plan.to(device)
        self._forget_run()

    def _start(self, x: Tensor, path: Sequence[float], noise: Noise) -> _Run:
        return self.algorithm(x, path, noise)

    def _plan(self, path: Sequence[float]) -> tuple[float, ...]:
        """The level of every network call, found by running the algorithm once on a single number."""
        x = torch.zeros(())
        run = self._start(x, path, lambda level_from, level_to: x)
        calls = []
        try:
            _, level = next(run)
            while True:
                calls.append(level)
                _, level = run.send((x, x) if self.needs_uncond else x)
        except StopIteration:
            return tuple(calls)

    def begin(self, sample: Tensor, noise: Noise | None = None) -> Tensor:
        """Start a run from ``sample`` of shape (pictures, channels, height, width), noised to the first level.

        ``noise`` gives the random numbers of samplers that add noise. Returns the first network input, unscaled, float32.
        """
        if not self._calls:
            raise ValueError("set_timesteps must be called before a run begins")
        self._call = self._begin_index or 0
        self._noise = noise
        self._done = False
        self._x = sample.to(torch.float32, copy=True)
        path = self._path_from(self._call)
        self._start_level = path[0]
        self._run = self._start(self._x, path, self._draw)
        self._x, self._level = next(self._run)
        return self._x

    def _path_from(self, call: int) -> tuple[float, ...]:
        """The rest of the path that begins with this network call."""
        if not call:
            return self._path
        if not self.adaptive:
            left = len(self._calls) - call
            at = bisect_right(range(len(self._path) - 1), -left, key=lambda i: -len(self._plan(self._path[i:]))) - 1
            if self._plan(self._path[at:]) == self._calls[call:]:
                return self._path[at:]
        raise ValueError(
            f"this run cannot begin at network call {call}, which is in the middle of a step or needs the calls before: "
            "set the levels of the part that is to run instead"
        )

    def _draw(self, level_from: float, level_to: float) -> Tensor:
        if self._noise is None:
            raise ValueError("this sampler adds noise: begin(sample, noise) must be given some")
        return self._noise(level_from, level_to)

    @property
    def call(self) -> int:
        """The network call that comes next, counted from 0; when ``done``, how many there were."""
        return self._call if self._run is not None else self._begin_index or 0

    @property
    def done(self) -> bool:
        """Whether all network calls of the run have been made."""
        return self._done

    @property
    def level(self) -> float:
        """The noise level of the next network call, in the unit of ``levels``."""
        return self._level if self._run is not None else self._calls[self.call]

    @property
    def timestep(self) -> float:
        """What the network is told in its next call. In float32, as in ``timesteps``."""
        return torch.tensor(self.level_to_timestep(self.level), dtype=torch.float32).item()

    @property
    def sigma(self) -> float:
        """The noise level of the next network call as noise over signal, whatever the unit of ``levels``."""
        a, b = self.signal_and_noise(self.level)
        return b / a

    def scale_model_input(self, sample: Tensor, timestep: float | Tensor | None = None) -> Tensor:
        """The state as the network was trained to see it: of unit variance. Keeps the dtype."""
        a, b = self.signal_and_noise(self.level)
        scale = math.hypot(a, b)
        return sample if scale == 1.0 else sample * (1 / scale)

    def predict_x0(self, model_output: Tensor, x: Tensor) -> Tensor:
        """The clean latent in state ``x``, by what the network answers to the next call. Float32.

        epsilon: Ho et al., arXiv 2006.11239, equation 15. v = α·ε − σ·x0: Salimans and Ho, arXiv 2202.00512, appendix D.
        """
        output, x = model_output.to(torch.float32), x.to(torch.float32)
        if self.prediction_type == "sample":
            return output
        a, b = self.signal_and_noise(self.level)
        if self.prediction_type == "epsilon":
            return x - output * b if a == 1.0 else (x - output * b) / a
        scale = math.hypot(a, b)  # v is defined where signal² + noise² = 1
        return x * (a / scale**2) - output * (b / scale)

    def advance(self, denoised: Tensor, uncond: Tensor | None = None) -> Tensor:
        """Tell the sampler the clean latent; returns the next network input (unscaled), or the result when ``done``.

        ``uncond``, the clean latent as predicted without the prompt, matters only where ``needs_uncond``; None stands for
        ``denoised``, which is right where nothing guides.
        """
        if self._run is None:
            raise ValueError("begin must be called before the first step")
        if self._done:
            raise ValueError(f"all {self._call} network calls of this run have been made")
        try:
            sent = (denoised, denoised if uncond is None else uncond) if self.needs_uncond else denoised
            self._x, self._level = self._run.send(sent)
        except StopIteration as stop:
            self._x = stop.value
            self._done = True
        self._call += 1
        return self._x


def falling(levels: Sequence[float], name: str) -> tuple[float, ...]:
    """The levels as floats; ``InvalidRequest`` unless there are at least two, finite, not negative, each below the last."""
    values = tuple(float(level) for level in levels)
    steps = list(pairwise(values))
    if not steps or not all(math.inf > high > low >= 0 for high, low in steps):
        raise InvalidRequest(
            f"A run needs two or more {name}, each below the one before, the last 0 or more.", "schedule"
        )
    return values
