"""docs/parameters.md says of every parameter what its declaration says."""

from __future__ import annotations

from pathlib import Path

import pytest

from webui.domain.parameter import Parameter
from webui.domain.request import PARAMETERS
from webui.domain.samplers import SAMPLERS
from webui.domain.sampling_options import SAMPLING_OPTIONS
from webui.domain.schedules import SCHEDULES

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "parameters.md").read_text(encoding="utf-8")
ROWS = [line for line in PAGE.splitlines() if line.startswith("| `")]


def row_of(parameter: Parameter) -> str:
    if parameter.choices is not None:
        values = ", ".join(choice or "empty" for choice in parameter.choices)
    elif parameter.type is bool:
        values = "on or off"
    elif parameter.type is str:
        values = "text"
    elif parameter.type is tuple:
        values = "names"
    else:
        values = f"{parameter.minimum:.12g} to {parameter.maximum:.12g}"
        values = values.replace("9.22337203685e+18", "2⁶³ − 1").replace("4294967295", "2³² − 1")
    if parameter.type is tuple:
        default = "none"
    elif parameter.type is bool:
        default = "on" if parameter.default else "off"
    else:
        default = parameter.default or "empty" if parameter.type is str else f"{parameter.default:g}"
    return f"| `{parameter.name}` | {parameter.label} | {default} | {values} | {parameter.help} |"


@pytest.mark.parametrize("parameter", PARAMETERS.values(), ids=lambda parameter: parameter.name)
def test_each_parameter_has_its_row(parameter: Parameter) -> None:
    assert row_of(parameter) in ROWS, "docs/parameters.md wants this row"


def test_there_are_no_other_rows() -> None:
    assert len(ROWS) == len(PARAMETERS)


def test_every_option_that_a_table_names_exists() -> None:
    named = {option for row in (*SAMPLERS, *SCHEDULES) for option in row.options}
    assert named <= set(SAMPLING_OPTIONS)
