"""The sampler dropdown: what each sampler is called, and what can be chosen with it.

The facts here are pure, so that the page, the API and the command line answer before torch is loaded. The scheduler
class that does the work stands under the same name in ``engine/samplers.py``; a test holds the two tables together.
"""

from __future__ import annotations

from dataclasses import dataclass

from webui.errors import InvalidRequest, did_you_mean


@dataclass(frozen=True)
class Sampler:
    """One row.

    ``default_schedule`` is what "Automatic" means; None says that the sampler has timesteps of its own and takes no
    schedule. ``calls_per_step`` is how often it asks the network in each step. ``ancestral``: adds noise while sampling,
    so that ENSD matters.
    """

    name: str
    default_schedule: str | None = "Uniform"
    aliases: tuple[str, ...] = ()
    calls_per_step: int = 1
    ancestral: bool = False


SAMPLERS: tuple[Sampler, ...] = (  # A1111's order; the first is the default
    Sampler("DPM++ 2M", "Karras", ("k_dpmpp_2m", "dpmpp_2m")),
    Sampler("Euler a", aliases=("k_euler_a", "k_euler_ancestral", "euler_ancestral"), ancestral=True),
    Sampler("Euler", aliases=("k_euler",)),
    Sampler("LMS", aliases=("k_lms",)),
    Sampler("Heun", aliases=("k_heun",), calls_per_step=2),
    Sampler("DDIM", None),
    Sampler("UniPC", None, ("uni_pc",)),
)

_BY_NAME = {name.casefold(): row for row in SAMPLERS for name in (row.name, *row.aliases)}


def find_sampler(name: str) -> Sampler:
    """The row for a name or an alias, whatever its case; an unknown name raises ``InvalidRequest`` with near matches."""
    try:
        return _BY_NAME[name.strip().casefold()]
    except KeyError:
        hint = did_you_mean(name, [row.name for row in SAMPLERS])
        raise InvalidRequest(f'There is no sampler "{name}". {hint}', "sampler") from None
