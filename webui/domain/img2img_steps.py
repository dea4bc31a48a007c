"""How much of a schedule a run takes that starts from a picture: A1111's arithmetic, rounding included.

Denoising strength d says how far from the end of the schedule the run begins. Usually of S steps about d·S are taken. "Exactly as
many steps as asked for" stretches the schedule instead, so that S steps remain of it.
"""

from __future__ import annotations

from typing import NamedTuple

from webui.domain.request import GenerationRequest
from webui.domain.samplers import Sampler
from webui.errors import InvalidRequest

MOST_STEPS = 20_000  # of the whole schedule
MOST_TIMESTEPS = 1000  # of samplers that count in the timesteps that networks are trained on
_ALMOST_ALL = 0.999  # a strength of 1 still begins at the first step, not before it


class PartOfRun(NamedTuple):
    """The last ``steps`` - ``skip`` steps of a schedule of ``steps`` steps."""

    steps: int
    skip: int

    @property
    def taken(self) -> int:
        return self.steps - self.skip


def most_steps(sampler: Sampler) -> int:
    """Of how many steps this sampler's schedule can be."""
    return MOST_TIMESTEPS if sampler.default_schedule is None else MOST_STEPS


def part_of_run(steps: int, strength: float, *, exact: bool = False, most: int = MOST_STEPS) -> PartOfRun:
    """The part of the schedule that a denoising strength of 0 ... 1 leaves.

    A strength of 0 still leaves one step: it removes the little noise of the lowest level. With ``exact`` the schedule grows
    as the strength falls; raises ``InvalidRequest`` where it would grow beyond ``most``.

    >>> part_of_run(20, 0.75).taken, part_of_run(20, 0.75, exact=True)
    (16, PartOfRun(steps=26, skip=6))
    """
    share = min(strength, _ALMOST_ALL)
    if not exact or not share:  # A1111 divides by 0 there
        return PartOfRun(steps, steps - int(share * steps) - 1)
    if steps > most * share:
        raise InvalidRequest(
            f"{steps} steps at a denoising strength of {strength:g} would be a part of more than {most:,} steps, which this "
            "sampler cannot make. Raise the strength, or do not ask for exactly as many steps.",
            "exact_steps",
        )
    whole = int(steps / share)
    return PartOfRun(whole, whole - steps)


def check_run(request: GenerationRequest, sampler: Sampler) -> None:
    """Refuses a request whose picture cannot be drawn over as it asks for, in its last loop as in its first."""
    if not request.has_picture:
        return
    request.check_ways()
    for strength in (request.denoising_strength, *([request.final_denoising_strength] if request.loops_back else [])):
        part_of_run(request.steps, strength, exact=request.exact_steps, most=most_steps(sampler))
