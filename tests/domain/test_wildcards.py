from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webui.domain.located import MOST_REMARKS
from webui.domain.wildcards import Resolved, find_files, read_lines, resolve

FILES = {
    "colour": "# colours\nred\ngreen # like grass\n\nblue\n",
    "animals/cat": "tabby\nsiamese",
    "animals/dog": "poodle",
    "animals/wild/fox": "red fox",
    "pet": "__colour__ __animals/*__\n{small|big} __animals/dog__",
    "often": "9::yes\n1::no\n0::never",
    "empty": "# nothing\n",
    "self": "a __self__",
    "many": "__many2__ __many2__",
    **{f"many{n}": f"__many{n + 1}__ __many{n + 1}__" for n in range(2, 30)},
}


def drawn(text, times=200):
    results = [resolve(text, seed, FILES) for seed in range(times)]
    assert all(result.template == text and not result.remarks for result in results)
    return Counter(result.text for result in results)


def test_each_choice_comes_up():
    assert drawn("a {red|blue} fox").keys() == {"a red fox", "a blue fox"}
    assert drawn("__colour__").keys() == {"red", "green", "blue"}
    assert drawn("{a|{b|c}} {|d}").keys() == {f"{left} {right}" for left in "abc" for right in ("", "d")}
    assert drawn("__animals/*__").keys() == {"tabby", "siamese", "poodle"}
    assert drawn("__animals/**__").keys() == {"tabby", "siamese", "poodle", "red fox"}
    assert drawn("__Animals/?og__").keys() == {"poodle"}


def test_lines_hold_choices_again():
    pets = {f"{colour} {animal}" for colour in ("red", "green", "blue") for animal in ("tabby", "siamese", "poodle")}
    assert drawn("__pet__", 400).keys() == pets | {"small poodle", "big poodle"}


def test_weights():
    counted = drawn("{9::yes|no|0::never}", 1000)
    assert counted.keys() == {"yes", "no"} and 850 < counted["yes"] < 950
    assert drawn("__often__").keys() == {"yes", "no"}
    assert drawn("{0::a|0::b}").keys() == {"a", "b"}


def test_several_at_once_are_different():
    assert drawn("{2$$a| b|c }").keys() == {f"{x}, {y}" for x in "abc" for y in "abc" if x != y}
    assert drawn("{2$$ and $$a|b}").keys() == {"a and b", "b and a"}
    assert drawn("{1-2$$+$$a|b}").keys() == {"a", "b", "a+b", "b+a"}
    assert drawn("{0-1$$a|b}").keys() == {"", "a", "b"}
    assert drawn("{9$$a|b}").keys() == {"a, b", "b, a"}
    assert drawn("{2$$__animals/cat__}").keys() == {"tabby, siamese", "siamese, tabby"}


def test_the_seed_decides():
    text = "{a|b|c} __colour__ {3$$1|2|3|4} __pet__"
    assert resolve(text, 7, FILES) == resolve(text, 7, dict(reversed(FILES.items())))
    assert [resolve(text, seed, FILES).text for seed in (1, 2, 2**63 - 1)] == [
        "a blue 4, 1, 2 green poodle",
        "c blue 1, 2, 4 big poodle",
        "a green 4, 2, 1 big poodle",
    ]


def test_without_choices_there_is_no_template():
    assert resolve("a (red:1.2) fox {x} a__b", 1, FILES) == Resolved("a (red:1.2) fox {x} a__b")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a __color__", 'no wildcard file is called so. Did you mean "colour"?'),
        ("a {2$$__zzz/*__}", "no wildcard file is called so."),
        ("a __empty__", "its file is empty."),
    ],
)
def test_a_wildcard_that_cannot_be_filled_stays_and_is_named(text, says):
    result = resolve(text, 1, FILES)
    (remark,) = result.remarks
    start, end = text.index("__"), text.rindex("__") + 2
    assert (remark.start, remark.end) == (start, end)
    assert remark.message.startswith(f"{text[start:end]} is read as text: {says}")
    assert result.text == f"a {text[start:end]}"


def test_files_that_ask_for_themselves():
    result = resolve("b __self__", 1, FILES)
    assert result.text == "b a __self__"
    assert [(remark.start, remark.end) for remark in result.remarks] == [(2, 10)]
    assert result.remarks[0].message == ("__self__ is read as text: its file asks for itself. It is asked for by self.")


def test_files_that_ask_for_more_and_more():
    result = resolve("__many__", 1, FILES)
    assert len(result.remarks) == MOST_REMARKS and "too many" in result.remarks[0].message
    assert len(result.text) < 100_000


def test_lines_of_a_file():
    assert read_lines("\ufeffa\r\n\r\n# c\r\n 2::b # why\r\n\\#fff\r\n") == ((1, "a"), (2, "b"), (1, r"\#fff"))


def test_a_name_is_one_file_and_a_pattern_those_it_fits():
    assert find_files("colour", FILES) == ("colour",)
    assert find_files("COLOUR", FILES) == ("colour",)
    assert find_files("cat", FILES) == ()
    assert find_files("**", FILES) == tuple(sorted(FILES))


@settings(deadline=None)
@given(
    st.text(alphabet=r"{}|_$:\ab1 -#") | st.text(), st.integers(), st.dictionaries(st.text("ab", max_size=2), st.text())
)
def test_any_text_can_be_resolved(text, seed, files):
    files |= {"a": text}
    result = resolve(text, seed, files)
    assert result == resolve(text, seed, files)
    for remark in result.remarks:
        assert 0 <= remark.start < remark.end <= len(text)
