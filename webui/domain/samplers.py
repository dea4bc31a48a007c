"""The sampler dropdown: what each sampler is called, and what can be chosen with it.

The facts here are pure, so that the page, the API and the command line answer before torch is loaded. The scheduler
class that does the work stands under the same name in ``engine/samplers.py``; a test holds the two tables together.
"""

from __future__ import annotations

from dataclasses import dataclass

from webui.domain.noise_levels import NoiseModel
from webui.errors import InvalidRequest, did_you_mean


@dataclass(frozen=True)
class Sampler:
    """One row.

    ``default_schedule`` is what "Automatic" means; None says that the sampler places its noise levels itself and takes no
    schedule. ``schedules`` are the names of those it accepts; None says all. ``options`` are the request parameters that
    it obeys besides steps, seed and schedule; others mean nothing to it. ``aliases`` are spelled as ``find_sampler`` looks
    them up.

    ``calls_per_step`` is how often it asks the network in each step; the step to no noise at all takes one call in every
    sampler. ``ancestral``: adds noise from the picture's stream while sampling, so that ENSD matters. ``brownian``: adds
    increments of a Brownian path, of which halves sum up to the whole, so that the picture stays when the number of
    steps changes. ``discards_penultimate``: works on a schedule of one step more, without its last level above 0.
    ``adaptive``: chooses the number of steps itself. ``distilled_steps``: is for networks that know only the timesteps of
    a run of so many steps.
    """

    name: str
    default_schedule: str | None = "Uniform"
    aliases: tuple[str, ...] = ()
    calls_per_step: int = 1
    ancestral: bool = False
    brownian: bool = False
    discards_penultimate: bool = False
    adaptive: bool = False
    distilled_steps: int | None = None
    schedules: tuple[str, ...] | None = None
    options: tuple[str, ...] = ()

    def accepts(self, schedule: str) -> bool:
        """Whether the schedule of this name in ``domain/schedules.py`` can be chosen with it. "Automatic" always can."""
        if schedule == "Automatic":
            return True
        return self.default_schedule is not None and (self.schedules is None or schedule in self.schedules)

    def known_levels(self, model: NoiseModel) -> NoiseModel:
        """The levels that its schedules are laid over."""
        return model if self.distilled_steps is None else model.thinned(self.distilled_steps)

    def timestep_told(self, sigma: float, model: NoiseModel) -> float:
        """What the network is told of a noise level: its (fractional) timestep, or the nearest that was distilled."""
        if self.distilled_steps is None:
            return model.sigma_to_t(sigma)
        known = self.known_levels(model)
        stride = len(model.levels) // self.distilled_steps
        return float(model.t_max - stride * (known.t_max - round(known.sigma_to_t(sigma))))


CHURN = ("s_churn", "s_tmin", "s_tmax", "s_noise")
ANCESTRAL = ("eta", "s_noise")

SAMPLERS: tuple[Sampler, ...] = (  # A1111's, in its order; the first is the default
    Sampler("DPM++ 2M", "Karras", ("dpmpp_2m", "dpmpp_2", "dpmsolvermultistep")),
    Sampler("DPM++ SDE", "Karras", ("dpmpp_sde", "dpmsolversde"), calls_per_step=2, brownian=True, options=ANCESTRAL),
    Sampler("DPM++ 2M SDE", "Exponential", ("dpmpp_2m_sde",), brownian=True, options=ANCESTRAL),
    Sampler("DPM++ 2M SDE Heun", "Exponential", ("dpmpp_2m_sde_heun",), brownian=True, options=ANCESTRAL),
    Sampler(
        "DPM++ 2S a",
        "Karras",
        ("dpmpp_2s_a", "dpmpp_2s_ancestral", "dpmpp_2s", "dpmsolversinglestep"),
        calls_per_step=2,
        ancestral=True,
        options=ANCESTRAL,
    ),
    Sampler(
        "DPM++ 3M SDE",
        "Exponential",
        ("dpmpp_3m_sde", "dpmpp_3m"),
        brownian=True,
        discards_penultimate=True,
        options=ANCESTRAL,
    ),
    Sampler(
        "Euler a",
        aliases=("euler_a", "euler_ancestral", "euler ancestral", "eulerancestraldiscrete"),
        ancestral=True,
        options=ANCESTRAL,
    ),
    Sampler("Euler", aliases=("eulerdiscrete",), options=CHURN),
    Sampler("LMS", aliases=("lmsdiscrete",)),
    Sampler("Heun", aliases=("heundiscrete",), calls_per_step=2, options=CHURN),
    Sampler(
        "DPM2",
        "Karras",
        ("dpm_2", "kdpm_2", "kdpm2discrete"),
        calls_per_step=2,
        discards_penultimate=True,
        options=CHURN,
    ),
    Sampler(
        "DPM2 a",
        "Karras",
        ("dpm_2_a", "dpm2_a", "dpm_2_ancestral", "kdpm_2_a", "kdpm2ancestraldiscrete"),
        calls_per_step=2,
        ancestral=True,
        discards_penultimate=True,
        options=ANCESTRAL,
    ),
    Sampler("DPM fast", None, ("dpm_fast",), ancestral=True, options=ANCESTRAL),
    Sampler(
        "DPM adaptive",
        None,
        ("dpm_adaptive", "dpm_ad"),
        calls_per_step=3,
        ancestral=True,
        adaptive=True,
        options=ANCESTRAL,
    ),
    Sampler("Restart", "Karras", calls_per_step=2, ancestral=True, options=("s_noise",)),
    Sampler("DDIM", None, ("ddim_v3",), options=("eta",)),
    Sampler("DDIM CFG++", None, ("ddim_cfgpp", "ddim_cfg_pp"), options=("eta",)),
    Sampler("PLMS", None, ("pndm",)),
    Sampler("UniPC", None, ("uni_pc", "uni_pc_bh2", "unipcmultistep")),
    Sampler("LCM", ancestral=True, distilled_steps=50),
    # further ones
    Sampler("HeunPP2", calls_per_step=3, options=CHURN),
    Sampler("IPNDM"),
    Sampler("IPNDM_V"),
    Sampler("DEIS", aliases=("deismultistep",)),
    Sampler("DDPM", ancestral=True),
    Sampler("TCD", "Simple", ancestral=True, distilled_steps=50, options=ANCESTRAL),
    Sampler("SA-Solver", "Karras", ("sa solver", "sa_solver", "sasolver"), ancestral=True, options=ANCESTRAL),
    Sampler("ER SDE", "Karras", ("er-sde", "er_sde"), ancestral=True, options=("s_noise",)),
    Sampler("Res Multistep", "Karras", ("res_multistep",)),
    Sampler(
        "Res Multistep a",
        "Karras",
        ("res_multistep_ancestral", "res multistep ancestral"),
        ancestral=True,
        options=ANCESTRAL,
    ),
    Sampler("Gradient Estimation", "Exponential", ("gradient_estimation",)),
    Sampler("Euler CFG++", aliases=("euler_cfg_pp",)),
    Sampler(
        "Euler a CFG++",
        aliases=("euler_ancestral_cfg_pp", "euler_a_cfg_pp", "euler ancestral cfg++"),
        ancestral=True,
        options=ANCESTRAL,
    ),
    Sampler("DPM++ 2M CFG++", "Karras", ("dpmpp_2m_cfg_pp",)),
    Sampler(
        "DPM++ 2S a CFG++",
        "Karras",
        ("dpmpp_2s_ancestral_cfg_pp", "dpmpp_2s_a_cfg_pp", "dpm++ 2s ancestral cfg++"),
        calls_per_step=2,
        ancestral=True,
        options=ANCESTRAL,
    ),
)

_BY_NAME = {name.casefold(): row for row in SAMPLERS for name in (row.name, *row.aliases)}


def find_sampler(name: str) -> Sampler:
    """The row for a name or an alias, whatever its case; an unknown name raises ``InvalidRequest`` with near matches.

    Other programs' names are known: A1111's short ones and k-diffusion's functions (k_dpmpp_2m, sample_dpmpp_2m), ComfyUI's
    (dpmpp_2m_sde_gpu), InvokeAI's and diffusers' classes (DPMSolverMultistepScheduler). Where such a one is of an algorithm
    that is not here, as InvokeAI's dpmpp_3m, it is the nearest that is.
    """
    asked = name.strip().casefold()
    bare = asked.removeprefix("k_").removeprefix("sample_").removesuffix("_gpu").removesuffix("scheduler")
    row = _BY_NAME.get(asked) or _BY_NAME.get(bare)
    if row is None:
        hint = did_you_mean(name, [row.name for row in SAMPLERS])
        raise InvalidRequest(f'There is no sampler "{name}". {hint}', "sampler")
    return row
