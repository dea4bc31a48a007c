"""Samplers that calculate in timesteps: the state is α_t·x0 + σ_t·noise with α_t² + σ_t² = 1, as in DDPM."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from webui.domain.own_timesteps import ddim_timesteps
from webui.domain.schedules import Schedule
from webui.engine.schedulers.base import Scheduler
from webui.engine.schedulers.solver import falling


class TimestepScheduler(Scheduler):
    """``levels`` are timesteps, any that fall; A1111's own unless they are given. These samplers take no schedule."""

    default_eta = 0.0

    def set_timesteps(
        self,
        num_inference_steps: int | None = None,
        device: str | torch.device | None = None,
        timesteps: Sequence[float] | None = None,
    ) -> None:
        """Set the timesteps, the one where the run ends included: ``timesteps``, or :meth:`run_timesteps`."""
        if timesteps is None:
            if num_inference_steps is None:
                raise ValueError("set_timesteps needs num_inference_steps or timesteps")
            timesteps = self.run_timesteps(num_inference_steps)
        self._take(falling(timesteps, "timesteps"), device)

    def _take(
        self,
        timesteps: Sequence[float],
        device: str | torch.device | None,
        whole: Sequence[float] | None = None,
        entry: float | None = None,
    ) -> None:
        self._set_levels(timesteps, device, whole)
        self._entry = self.levels[0] if entry is None else entry
        self.sigmas = torch.tensor([b / a for a, b in map(self.signal_and_noise, self.levels)], dtype=torch.float32)

    def set_run(
        self,
        steps: int,
        schedule: Schedule | None,
        skip: int | None = None,
        device: str | torch.device | None = None,
        sigmas: Sequence[float] | None = None,
    ) -> None:
        whole = falling(self.run_timesteps(steps), "timesteps")
        if skip is None:
            self._take(whole, device)
        else:
            entry, *below = ddim_timesteps(steps, self.noise_model.t_max)[-max(2, steps - skip) :]
            if len(below) == 1:  # nothing to do: A1111 returns the noisy picture
                below = [entry, *below]
            self._take(falling(self.run_below(below), "timesteps"), device, whole, entry)
        self.num_inference_steps = steps - (skip or 0)  # often not the number of calls

    @property
    def entry_level(self) -> float:
        """From a picture: one of A1111's timesteps above the first that the network is told, as in latent-diffusion.

        The picture is thus somewhat noisier than the network is told.
        """
        return self._entry

    def run_timesteps(self, steps: int) -> Sequence[float]:
        """The timesteps that a run from noise visits, falling. It makes one call fewer than there are."""
        return ddim_timesteps(steps, self.noise_model.t_max)

    def run_below(self, timesteps: Sequence[float]) -> Sequence[float]:
        """The timesteps that a run from a picture visits, given A1111's below the entry."""
        return timesteps

    def signal_and_noise(self, level: float) -> tuple[float, float]:
        return self.noise_model.signal_and_noise(level)

    def level_to_timestep(self, level: float) -> float:
        return level

    def timestep_to_level(self, timestep: float) -> float:
        return timestep

    @property
    def init_noise_sigma(self) -> float:
        return 1.0
