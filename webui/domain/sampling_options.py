"""The finer choices about sampling, which AUTOMATIC1111's web UI keeps in its settings.

There they belong to the server, so that a picture depends on who changed what last. Here they belong to the request. At
its default each does nothing; and each means something to some samplers or schedules only (``Sampler.options`` and
``Schedule.options`` say to which). Where it means nothing it is kept, so that it is there again when the sampler is
changed back, and has no effect.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from webui.domain.parameter import parameter
from webui.errors import InvalidRequest

OWN_ETA = -1.0
"""The eta that stands for the sampler's own."""


@dataclass(frozen=True, kw_only=True)
class SamplingOptions:
    """The part of a request that changes how a sampler goes about its work."""

    eta: float = parameter(
        OWN_ETA,
        "Eta",
        "How much fresh noise the sampler adds: 0 none, 1 as in DDPM; -1 is the sampler's own.",
        infotext="Eta",
        minimum=-1.0,
        maximum=1.0,
        step=0.01,
    )
    s_churn: float = parameter(
        0.0,
        "Sigma churn",
        "Noise added before the steps of Euler, Heun and DPM2, spread over all of them.",
        infotext="Sigma churn",
        minimum=0.0,
        maximum=1000.0,
        step=0.01,
        slider_maximum=100.0,
    )
    s_tmin: float = parameter(
        0.0,
        "Sigma tmin",
        "Churn only above this noise level.",
        infotext="Sigma tmin",
        minimum=0.0,
        maximum=10000.0,
        step=0.01,
        slider_maximum=10.0,
    )
    s_tmax: float = parameter(
        0.0,
        "Sigma tmax",
        "Churn only below this noise level; 0 is no limit.",
        infotext="Sigma tmax",
        minimum=0.0,
        maximum=10000.0,
        step=0.01,
        slider_maximum=15.0,
    )
    s_noise: float = parameter(
        1.0,
        "Sigma noise",
        "What added noise is multiplied by; slightly above 1 keeps more detail.",
        infotext="Sigma noise",
        minimum=0.0,
        maximum=100.0,
        step=0.001,
        slider_maximum=1.1,
    )
    sigma_min: float = parameter(
        0.0,
        "Schedule min sigma",
        "The least noise that the schedule visits; 0 is the model's (0.03).",
        infotext="Schedule min sigma",
        minimum=0.0,
        maximum=10000.0,
        step=0.001,
        slider_maximum=2.0,
    )
    sigma_max: float = parameter(
        0.0,
        "Schedule max sigma",
        "The noise that the schedule begins with; 0 is the model's (14.6).",
        infotext="Schedule max sigma",
        minimum=0.0,
        maximum=10000.0,
        step=0.001,
        slider_maximum=60.0,
    )
    rho: float = parameter(
        0.0,
        "Schedule rho",
        "How steeply the schedule falls; 0 is its own (7 for Karras, 1 for Polyexponential).",
        infotext="Schedule rho",
        minimum=0.0,
        maximum=1000.0,
        step=0.1,
        slider_maximum=20.0,
    )
    beta_alpha: float = parameter(
        0.6,
        "Beta schedule alpha",
        "The Beta schedules: lower spends more steps on little noise.",
        infotext="Beta schedule alpha",
        minimum=0.01,
        maximum=50.0,
        step=0.01,
        slider_maximum=2.0,
    )
    beta_beta: float = parameter(
        0.6,
        "Beta schedule beta",
        "The Beta schedules: lower spends more steps on much noise.",
        infotext="Beta schedule beta",
        minimum=0.01,
        maximum=50.0,
        step=0.01,
        slider_maximum=2.0,
    )
    discard_penultimate: bool = parameter(
        False,
        "Discard next-to-last sigma",
        "Take a schedule of one step more and leave out its last noise level above 0.",
        infotext="Discard penultimate sigma",
    )
    custom_sigmas: str = parameter(
        "",
        "Custom sigmas",
        'The noise levels of the schedule "Custom", falling, as in 14.6, 7, 3, 1, 0.4, 0.1, 0. Steps then counts nothing.',
        infotext="Custom sigmas",
    )
    sgm_noise_multiplier: bool = parameter(
        False,
        "SGM noise multiplier",
        "Begin with a little more noise, as Stability AI's own code does.",
        infotext="SGM noise multiplier",
    )
    skip_early_cfg: float = parameter(
        0.0,
        "Skip early CFG",
        "The share of steps, from the first on, that pay no heed to the negative prompt; 0 is none.",
        infotext="Skip Early CFG",
        minimum=0.0,
        maximum=1.0,
        step=0.01,
    )
    ngms: float = parameter(
        0.0,
        "Negative guidance minimum sigma",
        "Below this noise level every other step leaves out the negative prompt, which is faster; 0 is off.",
        infotext="NGMS",
        minimum=0.0,
        maximum=10000.0,
        step=0.01,
        slider_maximum=15.0,
    )
    ngms_all_steps: bool = parameter(
        False,
        "NGMS all steps",
        "Below the negative guidance minimum sigma leave out the negative prompt in all steps.",
        infotext="NGMS all steps",
    )
    cfg_rescale: float = parameter(
        0.0,
        "CFG rescale",
        "How far to bring the contrast of the guided prediction back to that of the prompt's own; 0 is off.",
        infotext="CFG rescale",
        minimum=0.0,
        maximum=1.0,
        step=0.01,
    )
    zero_terminal_snr: bool = parameter(
        False,
        "Zero terminal SNR",
        "Begin with noise alone, for checkpoints that were trained so.",
        infotext="Noise Schedule",
        spelled=("Default", "Zero Terminal SNR"),
    )
    prediction_type: str = parameter(
        "",
        "Prediction type",
        "What the network is taken to predict: noise, velocity or the picture. Empty is what the checkpoint says.",
        infotext="Prediction type",
        choices=("", "epsilon", "v_prediction", "sample"),
    )

    def sampling_options(self) -> dict[str, Any]:
        """These alone of a request, by name."""
        return {name: getattr(self, name) for name in SAMPLING_OPTIONS}

    def check_eta(self) -> None:
        """Refuses what lies between "the sampler's own" and none."""
        if OWN_ETA < self.eta < 0:
            raise InvalidRequest(f"Eta must be -1 (the sampler's own) or between 0 and 1, not {self.eta}.", "eta")


SAMPLING_OPTIONS: tuple[str, ...] = tuple(field.name for field in dataclasses.fields(SamplingOptions))
