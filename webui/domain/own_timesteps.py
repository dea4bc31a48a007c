"""The timesteps of samplers that take no schedule: DDIM and its kin, and UniPC, which choose among them themselves."""

from __future__ import annotations


def every_nth_timestep(steps: int, t_max: int) -> list[int]:
    """Every (1000 // steps)-th timestep from 1 upwards, turned round: 20 steps give 951, 901, ..., 1; 30 give 31.

    A1111's, and before it latent-diffusion's "uniform" discretisation.
    """
    stride = max(1, (t_max + 1) // steps)
    return sorted({min(t + 1, t_max) for t in range(0, t_max + 1, stride)}, reverse=True)


def ddim_timesteps(steps: int, t_max: int) -> list[int]:
    """:func:`every_nth_timestep`, of which there are often not ``steps``, but at least two: a run ends at the last one.

    With 1 step there would be no call of the network, and A1111 returns noise; here it then goes from ``t_max`` to 1.
    """
    visited = every_nth_timestep(steps, t_max)
    return visited if len(visited) > 1 else [t_max, *visited]


def unipc_timesteps(steps: int, t_max: int) -> list[float]:
    """Evenly spaced from the last to 0, as many as :func:`every_nth_timestep` has and one more, where the run ends."""
    return evenly_to_zero(t_max, len(every_nth_timestep(steps, t_max)))


def evenly_to_zero(start: float, count: int) -> list[float]:
    """``count`` steps of the same length.

    >>> evenly_to_zero(999, 3)
    [999.0, 666.0, 333.0, 0.0]
    """
    return [start * (count - i) / count for i in range(count + 1)]
