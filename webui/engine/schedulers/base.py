"""The bridge from our solvers to diffusers' scheduler interface, so that each works unchanged in any of its pipelines."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from diffusers import ConfigMixin, SchedulerMixin
from diffusers.configuration_utils import register_to_config
from diffusers.schedulers.scheduling_utils import KarrasDiffusionSchedulers
from diffusers.utils import BaseOutput
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from webui.domain.noise_levels import NoiseModel
from webui.domain.schedules import Schedule
from webui.engine.brownian import BrownianNoise
from webui.engine.noise import paths_of
from webui.engine.schedulers.solver import Solver
from webui.engine.schedulers.trained_noise import trained_alphas_cumprod
from webui.errors import IncompatibleModel

PREDICTION_TYPES = ("epsilon", "v_prediction", "sample")


@dataclass
class StepOutput(BaseOutput):  # type: ignore[misc]
    """``prev_sample``: the next network input (unscaled) or the result. ``pred_original_sample``: the clean latent."""

    prev_sample: Tensor
    pred_original_sample: Tensor


class Scheduler(Solver, SchedulerMixin, ConfigMixin):  # type: ignore[misc]
    """A sampler for a model: ``noise_model`` is what the network was trained on, ``sigmas`` the levels as a tensor.

    ``eta`` (None: the sampler's own), ``s_churn``, ``s_tmin``, ``s_tmax`` (None: no limit) and ``s_noise`` are A1111's
    sampler options; samplers to which they mean nothing ignore them.
    """

    default_eta = 1.0
    sigmas: Tensor
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
        super().__init__()
        if prediction_type not in PREDICTION_TYPES:
            raise IncompatibleModel(
                f'The model predicts "{prediction_type}"; only {", ".join(PREDICTION_TYPES)} are known.'
            )
        alphas_cumprod = trained_alphas_cumprod(
            num_train_timesteps, beta_start, beta_end, beta_schedule, trained_betas, rescale_betas_zero_snr
        )
        self.noise_model = NoiseModel.from_alphas_cumprod(alphas_cumprod)
        self.alphas_cumprod = torch.tensor(alphas_cumprod, dtype=torch.float32)
        self.timesteps = torch.arange(num_train_timesteps - 1, -1, -1, dtype=torch.float32)
        self.prediction_type = prediction_type
        self.eta = self.default_eta if eta is None else eta
        self.s_churn, self.s_tmin, self.s_noise = s_churn, s_tmin, s_noise
        self.s_tmax = float("inf") if s_tmax is None else s_tmax

    def _forget_run(self) -> None:
        super()._forget_run()
        self._handed: Tensor | None = None  # the state as step() last gave it away
        self._generator: torch.Generator | list[torch.Generator] | None = None
        self._brownian: BrownianNoise | None = None

    @abstractmethod
    def set_run(
        self,
        steps: int,
        schedule: Schedule | None,
        skip: int | None = None,
        device: str | torch.device | None = None,
        sigmas: Sequence[float] | None = None,
    ) -> None:
        """Set the levels of a run of ``steps`` steps along ``schedule``. None: Uniform, or its own.

        ``skip`` is for a run that starts from a picture: so many steps are left out at the start, 0 among them; None is
        for one that starts from noise. The picture is to be noised by ``enter``.
        ``sigmas`` are the noise levels of the whole run, the end included, where the caller has calculated them; samplers
        with timesteps of their own pay no heed to them.
        """

    @property
    def entry_level(self) -> float:
        """The level that a picture is noised to before the run, in the unit of ``levels``."""
        return self.levels[0]

    def enter(self, latents: Tensor, noise: Tensor) -> Tensor:
        """Clean latents (n, c, h, w) with unit noise of the same shape at ``entry_level``: where img2img begins."""
        a, b = self.signal_and_noise(self.entry_level)
        return latents * a + noise * b

    @property
    @abstractmethod
    def init_noise_sigma(self) -> float:
        """What unit noise is multiplied by to start the run."""

    def __len__(self) -> int:
        return int(self.config.num_train_timesteps)

    @property
    def step_index(self) -> int | None:
        return None if self._run is None else self._call

    @property
    def begin_index(self) -> int | None:
        return self._begin_index

    def set_begin_index(self, begin_index: int = 0) -> None:
        """Start at this network call instead of the first, as img2img pipelines do."""
        self._begin_index = begin_index

    def _locate(self, timestep: float | Tensor) -> None:
        """Before the first step, find which call is meant: pipelines may cut ``timesteps`` and say nothing of it."""
        if self._run is None and self._begin_index is None:
            try:
                self._begin_index = self._call_timesteps.index(float(timestep))
            except ValueError:
                raise ValueError(f"{float(timestep)} is not one of the timesteps that were set") from None

    def scale_model_input(self, sample: Tensor, timestep: float | Tensor | None = None) -> Tensor:
        if timestep is not None:
            self._locate(timestep)
        return super().scale_model_input(sample)

    def step(
        self,
        model_output: Tensor,
        timestep: float | Tensor,
        sample: Tensor,
        generator: torch.Generator | list[torch.Generator] | None = None,
        return_dict: bool = True,
    ) -> StepOutput | tuple[Tensor, Tensor]:
        """``predict_x0`` and ``advance`` in one. ``timestep`` only matters in the first call of a run that was not begun.

        ``generator`` (one, or one per picture) is used if ``begin`` was given no noise. ``prev_sample`` has the dtype of
        ``sample``; the state within stays float32. A pipeline tells only its guided output, so that samplers which want the
        unconditional one too (CFG++) take it for both: exact at guidance scale 1.
        """
        if self.adaptive:
            raise ValueError(
                f"{type(self).__name__} finds its timesteps on the way, and a pipeline wants to know them before: "
                "drive it with begin, predict_x0 and advance"
            )
        self._generator = generator
        if self._run is None:
            self._locate(timestep)
            self.begin(sample)
            if self.level != self._start_level:
                raise ValueError("s_churn adds noise before the first network call: call begin() before the loop")
        elif sample is not self._handed or sample.dtype == torch.float32:
            self._x.copy_(sample)  # pipelines may change the latents between two steps; those that inpaint do
        denoised = self.predict_x0(model_output, self._x)
        self._handed = self.advance(denoised).to(sample.dtype, copy=True)
        if not return_dict:
            return self._handed, denoised
        return StepOutput(prev_sample=self._handed, pred_original_sample=denoised)

    def _draw(self, level_from: float, level_to: float) -> Tensor:
        if self._noise is not None:
            return self._noise(level_from, level_to)
        shape, device = self._x.shape, self._x.device
        if self.brownian:
            self._brownian = self._brownian or paths_of(self._generator, shape, self.whole_levels, device)
            return self._brownian(level_from, level_to).reshape(shape)
        drawn: Tensor = randn_tensor(shape, generator=self._generator, device=device, dtype=torch.float32)
        return drawn

    def add_noise(self, original_samples: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Clean latents at the noise level of a timestep each; one timestep serves all."""
        weights = torch.tensor([self.signal_and_noise(self._level_at(t)) for t in timesteps.reshape(-1).tolist()])
        a, b = weights.to(original_samples).reshape(-1, 2, *[1] * (original_samples.ndim - 1)).unbind(1)
        return a * original_samples + b * noise

    def _level_at(self, timestep: float) -> float:
        """Exact for the timesteps of this run, also where levels lie beyond what the model was trained on."""
        if timestep in self._call_timesteps:
            return self._calls[self._call_timesteps.index(timestep)]
        return self.timestep_to_level(timestep)
