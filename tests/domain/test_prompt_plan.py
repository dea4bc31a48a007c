import re
from collections import Counter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from webui.domain.located import MOST_REMARKS
from webui.domain.prompt_plan import MOST_PARTS, Part, PromptPlan, Stage, plan_prompt

AND = [  # as A1111 1.10 reads them
    ("a AND b", [("a", 1), (" b", 1)]),
    ("a :1.2 AND b :0.8", [("a", 1.2), (" b", 0.8)]),
    ("a:1.2 AND b", [("a", 1.2), (" b", 1)]),
    ("a: 1.5 AND b", [("a", 1.5), (" b", 1)]),
    ("a AND b:-0.5", [("a", 1), (" b", -0.5)]),
    ("a and b", [("a and b", 1)]),
    ("aANDb", [("aANDb", 1)]),
    ("LAND AND SEA", [("LAND", 1), (" SEA", 1)]),
    ("a:b AND c", [("a:b", 1), (" c", 1)]),
    ("(a:1.2) AND b", [("(a:1.2)", 1), (" b", 1)]),
    ("photo:1.5", [("photo", 1.5)]),
    ("a :2. AND b:.5", [("a", 2), (" b", 0.5)]),
    ("a:1e3 AND b", [("a:1e3", 1), (" b", 1)]),
    ("AND", [("", 1), ("", 1)]),
    (r"photo\:1.5", [(r"photo\:1.5", 1)]),  # A1111 takes it for a weight
    (r"photo\\:1.5", [(r"photo\\", 1.5)]),
    ("a <lora:x:1>AND b # AND c", [("a", 1), (" b", 1)]),
    (r"\#1 AND # b", [(r"\#1", 1), ("", 1)]),
]


@pytest.mark.parametrize(("text", "parts"), AND)
def test_parts(text, parts):
    assert [(part.text_at(1), part.weight) for part in plan_prompt(text, 10).parts] == parts


def test_a_plain_prompt_is_one_part_of_one_stage():
    assert plan_prompt("a red fox", 20) == PromptPlan((Part(1.0, (Stage(20, "a red fox"),)),))
    assert plan_prompt("", 20) == PromptPlan((Part(1.0, (Stage(20, ""),)),))


def test_each_part_has_its_own_schedule():
    first, second = plan_prompt("[a:b:0.5]:2 AND [c|d]", 4).parts
    assert first == Part(2.0, (Stage(2, "a"), Stage(4, "b")))
    assert [second.text_at(step) for step in range(1, 5)] == [" c", " d", " c", " d"]


def test_beyond_the_last_step_the_last_text_holds_on():
    (part,) = plan_prompt("[a:b:5]", 10).parts
    assert [part.text_at(step) for step in (0, 1, 5, 6, 10, 11, 99)] == ["a", "a", "a", "b", "b", "b", "b"]


def test_passes_and_old_timelines():
    (part,) = plan_prompt("[a:b:25]", 10, first_steps=20).parts
    assert part.stages == (Stage(5, "a"), Stage(10, "b"))
    (part,) = plan_prompt("[a:b:1.0]", 10, old_timelines=True).parts
    assert part.stages == (Stage(1, "a"), Stage(10, "b"))


def test_networks_are_cut_out_before_schedules_are_read():
    plan = plan_prompt("# <lora:no:1>\n[<lora:x:1>:b:5]", 10)
    assert [(tag.name, tag.start, tag.end) for tag in plan.networks] == [("x", 15, 25)]
    assert plan.parts[0].stages == (Stage(5, "\n"), Stage(10, "\nb"))


def test_a_negative_prompt_has_schedules_but_neither_networks_nor_and():
    plan = plan_prompt("[a:b:5] AND c:2 <lora:x:1> # d", 10, is_negative=True)
    assert plan.networks == ()
    assert plan.parts == (Part(1.0, (Stage(5, "a AND c:2 <lora:x:1> \n"), Stage(10, "b AND c:2 <lora:x:1> \n"))),)


SIGNS = [
    "(",
    ")",
    "[",
    "]",
    "\\",
    ":1.2)",
    "BREAK",
    "AND",
    " ",
    "a",
    "<lora:x:1>",
    "<",
    ">",
    ":5]",
    "|",
    "#",
    "\n",
    ":",
]
GRAMMAR = st.text(alphabet="()[]\\:|<>.,-+012 aB#\n") | st.lists(st.sampled_from(SIGNS)).map("".join)
BIG = 100_000


@settings(deadline=None)
@given(st.text() | GRAMMAR, st.integers(-1, 30), st.none() | st.integers(0, 30), st.booleans(), st.booleans())
@example("<a:" * 3000, 20, None, False, False)
@example("[a:b:0" * 3000, 20, None, False, False)
@example("[" * 3000 + "a" + ":5]" * 3000, 20, None, False, False)
def test_any_text_has_a_plan(text, steps, first_steps, old, negative):
    plan = plan_prompt(text, steps, first_steps=first_steps, old_timelines=old, is_negative=negative)
    steps = max(1, steps)
    for part in plan.parts:
        ends = [stage.end_step for stage in part.stages]
        assert ends == sorted(set(ends)) and ends[0] >= 1 and ends[-1] == steps
        for stage in part.stages:  # no letter comes twice, none out of nothing
            assert not Counter(stage.text) - Counter(text) - Counter("\n" * text.count("#"))
    for remark in plan.remarks:
        assert 0 <= remark.start < remark.end <= len(text) and remark.message
    for tag in plan.networks:
        assert text[tag.start] == "<" and text[tag.end - 1] == ">"


@pytest.mark.parametrize(
    "unit",
    ["(", ")", "[", "]", "|", ":", "<", "<a:", "[a:", "(a[", "AND ", "#", "\\", " ", "\n#", "9", " :1", "BREAK ", "{"],
)
@pytest.mark.parametrize("negative", [False, True])
def test_a_huge_prompt_of_signs_is_read(unit, negative):
    plan = plan_prompt(unit * (BIG // len(unit)), 20, is_negative=negative)
    assert sum(len(stage.text) for part in plan.parts for stage in part.stages) <= BIG
    assert len(plan.remarks) <= MOST_REMARKS


@given(st.text().filter(lambda text: not re.search(r"[\[\]#<>:]|AND", text)))
def test_plain_text_survives(text):
    assert plan_prompt(text, 7, is_negative=True).parts == (Part(1.0, (Stage(7, text),)),)
    assert plan_prompt(text, 7).parts == (Part(1.0, (Stage(7, text.rstrip()),)),)


WORDS = st.text(alphabet="ab ,.", max_size=5)


@st.composite
def written(draw, depth=3):
    """A prompt as written, and its text at each of 10 steps."""
    kind = draw(st.sampled_from(["words", "words", "both", "switch", "alternate", "weight"])) if depth else "words"
    if kind == "words":
        words = draw(WORDS)
        return words, [words] * 10
    inner = [draw(written(depth=depth - 1)) for _ in range(2)]
    (a, at_a), (b, at_b) = inner
    if kind == "both":
        return a + b, [x + y for x, y in zip(at_a, at_b, strict=True)]
    if kind == "weight":
        return f"({a}:1.2)", [f"({x}:1.2)" for x in at_a]
    if kind == "alternate":
        return f"[{a}|{b}]", [(at_b if place % 2 else at_a)[place] for place in range(10)]
    when = draw(st.integers(0, 12))
    return f"[{a}:{b}:{when}]", [at_a[place] if place < when else at_b[place] for place in range(10)]


@given(written())
def test_what_is_written_is_read(prompt):
    text, expected = prompt
    (part,) = plan_prompt(text, 10, is_negative=True).parts
    assert [part.text_at(step) for step in range(1, 11)] == expected


@pytest.mark.parametrize("is_negative", [False, True])
def test_an_embedding_in_a_tag_is_its_name(is_negative):
    plan = plan_prompt("a <embed:Easy Negative>cat# <embed:x>", 20, is_negative=is_negative)
    assert [stage.text.split() for stage in plan.parts[0].stages] == [["a", "Easy", "Negative", "cat"]]
    assert (plan.networks, plan.remarks) == ((), ())


def test_parts_beyond_a_bound_are_words():
    plan = plan_prompt(" AND ".join(["cat"] * (MOST_PARTS + 5)), 20)
    assert len(plan.parts) == MOST_PARTS
    assert plan.parts[-1].stages[0].text.split() == ["cat", *["AND", "cat"] * 5]
    (remark,) = plan.remarks
    assert "read as words" in remark.message
    assert remark.start == 8 * (MOST_PARTS - 1) + 4
