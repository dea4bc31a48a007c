"""The bridge between samplers as papers write them and diffusers' scheduler interface.

A sampler here is a generator. It yields a state and its noise level, which asks for one call of the network, and is sent
back the clean latent that the network saw in it::

    for sigma, sigma_next in pairwise(sigmas):
        denoised = yield x, sigma
        d = (x - denoised) / sigma
        x = x + d * (sigma_next - sigma)
    return x

:class:`Scheduler` runs such a generator behind ``set_timesteps`` and ``step``, so that it works in our own loop and,
unchanged, in any diffusers pipeline. Our loop::

    x = scheduler.begin(x, noise)
    while not scheduler.done:
        output = unet(scheduler.scale_model_input(x), scheduler.timestep)
        x, denoised = scheduler.step(output, scheduler.timestep, x, return_dict=False)

or, to change the clean latent before the sampler sees it (masks, guidance), ``predict_x0`` and ``advance`` for ``step``.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from diffusers import ConfigMixin, SchedulerMixin
from diffusers.configuration_utils import register_to_config
from diffusers.schedulers.scheduling_utils import KarrasDiffusionSchedulers
from diffusers.utils import BaseOutput
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from webui.domain.noise_levels import NoiseModel
from webui.domain.schedules import Schedule
from webui.engine.schedulers.trained_noise import trained_alphas_cumprod, zero_terminal_snr
from webui.errors import IncompatibleModel, InvalidRequest

Algorithm = Generator[tuple[Tensor, float], Tensor, Tensor]
"""Yields (x, level), is sent x0 of the same shape, returns the last x. All in float32; levels are Python floats."""

Noise = Callable[[float, float], Tensor]
"""noise(level_from, level_to): unit Gaussian, shaped like the state. A Brownian path needs the levels; others do not."""

PREDICTION_TYPES = ("epsilon", "v_prediction", "sample")


@dataclass
class StepOutput(BaseOutput):  # type: ignore[misc]
    """``prev_sample``: the next network input (unscaled) or the result. ``pred_original_sample``: the clean latent."""

    prev_sample: Tensor
    pred_original_sample: Tensor


class Scheduler(SchedulerMixin, ConfigMixin, ABC):  # type: ignore[misc]
    """A sampler with its noise levels, and at most one run of it under way.

    ``levels`` are the noise levels of the whole run, falling, where it ends included (in the unit of the subclass: sigma
    or timestep). ``timesteps`` are the network calls, fractional, as float32; an algorithm may call several times in one
    step. Levels and counters stay on the CPU, so a step never waits for the device.

    ``eta`` (None: the sampler's own), ``s_churn``, ``s_tmin``, ``s_tmax`` (None: no limit) and ``s_noise`` are A1111's
    sampler options; samplers to which they mean nothing ignore them.
    """

    order = 1  # network calls per step, which diffusers' pipelines want to know
    default_eta = 1.0
    _compatibles = [member.name for member in KarrasDiffusionSchedulers]  # noqa: RUF012  (diffusers' own convention)

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        num_train_timesteps: int = 1000,
        beta_start: float = 0.00085,
        beta_end: float = 0.012,
        beta_schedule: str = "scaled_linear",
        trained_betas: Sequence[float] | None = None,
        rescale_betas_zero_snr: bool = False,
        prediction_type: str = "epsilon",
        eta: float | None = None,
        s_churn: float = 0.0,
        s_tmin: float = 0.0,
        s_tmax: float | None = None,
        s_noise: float = 1.0,
    ) -> None:
        if prediction_type not in PREDICTION_TYPES:
            raise IncompatibleModel(
                f'The model predicts "{prediction_type}"; only {", ".join(PREDICTION_TYPES)} are known.'
            )
        alphas_cumprod = trained_alphas_cumprod(num_train_timesteps, beta_start, beta_end, beta_schedule, trained_betas)
        if rescale_betas_zero_snr:
            alphas_cumprod = zero_terminal_snr(alphas_cumprod)
        self.noise_model = NoiseModel.from_alphas_cumprod(alphas_cumprod)
        self.alphas_cumprod = torch.tensor(alphas_cumprod, dtype=torch.float32)
        self.prediction_type = prediction_type
        self.eta = self.default_eta if eta is None else eta
        self.s_churn, self.s_tmin, self.s_noise = s_churn, s_tmin, s_noise
        self.s_tmax = float("inf") if s_tmax is None else s_tmax
        self.levels: tuple[float, ...] = ()
        self.num_inference_steps = 0
        self.timesteps = torch.arange(num_train_timesteps - 1, -1, -1, dtype=torch.float32)
        self._calls: tuple[float, ...] = ()
        self._call_timesteps: list[float] = []
        self._forget_run()

    # What a subclass says.

    @abstractmethod
    def algorithm(self, x: Tensor, levels: Sequence[float], noise: Noise) -> Algorithm:
        """The sampler itself. It must not change tensors in place, and which levels it asks for must not depend on x."""

    @abstractmethod
    def set_run(
        self, steps: int, schedule: Schedule | None, skip: int = 0, device: str | torch.device | None = None
    ) -> None:
        """Set the levels of a run of ``steps`` steps, the first ``skip`` of them left out. None: Uniform, or its own."""

    @abstractmethod
    def level_to_timestep(self, level: float) -> float:
        """What the network is told."""

    @abstractmethod
    def timestep_to_level(self, timestep: float) -> float:
        """The inverse of ``level_to_timestep``."""

    @abstractmethod
    def signal_and_noise(self, level: float) -> tuple[float, float]:
        """(a, b) such that the state at this level is a·x0 + b·noise."""

    @property
    @abstractmethod
    def init_noise_sigma(self) -> float:
        """What unit noise is multiplied by to start the run."""

    # Noise levels.

    def _set_levels(self, levels: Sequence[float], device: str | torch.device | None) -> None:
        """Take the levels, find out which network calls they lead to, and forget any run under way."""
        self.levels = tuple(float(level) for level in levels)
        self._calls = self._plan(self.levels)
        self.num_inference_steps = len(self.levels) - 1
        plan = torch.tensor([self.level_to_timestep(level) for level in self._calls], dtype=torch.float32)
        self._call_timesteps = plan.tolist()
        self.timesteps = plan.to(device)
        self._forget_run()

    def _plan(self, levels: Sequence[float]) -> tuple[float, ...]:
        """The level of every network call, found by running the algorithm once on a single number."""
        x = torch.zeros(())
        run = self.algorithm(x, levels, lambda level_from, level_to: x)
        calls = []
        try:
            _, level = next(run)
            while True:
                calls.append(level)
                _, level = run.send(x)
        except StopIteration:
            return tuple(calls)

    # A run.

    def _forget_run(self) -> None:
        self._run: Algorithm | None = None
        self._begin_index: int | None = None
        self._call = 0
        self._x = torch.zeros(())  # the state, float32
        self._handed: Tensor | None = None  # the state as step() last gave it away
        self._noise: Noise | None = None
        self._generator: torch.Generator | list[torch.Generator] | None = None

    def begin(self, sample: Tensor, noise: Noise | None = None) -> Tensor:
        """Start a run from ``sample`` of shape (pictures, channels, height, width), noised to the first level.

        ``noise`` gives the random numbers of samplers that add noise; without it they come from ``step(generator=...)``.
        Returns the first network input, unscaled, in float32.
        """
        if not self._calls:
            raise ValueError("set_timesteps must be called before a run begins")
        self._call = self._begin_index or 0
        self._noise = noise
        self._x = sample.to(torch.float32, copy=True)
        self._run = self.algorithm(self._x, self._levels_from(self._call), self._draw)
        self._x, _ = next(self._run)
        return self._x

    def _levels_from(self, call: int) -> tuple[float, ...]:
        levels = self.levels[call // self.order :]
        if call and self._plan(levels) != self._calls[call:]:
            raise ValueError(f"a run cannot begin at network call {call}, in the middle of a step")
        return levels

    def _draw(self, level_from: float, level_to: float) -> Tensor:
        if self._noise is not None:
            return self._noise(level_from, level_to)
        shape, device = self._x.shape, self._x.device
        drawn: Tensor = randn_tensor(shape, generator=self._generator, device=device, dtype=torch.float32)
        return drawn

    @property
    def call(self) -> int:
        """The network call that comes next, counted from 0; ``len(timesteps)`` when all have been made."""
        return self._call if self._run is not None else self._begin_index or 0

    @property
    def done(self) -> bool:
        """Whether all network calls of the run have been made."""
        return self.call == len(self._calls)

    @property
    def level(self) -> float:
        """The noise level of the next network call, in the unit of ``levels``."""
        return self._calls[self.call]

    @property
    def timestep(self) -> float:
        """What the network is told in its next call."""
        return self._call_timesteps[self.call]

    @property
    def sigma(self) -> float:
        """The noise level of the next network call as noise over signal, whatever the unit of ``levels``."""
        signal, noise = self.signal_and_noise(self.level)
        return noise / signal

    def predict_x0(self, model_output: Tensor, x: Tensor) -> Tensor:
        """The clean latent in state ``x``, by what the network answered to the call under way. Float32.

        epsilon: Ho et al. 2020, equation 15. v = α·ε − σ·x0: Salimans and Ho, arXiv 2202.00512, appendix D.
        """
        output, x = model_output.to(torch.float32), x.to(torch.float32)
        if self.prediction_type == "sample":
            return output
        a, b = self.signal_and_noise(self.level)
        if self.prediction_type == "epsilon":
            return x - output * b if a == 1.0 else (x - output * b) / a
        scale = math.hypot(a, b)  # v is defined where signal² + noise² = 1
        return x * (a / scale**2) - output * (b / scale)

    def advance(self, denoised: Tensor) -> Tensor:
        """Tell the sampler the clean latent; returns the next network input (unscaled), or the result when ``done``."""
        if self._run is None:
            raise ValueError("begin must be called before the first step")
        if self.done:
            raise ValueError(f"all {len(self._calls)} network calls of this run have been made")
        try:
            self._x, _ = self._run.send(denoised)
        except StopIteration as stop:
            self._x = stop.value
        self._call += 1
        return self._x

    # What diffusers' pipelines call.

    def __len__(self) -> int:
        return int(self.config.num_train_timesteps)

    @property
    def step_index(self) -> int | None:
        return None if self._run is None else self._call

    @property
    def begin_index(self) -> int | None:
        return self._begin_index

    def set_begin_index(self, begin_index: int = 0) -> None:
        """Start at this network call instead of the first, as img2img does."""
        self._begin_index = begin_index

    def _locate(self, timestep: float | Tensor) -> None:
        """Before the first step, find which call is meant: pipelines may cut ``timesteps`` and say nothing of it."""
        if self._run is None and self._begin_index is None:
            try:
                self._begin_index = self._call_timesteps.index(float(timestep))
            except ValueError:
                raise ValueError(f"{float(timestep)} is not one of the timesteps that were set") from None

    def scale_model_input(self, sample: Tensor, timestep: float | Tensor | None = None) -> Tensor:
        """The state as the network was trained to see it: of unit variance. Keeps the dtype."""
        if timestep is not None:
            self._locate(timestep)
        a, b = self.signal_and_noise(self.level)
        scale = math.hypot(a, b)
        return sample if scale == 1.0 else sample * (1 / scale)

    def step(
        self,
        model_output: Tensor,
        timestep: float | Tensor,
        sample: Tensor,
        generator: torch.Generator | list[torch.Generator] | None = None,
        return_dict: bool = True,
    ) -> StepOutput | tuple[Tensor, Tensor]:
        """One network call further. ``timestep`` only matters in the first call of a run that was not begun.

        ``generator`` (one, or one per picture) is used if ``begin`` was given no noise. The result has the dtype of
        ``sample``; the state within stays float32.
        """
        self._generator = generator
        if self._run is None:
            self._locate(timestep)
            self.begin(sample)
            if self.level != self.levels[self.call // self.order]:
                raise ValueError("s_churn adds noise before the first network call: call begin() before the loop")
        elif sample is not self._handed or sample.dtype == torch.float32:
            self._x.copy_(sample)  # pipelines may change the latents between two steps; those that inpaint do
        denoised = self.predict_x0(model_output, self._x)
        self._handed = self.advance(denoised).to(sample.dtype, copy=True)
        if not return_dict:
            return self._handed, denoised
        return StepOutput(prev_sample=self._handed, pred_original_sample=denoised)

    def add_noise(self, original_samples: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Clean latents at the noise level of a timestep each; one timestep serves all."""
        weights = torch.tensor(
            [self.signal_and_noise(self._timestep_to_level(t)) for t in timesteps.reshape(-1).tolist()]
        )
        a, b = weights.to(original_samples).reshape(-1, 2, *[1] * (original_samples.ndim - 1)).unbind(1)
        return a * original_samples + b * noise

    def _timestep_to_level(self, timestep: float) -> float:
        if timestep in self._call_timesteps:
            return self._calls[self._call_timesteps.index(timestep)]
        return self.timestep_to_level(timestep)


def falling(levels: Sequence[float], name: str) -> tuple[float, ...]:
    """The levels as floats; ``InvalidRequest`` unless there are at least two, finite, not negative, each below the last."""
    values = tuple(float(level) for level in levels)
    steps = list(pairwise(values))
    if not steps or not all(math.inf > high > low >= 0 for high, low in steps):
        raise InvalidRequest(
            f"A run needs two or more {name}, each below the one before, the last 0 or more.", "schedule"
        )
    return values
