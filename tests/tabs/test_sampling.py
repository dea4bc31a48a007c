"""Which options and schedules the form offers with which sampler."""

from __future__ import annotations

import pytest

from webui.domain.request import PARAMETERS
from webui.domain.samplers import SAMPLERS
from webui.domain.sampling_options import SAMPLING_OPTIONS
from webui.domain.schedules import SCHEDULES
from webui.tabs.sampling import CUSTOM_SIGMAS, GROUPS, rules, schedule_choices


def test_every_option_stands_once_in_the_form() -> None:
    placed = [name for names in GROUPS.values() for name in names]
    assert sorted([*placed, CUSTOM_SIGMAS]) == sorted(SAMPLING_OPTIONS)


def test_every_option_is_shown_with_some_choice() -> None:
    told = rules()
    shown = {*told["always"]}
    for rows in (SAMPLERS, SCHEDULES):
        shown |= {option for row in rows for option in row.options}
    assert shown == set(SAMPLING_OPTIONS)
    assert all(schedule in told["schedules"] for schedule in (row.default_schedule for row in SAMPLERS) if schedule)


def test_the_browser_knows_what_is_a_default() -> None:
    assert rules()["options"] == {name: PARAMETERS[name].default for name in SAMPLING_OPTIONS}


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda row: row.name)
def test_automatic_and_the_samplers_own_schedule_are_offered(sampler: object) -> None:
    row = next(row for row in SAMPLERS if row is sampler)
    offered = schedule_choices(row.name)
    assert offered[0] == "Automatic"
    assert row.default_schedule is None or row.default_schedule in offered
    assert (len(offered) == 1) is (row.default_schedule is None)
