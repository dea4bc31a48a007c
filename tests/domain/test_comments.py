import pytest
from hypothesis import given
from hypothesis import strategies as st

from webui.domain.comments import strip_comments
from webui.domain.prompt import Piece, parse_attention


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("a # b", "a \n"),
        ("a\n# c\nb", "a\nb"),
        ("#x\na", "\na"),
        ("a # b\nc", "a \nc"),
        (r"a \# b", r"a \# b"),  # A1111 knows no escape
        (r"a \\# b", "a \\\\\n"),  # an escaped backslash, then a comment
        ("#", "\n"),
        ("a\n#\n", "a\n"),
        ("no comment", "no comment"),
        ("", ""),
    ],
)
def test_comments_are_stripped(text, rest):
    assert strip_comments(text) == rest


def test_an_escaped_sign_is_a_letter_in_the_end():
    assert parse_attention(strip_comments(r"colour \#ff8800 # orange")) == (Piece("colour #ff8800 \n"),)


@given(st.text(alphabet="a#\\\n ") | st.text())
def test_stripping_twice_is_stripping_once(text):
    assert strip_comments(strip_comments(text)) == strip_comments(text)


@given(st.text().filter(lambda text: "#" not in text))
def test_text_without_the_sign_stays(text):
    assert strip_comments(text) == text
