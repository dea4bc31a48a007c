"""Every name that a picture from elsewhere may call a sampler by."""

from __future__ import annotations

import pytest

from webui.domain.sampler_names import find_sampler_and_schedule, split_sampler_name
from webui.domain.samplers import SAMPLERS, find_sampler
from webui.domain.schedules import find_schedule
from webui.errors import InvalidRequest

A1111 = {  # the names of 1.10, in its order, and their short ones
    "DPM++ 2M": "k_dpmpp_2m",
    "DPM++ SDE": "k_dpmpp_sde",
    "DPM++ 2M SDE": "k_dpmpp_2m_sde",
    "DPM++ 2M SDE Heun": "k_dpmpp_2m_sde_heun",
    "DPM++ 2S a": "k_dpmpp_2s_a",
    "DPM++ 3M SDE": "k_dpmpp_3m_sde",
    "Euler a": "k_euler_a",
    "Euler": "k_euler",
    "LMS": "k_lms",
    "Heun": "k_heun",
    "DPM2": "k_dpm_2",
    "DPM2 a": "k_dpm_2_a",
    "DPM fast": "k_dpm_fast",
    "DPM adaptive": "k_dpm_ad",
    "Restart": "restart",
    "DDIM": "ddim",
    "DDIM CFG++": "ddim_cfgpp",
    "PLMS": "plms",
    "UniPC": "unipc",
    "LCM": "k_lcm",
}
BEFORE_1_9 = {
    "DPM++ 2M Karras": ("DPM++ 2M", "Karras"),
    "dpm++ 2m sde heun exponential": ("DPM++ 2M SDE Heun", "Exponential"),
    "LMS Karras": ("LMS", "Karras"),
    "k_dpm_2_a_ka": ("DPM2 a", "Karras"),
    "k_dpmpp_2m_sde_exp": ("DPM++ 2M SDE", "Exponential"),
    "Euler a SGM Uniform": ("Euler a", "SGM Uniform"),
}
COMFYUI = {
    "euler": "Euler",
    "euler_ancestral": "Euler a",
    "heun": "Heun",
    "heunpp2": "HeunPP2",
    "dpm_2": "DPM2",
    "dpm_2_ancestral": "DPM2 a",
    "lms": "LMS",
    "dpm_fast": "DPM fast",
    "dpm_adaptive": "DPM adaptive",
    "dpmpp_2s_ancestral": "DPM++ 2S a",
    "dpmpp_sde": "DPM++ SDE",
    "dpmpp_sde_gpu": "DPM++ SDE",
    "dpmpp_2m": "DPM++ 2M",
    "dpmpp_2m_sde": "DPM++ 2M SDE",
    "dpmpp_2m_sde_gpu": "DPM++ 2M SDE",
    "dpmpp_2m_sde_heun": "DPM++ 2M SDE Heun",
    "dpmpp_2m_sde_heun_gpu": "DPM++ 2M SDE Heun",
    "dpmpp_3m_sde": "DPM++ 3M SDE",
    "dpmpp_3m_sde_gpu": "DPM++ 3M SDE",
    "ddpm": "DDPM",
    "lcm": "LCM",
    "ipndm": "IPNDM",
    "ipndm_v": "IPNDM_V",
    "deis": "DEIS",
    "ddim": "DDIM",
    "uni_pc": "UniPC",
    "uni_pc_bh2": "UniPC",
    "euler_cfg_pp": "Euler CFG++",
    "euler_ancestral_cfg_pp": "Euler a CFG++",
    "dpmpp_2m_cfg_pp": "DPM++ 2M CFG++",
    "dpmpp_2s_ancestral_cfg_pp": "DPM++ 2S a CFG++",
    "res_multistep": "Res Multistep",
    "res_multistep_ancestral": "Res Multistep a",
    "gradient_estimation": "Gradient Estimation",
    "er_sde": "ER SDE",
    "sa_solver": "SA-Solver",
}
INVOKEAI = {
    "ddim": ("DDIM", None),
    "ddpm": ("DDPM", None),
    "deis": ("DEIS", None),
    "deis_k": ("DEIS", "Karras"),
    "lms_k": ("LMS", "Karras"),
    "heun_k": ("Heun", "Karras"),
    "euler_k": ("Euler", "Karras"),
    "euler_a": ("Euler a", None),
    "kdpm_2": ("DPM2", None),
    "kdpm_2_k": ("DPM2", "Karras"),
    "kdpm_2_a": ("DPM2 a", None),
    "kdpm_2_a_k": ("DPM2 a", "Karras"),
    "dpmpp_2s": ("DPM++ 2S a", None),
    "dpmpp_2s_k": ("DPM++ 2S a", "Karras"),
    "dpmpp_2m_k": ("DPM++ 2M", "Karras"),
    "dpmpp_2m_sde_k": ("DPM++ 2M SDE", "Karras"),
    "dpmpp_3m": ("DPM++ 3M SDE", None),
    "dpmpp_3m_k": ("DPM++ 3M SDE", "Karras"),
    "dpmpp_sde_k": ("DPM++ SDE", "Karras"),
    "unipc_k": ("UniPC", "Karras"),
    "lcm": ("LCM", None),
    "pndm": ("PLMS", None),
    "er_sde": ("ER SDE", None),
    "tcd": ("TCD", None),
}
DIFFUSERS = {
    "DPMSolverMultistepScheduler": "DPM++ 2M",
    "DPMSolverSinglestepScheduler": "DPM++ 2S a",
    "DPMSolverSDEScheduler": "DPM++ SDE",
    "EulerAncestralDiscreteScheduler": "Euler a",
    "EulerDiscreteScheduler": "Euler",
    "LMSDiscreteScheduler": "LMS",
    "HeunDiscreteScheduler": "Heun",
    "KDPM2DiscreteScheduler": "DPM2",
    "KDPM2AncestralDiscreteScheduler": "DPM2 a",
    "DDIMScheduler": "DDIM",
    "DDPMScheduler": "DDPM",
    "DEISMultistepScheduler": "DEIS",
    "IPNDMScheduler": "IPNDM",
    "LCMScheduler": "LCM",
    "UniPCMultistepScheduler": "UniPC",
    "PNDMScheduler": "PLMS",
    "TCDScheduler": "TCD",
    "SASolverScheduler": "SA-Solver",
}


def test_the_dropdown_begins_with_a1111s_samplers_in_its_order() -> None:
    names = [row.name for row in SAMPLERS]
    assert names[: len(A1111)] == list(A1111)


@pytest.mark.parametrize(("name", "alias"), A1111.items())
def test_a1111s_names(name: str, alias: str) -> None:
    row = find_sampler(name)
    assert row.name == name
    assert find_sampler(alias) is find_sampler(alias.upper()) is find_sampler(f" {name.lower()} ") is row


@pytest.mark.parametrize(("theirs", "ours"), [*COMFYUI.items(), *DIFFUSERS.items()])
def test_names_of_other_programs(theirs: str, ours: str) -> None:
    assert find_sampler(theirs).name == ours
    assert split_sampler_name(theirs)[1] is None


@pytest.mark.parametrize(("theirs", "ours"), [*BEFORE_1_9.items(), *INVOKEAI.items()])
def test_names_with_a_schedule(theirs: str, ours: tuple[str, str | None]) -> None:
    sampler, schedule = split_sampler_name(theirs)
    assert (sampler.name, schedule) == ours


def test_no_alias_means_two_samplers() -> None:
    names = [name.casefold() for row in SAMPLERS for name in {row.name.casefold(), *row.aliases}]
    assert len(names) == len(set(names))
    for row in SAMPLERS:
        assert all(find_sampler(name) is row for name in (row.name, *row.aliases))


@pytest.mark.parametrize(
    ("wrong", "near"),
    [("Eular a", "Euler a"), ("dpmpp_2n", "DPM++ 2M"), ("DPM++ 2N Karras", "DPM++ 2M"), ("restrt", "Restart")],
)
def test_an_unknown_name_is_refused_with_near_matches(wrong: str, near: str) -> None:
    with pytest.raises(InvalidRequest, match=f'There is no sampler ".*{near.replace("+", ".")}"'):
        split_sampler_name(wrong)


def test_a_schedule_in_the_name_is_what_automatic_means() -> None:
    sampler, schedule = find_sampler_and_schedule("DPM++ 2M Exponential", "Automatic")
    assert (sampler.name, schedule.name) == ("DPM++ 2M", "Exponential")
    assert find_sampler_and_schedule("DPM++ 2M Exponential", "karras")[1] is find_schedule("Karras")
    assert find_sampler_and_schedule("k_euler", "Automatic")[1] is find_schedule("Automatic")


@pytest.mark.parametrize(
    ("sampler", "schedule"), [("DDIM", "Karras"), ("unipc_k", "Automatic"), ("k_dpm_fast", "simple")]
)
def test_a_schedule_that_the_sampler_does_not_take_is_refused(sampler: str, schedule: str) -> None:
    with pytest.raises(InvalidRequest, match="takes no schedule"):
        find_sampler_and_schedule(sampler, schedule)
