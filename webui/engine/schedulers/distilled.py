"""Samplers for distilled networks, which know only the timesteps of the runs that they learned from."""

from __future__ import annotations

from functools import cached_property

from webui.domain.noise_levels import NoiseModel
from webui.domain.samplers import Sampler
from webui.engine.schedulers.sigma_space import SigmaScheduler


class DistilledScheduler(SigmaScheduler):
    """Of 50 steps these are 999, 979, ..., 19. Schedules are laid over them, and the network is told the nearest of them."""

    sampler: Sampler  # its row, which says how many

    @cached_property
    def schedule_model(self) -> NoiseModel:
        return self.sampler.known_levels(self.noise_model)

    def level_to_timestep(self, level: float) -> float:
        return self.sampler.timestep_told(level, self.noise_model)
