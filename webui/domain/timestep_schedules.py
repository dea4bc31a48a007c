"""Schedules that choose among the timesteps that the network was trained on; the noise levels are those it had there."""

from __future__ import annotations

from webui.domain.beta_distribution import beta_quantile
from webui.domain.descent import Descent, Levels, line, then_zero


def uniform(descent: Descent) -> Levels:
    """Timesteps evenly spaced from the last to the first. k-diffusion ``DiscreteSchedule.get_sigmas``.

    Always over all of them, as in A1111, also where the least or most noise was set; :func:`normal` obeys that.
    """
    model = descent.model
    return then_zero([model.t_to_sigma(t) for t in line(model.t_max, 0.0, descent.n)])


def normal(descent: Descent) -> Levels:
    """Timesteps evenly spaced from that of sigma_max to that of sigma_min. A1111 and ComfyUI ``normal_scheduler``."""
    start, end = _ends(descent)
    return then_zero([descent.model.t_to_sigma(t) for t in line(start, end, descent.n)])


def sgm_uniform(descent: Descent) -> Levels:
    """As :func:`normal` with one timestep more, the last of which is left out: no step is spent on nearly no noise.

    Stability AI generative-models, ``LegacyDDPMDiscretization``; wanted by SDXL Turbo, Lightning and LCM models.
    """
    start, end = _ends(descent)
    return then_zero([descent.model.t_to_sigma(t) for t in line(start, end, descent.n + 1)[:-1]])


def simple(descent: Descent) -> Levels:
    """Every (1000 / n)-th trained level, counted from the noisy end, rounded up to it. ComfyUI ``simple_scheduler``."""
    count, n = len(descent.model.levels), descent.n
    if n > count:
        return _between_trained_levels(descent)
    return then_zero([descent.model.levels[count - 1 - int(i * (count / n))] for i in range(n)])


def turbo(descent: Descent) -> Levels:
    """As :func:`simple`, but rounded to the nearest. Forge ``turbo_scheduler``; diffusers' timestep_spacing "trailing"."""
    count, n = len(descent.model.levels), descent.n
    if n > count:
        return _between_trained_levels(descent)
    return then_zero([descent.model.levels[round(i * count / n - 1)] for i in range(n, 0, -1)])


def ddim(descent: Descent) -> Levels:
    """Every (1000 // n)-th trained level from the second upwards, turned round. A1111 and ComfyUI ``ddim_scheduler``.

    As 1000 // n is rounded down, these are often more than n: 7 steps become 8, and 30 become 31. Above 500 the stride
    is 1, and there are 999. A single step would begin with nearly no noise there; here it begins with the most.
    """
    levels = descent.model.levels
    if descent.n == 1:
        return then_zero([levels[-1]])
    return then_zero(levels[1 :: max(1, len(levels) // descent.n)][::-1])


def beta_of_timesteps(descent: Descent) -> Levels:
    """Timesteps spread as the quantiles of a Beta distribution, rounded to whole ones. ComfyUI ``beta_scheduler``.

    Lee et al., "Beta Sampling is All You Need", arXiv 2407.12173. Where two quantiles are rounded to the same timestep
    there is one step fewer: with many steps they crowd at both ends.
    """
    t_max, n = descent.model.t_max, descent.n
    quantiles = (beta_quantile(1 - i / n, descent.alpha, descent.beta) for i in range(n))
    timesteps = dict.fromkeys(round(quantile * t_max) for quantile in quantiles)  # each once, in order
    return then_zero([descent.model.levels[t] for t in timesteps])


def _ends(descent: Descent) -> tuple[float, float]:
    return descent.model.sigma_to_t(descent.sigma_max), descent.model.sigma_to_t(descent.sigma_min)


def _between_trained_levels(descent: Descent) -> Levels:
    """For more steps than there are trained levels, where rounding to these would make steps of length 0."""
    t_max, n = descent.model.t_max, descent.n
    return then_zero([descent.model.t_to_sigma(t_max - i * t_max / n) for i in range(n)])
