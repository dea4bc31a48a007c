"""The rows of the table are what AUTOMATIC1111's web UI 1.10 does with these prompts."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from webui.domain.prompt import Break, parse_attention
from webui.engine.chunks import TokenCount, Unit, chunk, chunk_prompt, count_tokens, units
from webui.engine.tokenizer import COMMA_TOKEN, END_TOKEN, START_TOKEN, ClipTokenizer

TOKENIZER = ClipTokenizer()
CAT, DOG = TOKENIZER.encode("cat dog")
NEAR_THE_END = " ".join(["cat"] * 70) + ", " + " ".join(["dog"] * 10)


@pytest.mark.parametrize(
    ("prompt", "tokens", "limit", "lengths"),
    [
        ("", 0, 75, [0]),
        ("a photo of a cat", 5, 75, [5]),
        ("masterpiece, best quality, 1girl", 7, 75, [7]),
        ("(masterpiece:1.2), best quality", 4, 75, [4]),
        ("日本語", 4, 75, [4]),
        ("🙂", 1, 75, [1]),
        ("supercalifragilisticexpialidocious", 9, 75, [9]),
        ("cat " * 75, 75, 75, [75]),
        ("cat " * 76, 76, 150, [75, 1]),
        ("cat " * 150, 150, 150, [75, 75]),
        ("cat " * 151, 151, 225, [75, 75, 1]),
        (NEAR_THE_END, 85, 150, [71, 10]),
        ("a BREAK b", 76, 150, [1, 1]),
        ("a BREAK", 75, 75, [1]),
        ("BREAK a", 76, 150, [0, 1]),
        ("(a BREAK b:1.3)", 76, 150, [1, 1]),
        ("BREAK", 75, 75, [0]),
        ("a BREAK BREAK b", 151, 225, [1, 0, 1]),
    ],
)
def test_chunks_and_count(prompt, tokens, limit, lengths):
    assert [chunk.length for chunk in chunk_prompt(prompt, TOKENIZER)] == lengths
    assert count_tokens(prompt, TOKENIZER) == TokenCount(tokens, limit)


def test_without_backtracking_the_cut_falls_anywhere():
    chunks = chunk(units(parse_attention(NEAR_THE_END), TOKENIZER), comma_backtrack=0)
    assert [chunk.length for chunk in chunks] == [75, 6]


@pytest.mark.parametrize(
    ("commas_at", "lengths"), [([55], [56, 24]), ([54], [75, 5]), ([10, 74], [75, 5]), ([75], [75, 5])]
)
def test_a_comma_counts_when_it_is_at_most_20_tokens_back(commas_at, lengths):
    prompt = [Unit((COMMA_TOKEN if place in commas_at else CAT,)) for place in range(80)]
    assert [chunk.length for chunk in chunk(prompt)] == lengths


def test_tokens_are_framed_and_padded_and_only_the_prompts_own_are_weighted():
    (only,) = chunk_prompt("cat (dog:1.5)", TOKENIZER)
    assert only.tokens == (START_TOKEN, CAT, DOG, *[END_TOKEN] * 74)
    assert only.weights == (1.0, 1.0, 1.5, *[1.0] * 74)


def test_padding_of_openclip_comes_after_the_end():
    (only,) = chunk_prompt("cat", TOKENIZER, pad_token=0)
    assert only.tokens == (START_TOKEN, CAT, END_TOKEN, *[0] * 74)


def test_the_vectors_of_an_embedding_stay_together():
    embedding = Unit((0,) * 8, 1.2)
    assert [chunk.length for chunk in chunk([embedding, Unit((COMMA_TOKEN,)), Unit((CAT,))])] == [10]
    first, second = chunk([*[Unit((CAT,))] * 70, embedding])
    assert (first.length, second.length) == (70, 8)
    assert second.weights[:10] == (1.0, *[1.2] * 8, 1.0)


def test_an_embedding_after_the_last_comma_moves_whole():
    prompt = [*[Unit((CAT,))] * 60, Unit((COMMA_TOKEN,)), Unit((0,) * 14), Unit((DOG,))]
    first, second = chunk(prompt)
    assert (first.length, second.length) == (61, 15)


UNITS = st.one_of(
    st.builds(Unit, st.sampled_from([(CAT,), (DOG,), (COMMA_TOKEN,), (0,) * 8]), st.floats(0, 2)), st.just(Break())
)


@settings(deadline=None)
@given(st.lists(UNITS, max_size=300), st.integers(0, 75))
@example([Unit((CAT,))] * 74 + [Unit((COMMA_TOKEN,))] * 3, 20)
def test_nothing_is_lost_or_reordered(prompt, backtrack):
    chunks = chunk(prompt, comma_backtrack=backtrack)
    assert all(len(chunk.tokens) == len(chunk.weights) == 77 and chunk.length <= 75 for chunk in chunks)
    written = [token for unit in prompt if isinstance(unit, Unit) for token in unit.tokens]
    assert [token for chunk in chunks for token in chunk.tokens[1 : 1 + chunk.length]] == written
    weights = [unit.weight for unit in prompt if isinstance(unit, Unit) for _ in unit.tokens]
    assert [weight for chunk in chunks for weight in chunk.weights[1 : 1 + chunk.length]] == weights
