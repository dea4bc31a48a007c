from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webui.domain.custom_sigmas import parse_sigmas
from webui.errors import InvalidRequest


@pytest.mark.parametrize(
    "text",
    [
        "14.6 3 .5 0",
        "14.6, 3, 0.5",
        " 14.6;3;0.5; ",
        "[14.6, 3.0, 0.5, 0.0]",
        "(14.6,3,5e-1)",
        "1.46E+1\n3\t0.5\n",
        "+14.6,,3 0.5",
    ],
)
def test_numbers_in_any_usual_spelling(text):
    assert parse_sigmas(text) == (14.6, 3.0, 0.5, 0.0)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "wants noise levels"),
        (" [ ] ", "wants noise levels"),
        ("14.6, three, 1", 'number 2, "three", is not a number'),
        ("14.6 -3", 'number 2, "-3", is not a number from 0 up'),
        ("nan", 'number 1, "nan"'),
        ("inf 3", 'number 1, "inf"'),
        ("14,6 7,1", "number 3 (7) is not below number 2 (6)"),
        ("3 3 1", "number 2 (3) is not below number 1 (3)"),
        ("3 0 1", "number 3 (1) is not below number 2 (0)"),
        ("3 1 0 0", "number 4 (0) is not below number 3 (0)"),
        ("0", "begin with a number above 0"),
        ("1e300 3", "number 1 (1e+300) is above 10000"),
        ("1e999", "number 1 (inf) is above 10000"),
        ("٣ 1", 'number 1, "٣"'),
        ("x" * 1000, '"xxxxxxxxxxxxxxxxxxxx…"'),
        (" ".join(str(n) for n in range(2000, 0, -1)), "2000 numbers; at most 1000"),
    ],
)
def test_what_is_no_schedule_is_refused_with_its_place(text, sentence):
    with pytest.raises(InvalidRequest) as refused:
        parse_sigmas(text)
    assert refused.value.field == "custom_sigmas"
    assert sentence in str(refused.value)


@given(st.sets(st.floats(1e-6, 10_000), min_size=1, max_size=50))
def test_every_falling_list_comes_back(levels):
    falling = sorted(levels, reverse=True)
    assert parse_sigmas(", ".join(map(repr, falling))) == (*falling, 0.0)


@given(st.text(max_size=60) | st.text("0123456789., \n[];e-+", max_size=60))
def test_any_text_is_a_schedule_or_refused(text):
    try:
        levels = parse_sigmas(text)
    except InvalidRequest:
        return
    assert levels[-1] == 0.0 and all(high > low for high, low in pairwise(levels))
