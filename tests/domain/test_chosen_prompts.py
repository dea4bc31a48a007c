"""The prompts of one picture: chosen by its seed, and plain from then on."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webui.domain.chosen_prompts import PROMPTS, TEMPLATES, choose_prompts, without_choices
from webui.domain.prompt import parse_attention
from webui.domain.request import GenerationRequest

FILES = {"colour": "red\nblue\n{dark |}green # the last", "round": "a __round__", "two": "__colour__ and __colour__"}


def request(prompt, **more):
    return GenerationRequest(prompt=prompt, seed=3, **more)


def test_a_prompt_without_choices_stays_as_it_was_written():
    plain = request("a (red:1.2) cat # {never|ever}\n {x}", negative_prompt="__")
    chosen = choose_prompts(plain, FILES)
    assert (chosen.request, chosen.templates, chosen.remarks) == (plain, {}, ())


def test_the_template_is_kept_beside_what_was_chosen():
    chosen = choose_prompts(request("a __colour__ {cat|cat} # or a dog", negative_prompt="a dog"), FILES)
    assert chosen.request.prompt.rstrip() in ("a red cat", "a blue cat", "a green cat", "a dark green cat")
    assert chosen.templates == {"Template": "a __colour__ {cat|cat} # or a dog"}
    assert chosen.request.negative_prompt == "a dog"


def test_both_prompts_choose_for_themselves():
    word = "{red|blue|green|yellow}"
    seeds = [choose_prompts(replace(request(word, negative_prompt=word), seed=seed), {}).request for seed in range(20)]
    assert any(one.prompt != one.negative_prompt for one in seeds)
    assert seeds == [choose_prompts(replace(one, prompt=word, negative_prompt=word), {}).request for one in seeds]


@pytest.mark.parametrize("prompt", ["a __nope__", "__round__", "{a|_}_colour__", "__two__ {__nope__|__round__}"])
def test_what_was_chosen_chooses_nothing_more(prompt):
    for seed in range(8):
        chosen = choose_prompts(replace(request(prompt), seed=seed), FILES).request
        again = choose_prompts(replace(chosen, seed=99), {**FILES, "nope": "yes"})
        assert (again.request.prompt, again.templates) == (chosen.prompt, {})


def test_a_wildcard_without_a_file_is_read_as_text_and_told():
    chosen = choose_prompts(request("a __color__ cat"), FILES)
    assert chosen.request.prompt == r"a \__color\__ cat"
    assert [piece.text for piece in parse_attention(chosen.request.prompt)] == ["a __color__ cat"]
    assert "colour" in chosen.remarks[0]


def test_underscores_in_the_name_of_a_network_are_letters():
    tag = "a cat <lora:my__style__v2:0.8>"
    assert choose_prompts(request(tag), FILES).request.prompt == tag


def test_where_backslashes_are_letters_none_is_added():
    assert choose_prompts(request("a __nope__", emphasis="None"), FILES).request.prompt == "a __nope__"


@given(st.text(alphabet=r"ab_{}|\<>:$1 "))
def test_any_text_can_be_made_plain(text):
    plain = without_choices(text)
    assert without_choices(plain) == plain or "<" in text
    if plain != text:
        letters = ["".join(getattr(piece, "text", "") for piece in parse_attention(each)) for each in (plain, text)]
        assert letters[0] == letters[1]


def test_every_prompt_chooses_and_a_second_pass_as_the_first():
    word = "{" + "|".join("abcdefghij") + "}"
    written = request(word, **dict.fromkeys(PROMPTS[1:], word))
    chosen = choose_prompts(written, {})
    assert chosen.templates == {TEMPLATES[name][0]: word for name in PROMPTS}
    for first in PROMPTS[:2]:
        assert len({getattr(chosen.request, name) for name in PROMPTS if name.removeprefix("hires_") == first}) == 1
