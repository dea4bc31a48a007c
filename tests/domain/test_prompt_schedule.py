"""The rows are what AUTOMATIC1111's web UI 1.10 makes of these texts in 10 steps (its own parser was run)."""

import pytest

from webui.domain.prompt_schedule import Timeline, read_schedule

FIRST = [
    ("test", [(10, "test")]),
    ("a [b:3]", [(3, "a "), (10, "a b")]),
    ("a [b: 3]", [(3, "a "), (10, "a b")]),
    ("a [b:0.3]", [(3, "a "), (10, "a b")]),
    ("a [b:.3]", [(3, "a "), (10, "a b")]),
    ("[a:b:0.5]", [(5, "a"), (10, "b")]),
    ("[a:b:5]", [(5, "a"), (10, "b")]),
    ("[a:b: 0.5 ]", [(5, "a"), (10, "b")]),
    ("[a:b:0.55]", [(5, "a"), (10, "b")]),
    ("[a::5]", [(5, "a"), (10, "")]),
    ("[a::0.5]", [(5, "a"), (10, "")]),
    ("[:b:5]", [(5, ""), (10, "b")]),
    ("[a:b:1]", [(1, "a"), (10, "b")]),
    ("[a:b:1.0]", [(10, "a")]),
    ("[a:b:1.5]", [(10, "a")]),
    ("[a:b:5.5]", [(10, "a")]),
    ("[a:b:100]", [(10, "a")]),
    ("[a:b:0]", [(10, "b")]),
    ("[a:b:0.0]", [(10, "b")]),
    ("[a:b:-1]", [(10, "b")]),
    ("[a:b:+5]", [(5, "a"), (10, "b")]),
    ("[a:b:5e0]", [(5, "a"), (10, "b")]),
    ("[(a:2):3]", [(3, ""), (10, "(a:2)")]),
    ("a [[[b]]:2]", [(2, "a "), (10, "a [[b]]")]),
    ("a [unbalanced", [(10, "a [unbalanced")]),
    ("[a:5", [(10, "[a:5")]),
    ("a]", [(10, "a]")]),
    ("a [b:.5] c", [(5, "a  c"), (10, "a b c")]),
    ("a [b : c : 1] d", [(1, "a b  d"), (10, "a  c  d")]),
    ("a[b:[c:d:2]:1]e", [(1, "abe"), (2, "ace"), (10, "ade")]),
    ("((a][:b:c [d:3]", [(3, "((a][:b:c "), (10, "((a][:b:c d")]),
    ("photo: a [b:c:2] e:1.5", [(2, "photo: a b e:1.5"), (10, "photo: a c e:1.5")]),
    ("([a:b:5]:1.2)", [(5, "(a:1.2)"), (10, "(b:1.2)")]),
    ("[(a:1.2):(b:0.8):5]", [(5, "(a:1.2)"), (10, "(b:0.8)")]),
    ("[a, b:c, d:0.5]", [(5, "a, b"), (10, "c, d")]),
    (r"\[a:b:5\]", [(10, r"\[a:b:5\]")]),
    (r"[a\:b:c:5]", [(5, r"a\:b"), (10, "c")]),
    *[(text, [(10, text)]) for text in ("[a:b:c:5]", "[a:b:x]", "[a|b:5]", "a [b|c:0.5]", "a [{b|d{:.5] c")],
    *[(text, [(10, text)]) for text in ("[a]", "[[a]]", "(a:b)", "[a (b:c:d) e:f:3]", "[a (b] c:d:5]", "")],
]
HIRES = [
    ("a [b:.5] c", [(10, "a b c")]),
    ("a [b:1.5] c", [(5, "a  c"), (10, "a b c")]),
    ("a [b:15] c", [(5, "a  c"), (10, "a b c")]),
    ("[a:b:1.25]", [(2, "a"), (10, "b")]),
    ("[a:b:12]", [(2, "a"), (10, "b")]),
]
OLD = [
    ("[a:b:0.5]", [(5, "a"), (10, "b")]),
    ("[a:b:5.5]", [(5, "a"), (10, "b")]),
    ("[a:b:5]", [(5, "a"), (10, "b")]),
    ("[a:b:1.0]", [(1, "a"), (10, "b")]),
]
BETTER_THAN_A1111 = [
    ("a|b [c:d:5]", [(5, "a|b c"), (10, "a|b d")]),  # there one bar outside of square brackets makes all literal
    ("[(a|b):c:5]", [(5, "(a|b)"), (10, "c")]),
    ("[a:b:5] \\", [(5, "a \\"), (10, "b \\")]),  # and so does a backslash at the end
    ("[a:b:5]: c", [(5, "a: c"), (10, "b: c")]),  # there a colon behind a schedule makes it literal
    (f"[a:b:{'9' * 400}]", [(10, "a")]),  # there an OverflowError
]


def stages(text, timeline):
    return [(stage.end_step, stage.text) for stage in read_schedule(text).stages(timeline)]


@pytest.mark.parametrize(("text", "expected"), FIRST + BETTER_THAN_A1111)
def test_first_pass(text, expected):
    assert stages(text, Timeline(10)) == expected


@pytest.mark.parametrize(("text", "expected"), HIRES)
def test_hires_pass(text, expected):
    assert stages(text, Timeline(10, first_steps=10)) == expected


@pytest.mark.parametrize(("text", "expected"), OLD)
def test_old_timelines_are_the_same_in_both_passes(text, expected):
    assert stages(text, Timeline(10, old=True)) == expected
    assert stages(text, Timeline(10, first_steps=10, old=True)) == expected


def test_an_old_timeline_counts_the_steps_of_the_first_pass():
    assert stages("[a:b:0.5]", Timeline(8, first_steps=10, old=True)) == [(5, "a"), (8, "b")]
    assert stages("[a:b:0.5]", Timeline(4, first_steps=10, old=True)) == [(4, "a")]


ALTERNATION = [
    ("[a|(b:1.1)]", ["a", "(b:1.1)"] * 5),
    ("[fe|]male", ["female", "male"] * 5),
    ("[a|b|c]", [*"abcabcabca"]),
    ("[|a]", ["", "a"] * 5),
    ("[fe|||]male", ["female", "male", "male", "male"] * 2 + ["female", "male"]),
    ("[a|b] [c|d|e]", ["a c", "b d", "a e", "b c", "a d", "b e", "a c", "b d", "a e", "b c"]),
    (r"[a\|b|c]", [r"a\|b", "c"] * 5),
]


@pytest.mark.parametrize(("text", "steps"), ALTERNATION)
@pytest.mark.parametrize("first_steps", [None, 7])
def test_alternation_begins_anew_in_each_pass(text, steps, first_steps):
    score, timeline = read_schedule(text), Timeline(10, first_steps)
    assert [score.text_at(step, timeline) for step in range(1, 11)] == steps


def test_alternation_and_schedules_nest():
    assert stages("[[a|b]:c:3]", Timeline(10)) == [(1, "a"), (2, "b"), (3, "a"), (10, "c")]
    assert stages("[a|[b:c:3]]", Timeline(5)) == [(1, "a"), (2, "b"), (3, "a"), (4, "c"), (5, "a")]


def test_a_stage_is_as_long_as_its_text():
    assert stages("[a|a|b]", Timeline(6)) == [(2, "a"), (3, "b"), (5, "a"), (6, "b")]
    assert stages("[a:a:3]", Timeline(6)) == [(6, "a")]


@pytest.mark.parametrize("text", ["[a|b]" * 500, "[" * 500 + "a" + "|b]" * 500, "[" * 500 + "a" + ":b:3]" * 500])
def test_work_is_in_proportion_to_the_text(text):
    """A walk visits each token at most once, and repeated texts are made once."""
    score = read_schedule(text)
    assert len(score.tokens) <= len(text)
    assert all(target > place for place, target in score.jumps.items())
    assert all(min(switch.branches) > place for place, switch in score.switches.items())
    assert len(set(map(id, (stage.text for stage in score.stages(Timeline(1000)))))) <= 2
