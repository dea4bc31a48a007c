"""What the page tells of a prompt before it is drawn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from webui.domain.request import GenerationRequest
from webui.domain.styles import Style
from webui.engine.tokenizer import ClipTokenizer
from webui.jobs.prompt_view import MOST_CHUNKS, MOST_TEXTS, SeenPrompt, see_prompts
from webui.library.index import Library

See = Callable[..., SeenPrompt]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    folder = tmp_path_factory.mktemp("embeddings")
    save_file({"emb_params": torch.zeros(3, 32)}, folder / "verybad.safetensors")
    library = Library({"embedding": (folder,)}, Path(tmp_path_factory.mktemp("var")) / "hashes.sqlite3")
    library.rescan()
    return library


@pytest.fixture
def see(library: Library) -> See:
    tokenizer = ClipTokenizer()

    def see(prompt: str, styles: tuple[Style, ...] = (), wildcards: dict[str, str] | None = None, **more: object):
        request = GenerationRequest(**{"prompt": prompt, "steps": 10, **more})
        return see_prompts(library, tokenizer, request, styles, wildcards, in_full=True)[0]

    return see


def words(prompt: SeenPrompt, text: int = 0) -> list[list[str]]:
    return [[token.text for token in chunk] for chunk in prompt.texts[text].chunks]


def test_tokens_have_their_weights_and_numbers(see: See) -> None:
    prompt = see("a (supercalifragilistic:1.5) cat BREAK verybad dog # no\n<lora:x:1>")
    (text,) = prompt.texts
    assert [sum(len(token.ids) for token in chunk) for chunk in text.chunks] == [7, 4]
    (first, *long_word, cat), (embedding, dog) = text.chunks
    assert (first.text, first.ids, first.weight, first.ends_word) == ("a", (320,), 1.0, True)
    assert "".join(token.text for token in long_word) == "supercalifragilistic"
    assert [token.ends_word for token in long_word] == [False] * (len(long_word) - 1) + [True]
    assert {token.weight for token in long_word} == {1.5}
    assert (cat.text, cat.weight) == ("cat", 1.0)
    assert (embedding.text, len(embedding.ids), embedding.is_embedding) == ("verybad", 3, True)
    assert dog.text == "dog"
    assert (prompt.count.tokens, prompt.count.limit) == (79, 150)
    assert prompt.left_out == ("# no", "<lora:x:1>")


def test_each_text_is_told_with_its_steps_and_its_part(see: See) -> None:
    prompt = see("a [cat:dog:0.5] AND a hat :-0.5")
    told = [(text.part, text.weight, text.first, text.last, text.chunks[0][-1].text) for text in prompt.texts]
    assert told == [(1, 1.0, 1, 5, "cat"), (1, 1.0, 6, 10, "dog"), (2, -0.5, 1, 10, "hat")]
    assert prompt.parts == 2


def test_what_is_counted_is_what_will_be_read(see: See) -> None:
    prompt = see("a __colour__ {cat|cat}", (Style("s", "{prompt}, detailed"),), {"colour": "red"})
    assert prompt.chosen == "a red cat, detailed"
    assert prompt.count.tokens == 5
    assert words(prompt) == [["a", "red", "cat", ",", "detailed"]]
    assert see("a cat").chosen is None


def test_remarks_point_at_what_was_typed(see: See) -> None:
    typed = "# a comment\na (cat and __nope__ 🙂 ["
    remarks = see(typed, (Style("s", "much, before, {prompt}"),)).remarks
    assert [typed[remark.start : remark.end] for remark in remarks] == ["(", "__nope__", "["]


def test_emphasis_is_shown_as_it_counts(see: See) -> None:
    assert {token.weight for token in see("(a:1.5) b", emphasis="Ignore").texts[0].chunks[0]} == {1.0}
    assert words(see("(a)", emphasis="None")) == [["(", "a", ")"]]


def test_the_negative_prompt_is_not_cut_at_and(library: Library) -> None:
    request = GenerationRequest(negative_prompt="cats AND dogs <lora:x:1>")
    negative = see_prompts(library, ClipTokenizer(), request, in_full=True)[1]
    assert (negative.parts, negative.left_out) == (1, ())
    assert [*words_of(negative)][:3] == ["cats", "and", "dogs"]


def words_of(prompt: SeenPrompt) -> list[str]:
    return [token.text for text in prompt.texts for chunk in text.chunks for token in chunk]


def test_a_huge_prompt_is_shown_in_part(see: See) -> None:
    long = see("cat " * 75 * (MOST_CHUNKS + 2))
    assert (len(long.texts[0].chunks), long.texts[0].more_chunks) == (MOST_CHUNKS, 2)
    many = see("|".join(["[a", *"bcdefghijklmnop", "q]"]), steps=30)
    assert (len(many.texts), many.more_texts) == (MOST_TEXTS, 30 - MOST_TEXTS)


@settings(deadline=None, max_examples=50)
@given(st.text(alphabet=r"ab,()[]{}|:_#\<>AND 1\n" + "🙂"))
def test_any_text_can_be_looked_at(text: str) -> None:
    library = Library({}, Path(":memory:"))
    for prompt in see_prompts(library, ClipTokenizer(), GenerationRequest(prompt=text, negative_prompt=text)):
        assert all(0 <= remark.start < remark.end <= len(text) for remark in prompt.remarks)
