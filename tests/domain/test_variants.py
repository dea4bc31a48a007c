import pytest
from hypothesis import given
from hypothesis import strategies as st

from webui.domain.variants import MANY, Variants, Wildcard, read_template


def choice(*options, least=1, most=1, separator=""):
    read = [option if isinstance(option, tuple) else (1.0, option) for option in options]
    return Variants(tuple((weight, (text,) if text else ()) for weight, text in read), least, most, separator)


@pytest.mark.parametrize(
    ("text", "template"),
    [
        ("a {b|c} d", ("a ", choice("b", "c"), " d")),
        ("{fe|}male", (choice("fe", ""), "male")),
        ("{0.5::a|2::b|c}", (choice((0.5, "a"), (2.0, "b"), "c"),)),
        ("{2$$a|b}", (choice("a", "b", least=2, most=2, separator=", "),)),
        ("{2$$ and $$a|b}", (choice("a", "b", least=2, most=2, separator=" and "),)),
        ("{1-3$$2::a|b}", (choice((2.0, "a"), "b", least=1, most=3, separator=", "),)),
        ("{-3$$a|b}", (choice("a", "b", least=1, most=3, separator=", "),)),
        ("{2-$$a|b}", (choice("a", "b", least=2, most=MANY, separator=", "),)),
        ("{a|{b|c}}", (Variants(((1.0, ("a",)), (1.0, (choice("b", "c"),)))),)),
        ("a __b__ c", ("a ", Wildcard("b", 2, 7), " c")),
        ("__a/b-c_d*__", (Wildcard("a/b-c_d*", 0, 12),)),
        ("{2$$__b__}", (Variants(((1.0, (Wildcard("b", 4, 9),)),), 2, 2, ", "),)),
        *[
            (text, (text,))
            for text in ("{a}", "{", "}", "{a|b", "a|b}", "a|b", r"\{a|b\}", r"{a\|b}", "{a|{b}", "{[a|b]")
        ],
        *[(text, (text,)) for text in ("__", "____", "a__b", "__ a __", r"\__a__", "__a\n__", "snake_case_word")],
        ("", ()),
    ],
)
def test_templates(text, template):
    assert read_template(text) == template


@given(st.text(alphabet=r"{}|_$:\ab1 ") | st.text())
def test_any_text_is_a_template_and_no_letter_of_it_comes_from_nowhere(text):
    def letters(template):
        for item in template:
            if isinstance(item, str):
                yield item
            elif isinstance(item, Wildcard):
                assert text[item.start : item.end] == f"__{item.name}__"
            else:
                for _, option in item.options:
                    yield from letters(option)

    assert set("".join(letters(read_template(text)))) <= set(text)


@given(st.text(alphabet=r"{}_$:\ab1 ").filter(lambda text: "__" not in text and "$$" not in text))
def test_text_without_choices_stays(text):
    assert "".join(map(str, read_template(text))) == text


@pytest.mark.parametrize("unit", ["{", "}", "{a|", "|}", "_", "__a", "__a__", "{a|b}", "\\", "{2$$"])
def test_a_huge_text_of_signs_is_read(unit):
    assert read_template(unit * (100_000 // len(unit)))
