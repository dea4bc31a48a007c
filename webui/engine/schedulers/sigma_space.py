"""Samplers that calculate in sigma: the state is x0 + σ·noise, as in Karras et al. 2022 and k-diffusion."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from webui.domain.noise_levels import NoiseModel
from webui.domain.schedules import Schedule, find_schedule
from webui.engine.schedulers.base import Scheduler
from webui.engine.schedulers.solver import Noise, falling

UNIFORM = find_schedule("Uniform")


class SigmaScheduler(Scheduler):
    """``levels`` are sigmas, any that fall; where they do not end at 0, noise is left in the result, as asked."""

    @property
    def schedule_model(self) -> NoiseModel:
        """The levels that schedules are laid over: all that were trained, unless the sampler is for networks that know fewer."""
        return self.noise_model

    def set_timesteps(
        self,
        num_inference_steps: int | None = None,
        device: str | torch.device | None = None,
        sigmas: Sequence[float] | None = None,
    ) -> None:
        """Set the noise levels, the one where the run ends included: ``sigmas``, or those of the Uniform schedule.

        A part of a schedule will do: img2img enters in the middle.
        """
        if sigmas is None:
            if num_inference_steps is None:
                raise ValueError("set_timesteps needs num_inference_steps or sigmas")
            sigmas = UNIFORM.sigmas(num_inference_steps, self.schedule_model)
        self._take(falling(sigmas, "sigmas"), device)

    def _take(
        self, sigmas: Sequence[float], device: str | torch.device | None, whole: Sequence[float] | None = None
    ) -> None:
        self._set_levels(sigmas, device, whole)
        self.sigmas = torch.tensor(self.levels, dtype=torch.float32)

    def set_run(
        self,
        steps: int,
        schedule: Schedule | None,
        skip: int | None = None,
        device: str | torch.device | None = None,
        sigmas: Sequence[float] | None = None,
    ) -> None:
        whole = falling(sigmas or (schedule or UNIFORM).sigmas(steps, self.schedule_model), "sigmas")
        self._take(whole[min(skip or 0, len(whole) - 2) :], device, whole)

    def level_to_timestep(self, level: float) -> float:
        return self.noise_model.sigma_to_t(level)

    def timestep_to_level(self, timestep: float) -> float:
        return self.noise_model.t_to_sigma(timestep)

    def signal_and_noise(self, level: float) -> tuple[float, float]:
        return 1.0, level

    @property
    def init_noise_sigma(self) -> float:
        return self.levels[0] if self.levels else self.noise_model.sigma_max

    def churn(self, x: Tensor, sigma: float, steps: int, noise: Noise) -> tuple[Tensor, float]:
        """More noise before a step: (x̂, σ̂). Karras et al. 2022, algorithm 2, lines 4 to 6.

        ``steps`` is how many the run has: S_churn is spread over them, at most √2 − 1 in each.
        """
        if self.s_churn <= 0:
            return x, sigma
        gamma = min(self.s_churn / steps, 2**0.5 - 1) if self.s_tmin <= sigma <= self.s_tmax else 0.0
        sigma_hat = sigma * (1 + gamma)
        eps = noise(
            sigma, sigma_hat
        )  # drawn also when it has no weight: k-diffusion does, and later draws depend on it
        if gamma > 0:
            x = x + eps * (self.s_noise * (sigma_hat**2 - sigma**2) ** 0.5)
        return x, sigma_hat
