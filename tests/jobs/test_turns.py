from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from webui.jobs.turns import in_turn


@dataclass(frozen=True)
class Job:
    owner: str
    sequence: int
    resumed: bool = False
    last: bool = False
    model: str = ""


def _names(jobs: list[Job]) -> list[str]:
    return [f"{job.owner}{job.sequence}" for job in jobs]


def test_owners_take_turns_and_each_keeps_the_order_of_his_jobs() -> None:
    jobs = [Job("a", 1), Job("a", 2), Job("a", 3), Job("b", 4), Job("c", 5), Job("c", 6)]
    assert _names(in_turn(jobs, {})) == ["a1", "b4", "c5", "a2", "c6", "a3"]


def test_who_was_served_least_recently_comes_first() -> None:
    jobs = [Job("a", 1), Job("b", 2), Job("c", 3), Job("new", 4)]
    assert _names(in_turn(jobs, {"b": 3, "c": 7, "a": 9})) == ["new4", "b2", "c3", "a1"]


def test_an_interrupted_job_goes_before_all_and_counts_as_a_turn_of_its_owner() -> None:
    jobs = [Job("a", 1), Job("b", 2), Job("a", 3, resumed=True)]
    assert _names(in_turn(jobs, {"b": 0})) == ["a3", "b2", "a1"]


def test_a_job_that_the_program_seems_to_die_of_goes_last() -> None:
    assert _names(in_turn([Job("a", 1, last=True), Job("b", 2), Job("b", 3)], {})) == ["b2", "b3", "a1"]


def test_two_models_take_turns_once_a_round_and_not_at_every_job() -> None:
    jobs = [Job(owner, number, model=owner.upper()) for number in range(6) for owner in "ab"]
    assert [job.owner for job in in_turn(jobs, {})] == [*"abbaabbaabba"]
    assert [job.owner for job in in_turn(jobs, {}, model="B")] == [*"baabbaabbaab"]


def test_nobody_has_two_turns_in_a_round_for_the_sake_of_a_model() -> None:
    jobs = [Job("a", 1, model="A"), Job("a", 2, model="A"), Job("b", 3, model="B"), Job("c", 4, model="A")]
    assert _names(in_turn(jobs, {})) == ["a1", "c4", "b3", "a2"]
    assert _names(in_turn(jobs, {"a": 0}, served={"a"}, model="A")) == ["c4", "b3", "a1", "a2"]


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.booleans(), st.sampled_from("MN"))),
    st.dictionaries(st.sampled_from("abcd"), st.integers(0, 9)),
)
def test_every_owner_gets_as_many_turns_as_any_other_while_he_waits(
    arrivals: list[tuple[str, bool, str]], last_served: dict[str, int]
) -> None:
    jobs = [Job(owner, sequence, resumed, model=model) for sequence, (owner, resumed, model) in enumerate(arrivals)]
    ordered = in_turn(jobs, last_served)
    assert sorted(ordered, key=lambda job: job.sequence) == jobs
    fair = [job for job in ordered if not job.resumed]
    assert ordered[: len(ordered) - len(fair)] == [job for job in jobs if job.resumed]
    turns = Counter({job.owner for job in ordered if job.resumed})  # theirs in the first round
    for position, job in enumerate(fair):
        turns[job.owner] += 1
        still_waiting = {later.owner for later in fair[position + 1 :]}
        assert all(turns[job.owner] - turns[other] <= 1 for other in still_waiting), _names(ordered)
        assert all(later.sequence > job.sequence for later in fair[position + 1 :] if later.owner == job.owner)
