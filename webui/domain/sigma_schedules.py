"""Schedules that place their noise levels by σ itself, knowing of the model only where its levels begin and end."""

from __future__ import annotations

from math import atan, exp, log, tan

from webui.domain.beta_distribution import beta_quantile
from webui.domain.descent import Descent, Levels, line, then_zero

KARRAS_RHO = 7.0  # Karras et al. 2022: 7 gives the best pictures, 3 would equalise the truncation error


def karras(descent: Descent) -> Levels:
    """σ^(1/ρ) evenly spaced: many steps where little noise is left. Karras et al., arXiv 2206.00364, equation 5."""
    rho = descent.rho or KARRAS_RHO
    end = (descent.sigma_min / descent.sigma_max) ** (1 / rho)  # the root of the end, in units of that of the start
    *levels, last = (descent.sigma_max * root**rho for root in line(1.0, end, descent.n))
    return then_zero((*levels, descent.sigma_min if descent.n > 1 else last))


def exponential(descent: Descent) -> Levels:
    """log σ evenly spaced. k-diffusion ``get_sigmas_exponential``."""
    return then_zero([exp(x) for x in line(log(descent.sigma_max), log(descent.sigma_min), descent.n)])


def polyexponential(descent: Descent) -> Levels:
    """log σ falling as a power of the step: ρ = 1 is Exponential, more spends more steps on little noise.

    k-diffusion ``get_sigmas_polyexponential``.
    """
    low, high = log(descent.sigma_min), log(descent.sigma_max)
    ramp = [x ** (descent.rho or 1.0) for x in line(1.0, 0.0, descent.n)]
    return then_zero([exp(low + (high - low) * x) for x in ramp])


def kl_optimal(descent: Descent) -> Levels:
    """The arctangent of σ evenly spaced. Sabour et al., "Align Your Steps", arXiv 2404.14507, section 3.

    Ends at sigma_min instead of 0, as in A1111: what little noise there is stays in the picture.
    """
    n, low, high = descent.n, atan(descent.sigma_min), atan(descent.sigma_max)
    return tuple(tan(i / n * low + (1 - i / n) * high) for i in range(n + 1))


def beta(descent: Descent) -> Levels:
    """σ spread as the quantiles of a Beta distribution: more steps at both ends.

    Lee et al., "Beta Sampling is All You Need", arXiv 2407.12173, which spreads timesteps so; A1111 and diffusers spread σ.
    """
    quantiles = (beta_quantile(p, descent.alpha, descent.beta) for p in line(1.0, 0.0, descent.n))
    return then_zero([descent.sigma_min + q * (descent.sigma_max - descent.sigma_min) for q in quantiles])


def linear_quadratic(descent: Descent) -> Levels:
    """Half the steps take away a fortieth of σ in a straight line, the others the rest along a parabola.

    Made for the video model Mochi 1 (``linear_quadratic_schedule``), where σ runs from 1 to 0; ComfyUI stretches it.
    """
    n, first_part = descent.n, 0.025
    if n == 1:
        return then_zero([descent.sigma_max])
    straight = n // 2
    bent = n - straight
    slope = first_part / straight
    curvature = (1 - first_part - slope * bent) / bent**2  # goes on with the same slope and ends at 1
    taken = [slope * i for i in range(straight)]
    taken += [first_part + slope * i + curvature * i**2 for i in range(bent)]
    return then_zero([descent.sigma_max * (1 - part) for part in taken])
