"""The numbers are those of AUTOMATIC1111's web UI 1.10."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webui.domain.img2img_steps import PartOfRun, most_steps, part_of_run
from webui.domain.samplers import find_sampler
from webui.errors import InvalidRequest


@pytest.mark.parametrize(
    ("steps", "strength", "calls"),
    [(20, 0.75, 16), (20, 1.0, 20), (20, 0.5, 11), (20, 0.05, 2), (10, 0.3, 4), (20, 0.0, 1), (1, 0.5, 1), (1, 1.0, 1)],
)
def test_a_share_of_the_steps(steps: int, strength: float, calls: int) -> None:
    assert part_of_run(steps, strength) == PartOfRun(steps, steps - calls)


@pytest.mark.parametrize(
    ("steps", "strength", "whole"), [(20, 0.75, 26), (20, 0.4, 50), (20, 1.0, 20), (20, 0.999, 20), (10, 0.3, 33)]
)
def test_exactly_as_many_as_asked_for(steps: int, strength: float, whole: int) -> None:
    part = part_of_run(steps, strength, exact=True)
    assert part == PartOfRun(whole, whole - steps)
    assert part.taken == steps


def test_strength_0_is_one_step_in_either_way() -> None:
    assert part_of_run(20, 0.0, exact=True) == part_of_run(20, 0.0) == PartOfRun(20, 19)


@pytest.mark.parametrize(("sampler", "strength"), [("Euler", 1e-9), ("DDIM", 0.019)])
def test_a_schedule_that_cannot_be_is_refused(sampler: str, strength: float) -> None:
    with pytest.raises(InvalidRequest, match="Raise the strength") as refused:
        part_of_run(20, strength, exact=True, most=most_steps(find_sampler(sampler)))
    assert refused.value.field == "exact_steps"
    assert part_of_run(20, 0.02, exact=True, most=most_steps(find_sampler(sampler))).taken == 20


@given(st.integers(1, 1000), st.floats(0.1, 1), st.booleans())
def test_there_is_always_something_to_do(steps: int, strength: float, exact: bool) -> None:
    part = part_of_run(steps, strength, exact=exact)
    assert 0 <= part.skip < part.steps
    assert 1 <= part.taken <= steps
