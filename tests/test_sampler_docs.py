"""docs/samplers.md says of every sampler and schedule what the tables say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from webui.domain.samplers import SAMPLERS, Sampler
from webui.domain.schedules import AUTOMATIC, SCHEDULES, Schedule

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "samplers.md").read_text(encoding="utf-8")


def cells_of_sampler(row: Sampler) -> tuple[str, ...]:
    calls = "as many as it needs" if row.adaptive else str(row.calls_per_step)
    noise = "Brownian" if row.brownian else "fresh" if row.ancestral else "none"
    return row.name, calls, row.default_schedule or "its own", noise, options(row.options)


def cells_of_schedule(row: Schedule) -> tuple[str, ...]:
    return row.name, options(row.options)


def options(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "–"


@pytest.mark.parametrize("row", SAMPLERS, ids=lambda row: row.name)
def test_each_sampler_has_its_row(row: Sampler) -> None:
    has_row_that_begins(cells_of_sampler(row))


@pytest.mark.parametrize("row", [row for row in SCHEDULES if row is not AUTOMATIC], ids=lambda row: row.name)
def test_each_schedule_has_its_row(row: Schedule) -> None:
    has_row_that_begins(cells_of_schedule(row))


def has_row_that_begins(cells: tuple[str, ...]) -> None:
    """Followed by what it does and where it comes from, which only a person can write."""
    begin = re.escape(f"| {' | '.join(cells)} | ")
    assert re.search(rf"^{begin}[^|]+ \| [^|]+ \|$", PAGE, re.MULTILINE), f"docs/samplers.md wants a row {cells}"


def test_they_stand_in_the_order_of_the_dropdowns() -> None:
    samplers, schedules = PAGE.split("## All samplers")[1].split("## All schedules")
    assert first_cells(samplers) == ["sampler", *(row.name for row in SAMPLERS)]
    assert first_cells(schedules) == ["schedule", *(row.name for row in SCHEDULES if row is not AUTOMATIC)]


def first_cells(text: str) -> list[str]:
    """Of all tables, a heading that comes again once."""
    return list(dict.fromkeys(re.findall(r"^\| ([^|]+) \|", text, re.MULTILINE)))
