"""The sampler dropdown: what each sampler is called, and what can be chosen with it.

The facts here are pure, so that the page, the API and the command line answer before torch is loaded. The scheduler
class that does the work stands under the same name in ``engine/samplers.py``; a test holds the two tables together.
"""

from __future__ import annotations

from dataclasses import dataclass

from webui.errors import InvalidRequest, did_you_mean

CHURN = ("s_churn", "s_tmin", "s_tmax", "s_noise")
ANCESTRAL = ("eta", "s_noise")


@dataclass(frozen=True)
class Sampler:
    """One row.

    ``default_schedule`` is what "Automatic" means; None says that the sampler places its noise levels itself and takes no
    schedule. ``schedules`` are the names of those it accepts; None says all. ``options`` are the request parameters that
    it obeys besides steps, seed and schedule; others mean nothing to it.

    ``calls_per_step`` is how often it asks the network in each step; the step to no noise at all takes one call in every
    sampler. ``ancestral``: adds noise from the picture's stream while sampling, so that ENSD matters. ``brownian``: adds
    increments of a Brownian path, of which halves sum up to the whole, so that the picture stays when the number of
    steps changes. ``discards_penultimate``: works on a schedule of one step more, without its last level above 0.
    ``adaptive``: chooses the number of steps itself.
    """

    name: str
    default_schedule: str | None = "Uniform"
    aliases: tuple[str, ...] = ()
    calls_per_step: int = 1
    ancestral: bool = False
    brownian: bool = False
    discards_penultimate: bool = False
    adaptive: bool = False
    schedules: tuple[str, ...] | None = None
    options: tuple[str, ...] = ()

    def accepts(self, schedule: str) -> bool:
        """Whether the schedule of this name in ``domain/schedules.py`` can be chosen with it. "Automatic" always can."""
        if schedule == "Automatic":
            return True
        return self.default_schedule is not None and (self.schedules is None or schedule in self.schedules)


SAMPLERS: tuple[Sampler, ...] = (  # A1111's order; the first is the default
    Sampler("DPM++ 2M", "Karras", ("k_dpmpp_2m", "dpmpp_2m")),
    Sampler(
        "Euler a", aliases=("k_euler_a", "k_euler_ancestral", "euler_ancestral"), ancestral=True, options=ANCESTRAL
    ),
    Sampler("Euler", aliases=("k_euler",), options=CHURN),
    Sampler("LMS", aliases=("k_lms",)),
    Sampler("Heun", aliases=("k_heun",), calls_per_step=2, options=CHURN),
    Sampler("DDIM", None, options=("eta",)),
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
