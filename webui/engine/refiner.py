"""Two models one after the other in the same run: the second, a refiner, draws the last steps."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from webui.engine.conditioning import Conditioning
from webui.engine.guidance import Guidance, Guide, Network
from webui.engine.model_manager import Model
from webui.engine.schedulers.base import Scheduler

TRAINED_STEPS = 1000


@dataclass(frozen=True, eq=False)
class Runner:
    """A network, and where it is steered to: each model reads the prompts with its own text encoders.

    ``channels`` is how many it sees: a refiner may see less beside the latents than the model before it.
    """

    network: Network
    guide: Guide
    channels: int


class Relay:
    """Guide and network of a run in which ``second`` takes over from ``first``, and keeps on to the end.

    A1111's test since 1.9, before each call: of the timesteps of training, 999 ... 0, a share of at least ``switch_at`` lies
    behind. So the moment depends on how much noise is left, and not on how many steps are taken.
    """

    def __init__(self, first: Runner, second: Runner, scheduler: Scheduler, switch_at: float) -> None:
        self._now = first
        self._second = second
        self._scheduler = scheduler
        self._switch_at = switch_at

    def at(self, call: int) -> Guidance:
        """The guidance of a network call; asked before each."""
        behind = TRAINED_STEPS - 1 - round(self._scheduler.timestep)
        if behind / TRAINED_STEPS >= self._switch_at:
            self._now = self._second
        return self._now.guide.at(call)

    def network(self, x: Tensor, timestep: float, told: Conditioning) -> Tensor:
        return self._now.network(x[:, : self._now.channels], timestep, told)


def relay_of(
    first: Model, second: Model, guide: Guide, refined: Guide, scheduler: Scheduler, switch_at: float
) -> Relay:
    """The relay of two models, each with its own guide."""
    runners = [
        Runner(model.network(), by, int(model.checkpoint.unet.config.in_channels))
        for model, by in ((first, guide), (second, refined))
    ]
    return Relay(runners[0], runners[1], scheduler, switch_at)
