"""The plot shows what a run visits, whatever is chosen and typed, or says why not."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from webui.domain.request import PARAMETERS
from webui.domain.samplers import SAMPLERS
from webui.domain.schedules import SCHEDULES
from webui.runtime import Runtime
from webui.tabs.schedule_plot import PLOTTED, plotted

FORM: dict[str, Any] = {name: PARAMETERS[name].default for name in PLOTTED}


def dots(answer: dict[str, Any], of: str = "sigma") -> list[tuple[float, float]]:
    """Where the curve goes, in the plot's units, y counted from the top."""
    line = ET.fromstring(answer["svg"]).find(f"polyline[@class='{of}']")
    assert line is not None
    return [(float(x), float(y)) for x, y in (point.split(",") for point in line.attrib["points"].split())]


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda row: row.name)
def test_every_sampler_has_a_plot_of_every_schedule_that_it_accepts(runtime: Runtime, sampler: Any) -> None:
    for schedule in SCHEDULES:
        if not sampler.accepts(schedule.name):
            continue
        for steps in (1, 20) if schedule.name == "Karras" else (7,):
            asked = {**FORM, "sampler": sampler.name, "schedule": schedule.name, "steps": str(steps)}
            answer = plotted(runtime, {**asked, "custom_sigmas": "10, 1, 0.1"})
            if sampler.adaptive:
                assert "chooses its own steps" in answer["summary"]
                assert "svg" not in answer
                continue
            assert "problem" not in answer, answer
            places = dots(answer)
            assert len(places) == len(answer["numbers"]) == len(dots(answer, "timestep"))
            assert all(0 <= x <= 260 and 0 <= y <= 120 for x, y in [*places, *dots(answer, "timestep")])
            assert [x for x, _ in places] == sorted(x for x, _ in places)


def test_a_thousand_steps_are_a_line_without_dots(runtime: Runtime) -> None:
    answer = plotted(runtime, {**FORM, "sampler": "Euler", "steps": "1000"})
    assert len(dots(answer)) == 1000
    assert '<circle class="sigma"' not in answer["svg"]


def test_it_tells_numbers_and_what_they_mean(runtime: Runtime) -> None:
    answer = plotted(runtime, {**FORM, "sampler": "Euler", "schedule": "Karras", "steps": "10"})
    assert answer["summary"] == "5 of 10 steps below σ 1: details"
    assert answer["numbers"][0] == "Step 1 of 10: σ 14.61, timestep 999"
    assert answer["numbers"][-1] == "Step 10 of 10: σ 0.02917, timestep 0"
    uniform = plotted(runtime, {**FORM, "sampler": "Euler", "schedule": "Uniform", "steps": "10"})
    assert uniform["summary"] == "4 of 10 steps below σ 1: details"
    assert dots(uniform)[6][1] < dots(answer)[6][1]  # Karras is further down by then


def test_noise_that_is_left_is_told(runtime: Runtime) -> None:
    answer = plotted(runtime, {**FORM, "sampler": "Euler", "schedule": "KL Optimal"})
    assert answer["summary"].endswith("Leaves σ 0.029")


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"steps": ""}, "Sampling steps must be a whole number"),
        ({"sampler": "Eulr"}, 'There is no sampler "Eulr"'),
        ({"schedule": "Custom", "custom_sigmas": "3, 2, 5"}, "Custom sigmas must fall: number 3"),
        ({"schedule": "Custom", "custom_sigmas": '3, <b onclick="x">'}, "Custom sigmas: number 2"),
        ({"schedule": "Karras", "sigma_min": "5", "sigma_max": "2"}, "must be below"),
        ({"sampler": None}, "There is no sampler"),
        ({"discard_penultimate": "yes"}, "must be true or false"),
    ],
)
def test_a_mistake_is_a_sentence_in_its_place(runtime: Runtime, changed: dict[str, Any], sentence: str) -> None:
    answer = plotted(runtime, {**FORM, "sampler": "Euler", **changed})
    assert list(answer) == ["problem"]
    assert sentence in answer["problem"]


@pytest.mark.parametrize("sigmas", ["10000, 1e-300", "0.5", "1e-320", " ".join(str(n) for n in range(900, 0, -1))])
def test_any_levels_that_can_be_run_stay_within_the_picture(runtime: Runtime, sigmas: str) -> None:
    asked = {**FORM, "sampler": "Euler", "schedule": "Custom", "custom_sigmas": sigmas}
    answer = plotted(runtime, asked)
    assert all(0 <= x <= 260 and 0 <= y <= 120 for x, y in dots(answer))
    assert len(answer["svg"]) < 100_000
    assert not re.search("nan|inf", answer["svg"])


def test_options_of_the_schedule_and_the_checkpoint_count(runtime: Runtime) -> None:
    base = {**FORM, "sampler": "Euler", "schedule": "Karras"}
    plots = {
        plotted(runtime, {**base, **changed})["numbers"][3]
        for changed in ({}, {"rho": "3"}, {"sigma_min": "0.5"}, {"sigma_max": "40"}, {"discard_penultimate": True})
    }
    assert len(plots) == 5
    told = plotted(runtime, {**base, "zero_terminal_snr": True})
    assert told["numbers"][0].startswith("Step 1 of 20: σ 4")
