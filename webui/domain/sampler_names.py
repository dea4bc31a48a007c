"""Sampler names that hold a schedule, too: A1111 before 1.9 wrote "DPM++ 2M Karras", InvokeAI writes ``dpmpp_2m_k``."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from webui.domain.samplers import Sampler, find_sampler
from webui.domain.schedules import AUTOMATIC, SCHEDULES, Schedule, find_schedule, schedule_for
from webui.errors import InvalidRequest

_ENDINGS: Mapping[str, str] = MappingProxyType(
    {name.casefold(): row.name for row in SCHEDULES for name in (row.name, *row.aliases)}
    | {"k": "Karras", "ka": "Karras", "exp": "Exponential"}  # k_dpmpp_2m_ka, k_dpmpp_2m_sde_exp: A1111 before 1.9
)


def split_sampler_name(name: str) -> tuple[Sampler, str | None]:
    """The sampler, and the name of the schedule that ``name`` ends in, if it ends in one.

    An unknown sampler raises ``InvalidRequest`` with near matches.

    >>> sampler, schedule = split_sampler_name("dpmpp_2m_sde_k")
    >>> sampler.name, schedule
    ('DPM++ 2M SDE', 'Karras')
    """
    try:
        return find_sampler(name), None
    except InvalidRequest:
        folded = name.strip().casefold()
        for ending in sorted(_ENDINGS, key=len, reverse=True):  # "SGM Uniform" before "Uniform"
            if folded.endswith((f" {ending}", f"_{ending}")):
                return find_sampler(folded[: -len(ending) - 1]), _ENDINGS[ending]
        raise


def find_sampler_and_schedule(sampler: str, schedule: str) -> tuple[Sampler, Schedule]:
    """Both rows; "Automatic" gives way to a schedule in the sampler's name.

    An unknown name, and a schedule that the sampler does not accept, raise ``InvalidRequest``.
    """
    row, within = split_sampler_name(sampler)
    chosen = find_schedule(schedule)
    if chosen is AUTOMATIC and within is not None:
        chosen = find_schedule(within)
    schedule_for(chosen.name, row)
    return row, chosen
