"""The rows of the table are what AUTOMATIC1111's web UI 1.10 makes of these texts (its own parser was run)."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from webui.domain.prompt import Break, Piece, parse_attention

ATTENTION = [
    ("normal text", [("normal text", 1.0)]),
    ("an (important) word", [("an ", 1.0), ("important", 1.1), (" word", 1.0)]),
    ("(unbalanced", [("unbalanced", 1.1)]),
    (r"\(literal\]", [("(literal]", 1.0)]),
    ("(unnecessary)(parens)", [("unnecessaryparens", 1.1)]),
    (
        "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).",
        [
            ("a ", 1.0),
            ("house", 1.5730000000000004),
            (" ", 1.1),
            ("on", 1.0),
            (" a ", 1.1),
            ("hill", 0.55),
            (", sun, ", 1.1),
            ("sky", 1.4641000000000006),
            (".", 1.1),
        ],
    ),
    ("(a:1.5)", [("a", 1.5)]),
    ("[a:1.5]", [("a:1.5", 0.9090909090909091)]),
    ("(a:)", [("a:", 1.1)]),
    ("((a))", [("a", 1.2100000000000002)]),
    ("[[a]]", [("a", 0.8264462809917354)]),
    ("([a])", [("a", 1.0)]),
    ("(a, b:1.2), c", [("a, b", 1.2), (", c", 1.0)]),
    ("(one (two (three:1.5)))", [("one ", 1.1), ("two ", 1.2100000000000002), ("three", 1.8150000000000004)]),
    ("(a:.5)", [("a", 0.5)]),
    ("(a:-1)", [("a", -1.0)]),
    ("(a:+1.5)", [("a", 1.5)]),
    ("(a: 1.5 )", [("a", 1.5)]),
    ("(a:0)", [("a", 0.0)]),
    ("a:1.5", [("a:1.5", 1.0)]),
    ("a:1.5)", [("a:1.5)", 1.0)]),
    ("()", [("", 1.0)]),
    ("", [("", 1.0)]),
    ("\\\\", [("\\", 1.0)]),
    ("\\a", [("a", 1.0)]),
    ("(a:1e3)", [("a:1e3", 1.1)]),
    ("(a:1,2)", [("a:1,2", 1.1)]),
    (
        "(masterpiece:1.2), 1girl, [background]",
        [("masterpiece", 1.2), (", 1girl, ", 1.0), ("background", 0.9090909090909091)],
    ),
    ("{a}", [("{a}", 1.0)]),
    ("[a|b]", [("a|b", 0.9090909090909091)]),
    ("a BREAK b", [("a", 1.0), Break(), ("b", 1.0)]),
    ("a  BREAK  b", [("a", 1.0), Break(), ("b", 1.0)]),
    ("aBREAKb", [("aBREAKb", 1.0)]),
    ("break", [("break", 1.0)]),
    ("BREAK", [("", 1.0), Break(), ("", 1.0)]),
]

BETTER_THAN_A1111 = [
    ("(a BREAK b:1.3)", [("a", 1.3), Break(), ("b", 1.3)]),  # there no break, and "BREAK" is tokenised
    ("(a:1.2.3)", [("a:1.2.3", 1.1)]),  # there a ValueError
    ("(a:...) b", [("a:...", 1.1), (" b", 1.0)]),
    (f"(a:{'9' * 400})", [(f"a:{'9' * 400}", 1.1)]),  # there infinite
    ("a BREAK BREAK b", [("a", 1.0), Break(), ("", 1.0), Break(), ("b", 1.0)]),
]


def expected(row):
    return tuple(part if isinstance(part, Break) else Piece(part[0], pytest.approx(part[1], rel=1e-12)) for part in row)


@pytest.mark.parametrize(("text", "row"), ATTENTION + BETTER_THAN_A1111)
def test_attention(text, row):
    assert parse_attention(text) == expected(row)


def test_brackets_may_cross():
    assert parse_attention("(a [b) c]") == expected([("a ", 1.1), ("b", 1.0), (" c", 1 / 1.1)])


def test_backslash_escapes_brackets_only():
    assert parse_attention(r"(a\:1.5)") == expected([("a", 1.5)])


GRAMMAR = st.text(alphabet="()[]\\:|<>.,-+012 aB\n") | st.lists(
    st.sampled_from(["(", ")", "[", "]", "\\", ":1.2)", "BREAK", "AND", " ", "a", "<lora:x:1>", ":5]", "|"])
).map("".join)


@settings(deadline=None)
@given(st.text() | GRAMMAR)
@example("(" * 3000 + "a")
@example("(a[" * 2000)
@example("[" * 3000 + "a:5" + "]" * 3000)
@example(" " * 20000 + "BREA")
@example("<a:" * 3000)
def test_any_text_is_a_prompt(text):
    pieces = parse_attention(text)
    assert pieces
    assert sum(isinstance(piece, Break) for piece in pieces) <= text.count("BREAK")


@given(st.text().filter(lambda text: not re.search(r"[()\[\]\\]|BREAK", text)))
def test_plain_text_survives(text):
    assert parse_attention(text) == (Piece(text),)


@given(st.text().filter(lambda text: "BREAK" not in text))
def test_escaped_text_survives(text):
    assert parse_attention(re.sub(r"([()\[\]\\])", r"\\\1", text)) == (Piece(text),)


@given(st.text(alphabet="abc, "), st.floats(-100, 100))
def test_a_written_weight_is_read_back(text, weight):
    assert parse_attention(f"({text}a:{weight:.6f})") == (Piece(f"{text}a", float(f"{weight:.6f}")),)
