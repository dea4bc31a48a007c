import pytest
from hypothesis import given
from hypothesis import strategies as st

from webui.domain.styles import Recognised, Style, apply_styles, read_csv, read_yaml, recognise, write_csv, write_yaml
from webui.errors import InvalidSettings


@pytest.mark.parametrize(
    ("style", "prompt", "result"),
    [
        ("masterpiece", "1girl", "1girl, masterpiece"),
        ("masterpiece, {prompt}", "1girl", "masterpiece, 1girl"),
        ("", "1girl", "1girl"),
        ("x", "", "x"),
        ("{prompt} and {prompt}", "a", "a and a"),
        ("x # why", "a # b", "a, x"),
    ],
)
def test_a_style_is_applied_to_both_prompts(style, prompt, result):
    assert apply_styles(prompt, "", [Style("s", style)]) == (result, "")
    assert apply_styles("", prompt, [Style("s", "", style)]) == ("", result)


def test_styles_are_applied_in_turn():
    styles = [Style("film", "film of {prompt}", "cartoon"), Style("sharp", "sharp"), Style("frame", "<{prompt}>")]
    assert apply_styles("a cat", "blur", styles) == ("<film of a cat, sharp>", "blur, cartoon")
    assert apply_styles(" a # b", "", []) == (" a # b", "")


FILM, SHARP, NEGATIVE = (
    Style("film", "film of {prompt}, grain", "cartoon"),
    Style("sharp", "sharp"),
    Style("n", "", "bad"),
)


@pytest.mark.parametrize(
    "chosen", [[], [FILM], [SHARP], [SHARP, FILM], [FILM, SHARP], [NEGATIVE], [FILM, NEGATIVE, SHARP]]
)
def test_applied_styles_are_recognised(chosen):
    prompts = apply_styles("a cat", "blur", chosen)
    found = recognise(*prompts, [FILM, NEGATIVE, SHARP])
    assert (found.prompt, found.negative_prompt) == ("a cat", "blur")
    assert set(found.styles) == {style.name for style in chosen}
    again = [style for name in found.styles for style in chosen if style.name == name]
    assert apply_styles(found.prompt, found.negative_prompt, again) == prompts


@pytest.mark.parametrize(
    ("prompt", "negative", "styles"),
    [
        ("a cat ", "", [Style("s", "cat")]),  # A1111 recognises this, and then draws "a , cat"
        ("film of", "", [Style("s", "film {prompt} of")]),
        ("a, x", "", [Style("s", "x", "bad")]),
        ("a", "b", [Style("empty")]),
        ("a and b", "", [Style("s", "{prompt} and {prompt}")]),
        ("a", "b", []),
    ],
)
def test_what_applying_does_not_give_back_is_not_recognised(prompt, negative, styles):
    assert recognise(prompt, negative, styles) == Recognised(prompt, negative, ())


def test_examples_of_a1111():
    assert recognise("1girl, art by greg, masterpiece", "", [Style("m", "masterpiece")]).prompt == "1girl, art by greg"
    left = Style("m", "masterpiece, {prompt}")
    assert recognise("masterpiece, 1girl, art by greg", "", [left]).prompt == "1girl, art by greg"
    assert recognise("exquisite, 1girl, art by greg", "", [left]).styles == ()


LETTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0\x85\u2028\u2029")  # YAML folds the last three
TEXTS = st.text(LETTERS | st.sampled_from(", {}#"), max_size=20).map(str.strip)
NAMES = TEXTS.filter(lambda name: name and not name.startswith("#"))
STYLE_TEXTS = TEXTS | st.builds("{}{{prompt}}{}".format, TEXTS, TEXTS).map(str.strip)
STYLES = st.lists(
    st.builds(Style, NAMES, STYLE_TEXTS, STYLE_TEXTS), unique_by=lambda style: style.name, max_size=4
).map(tuple)


@given(STYLES)
def test_files_hold_what_was_written(styles):
    assert read_csv(write_csv(styles)) == styles
    assert read_yaml(write_yaml(styles)) == styles


@given(TEXTS, TEXTS, STYLES)
def test_what_is_recognised_gives_the_prompts_back(prompt, negative, styles):
    prompts = apply_styles(prompt, negative, styles)
    found = recognise(*prompts, styles)
    again = [next(style for style in styles if style.name == name) for name in found.styles]
    assert apply_styles(found.prompt, found.negative_prompt, again) == prompts


def test_a_styles_csv_of_a1111():
    text = (
        "\ufeffname,prompt,negative_prompt\r\n# a comment,x,y\r\n"
        'Film,"film, {prompt}", cartoon\r\nEmpty,,\r\nShort\r\n,nameless,\r\nFilm,later,\r\n'
    )
    assert read_csv(text) == (Style("Film", "later"), Style("Empty"), Style("Short"))
    assert read_csv("name,text\nOld,old style\n") == (Style("Old", "old style"),)
    assert read_csv("") == ()


def test_a_styles_csv_that_is_none():
    with pytest.raises(InvalidSettings, match="name,prompt,negative_prompt"):
        read_csv("first,second\na,b\n")
    with pytest.raises(InvalidSettings, match="behind line 1"):
        read_csv('name,prompt\na,"' + "x" * 200_000)


def test_a_styles_file_of_ours():
    text = "Film still:\n  prompt: film of {prompt}\n  negative_prompt: no\nSharp: 1.5 # comment\nNothing:\n"
    assert read_yaml(text) == (Style("Film still", "film of {prompt}", "no"), Style("Sharp", "1.5"), Style("Nothing"))
    assert read_yaml("# nothing yet\n") == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [", "no YAML"),
        ("[" * 1000, "no YAML"),
        ("- a", "must hold names"),
        ("a: [b]", "needs a prompt"),
        ("a:\n  promt: b", "'promt'"),
        ("a:\n  prompt: [b]", "both texts"),
    ],
)
def test_a_styles_file_that_is_none(text, says):
    with pytest.raises(InvalidSettings, match=says):
        read_yaml(text)
