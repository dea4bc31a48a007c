from __future__ import annotations

import torch
from tiny import tiny_components

from webui.engine.chunks import chunk_prompt
from webui.engine.conditioning import (
    CACHED_BYTES,
    CACHED_PROMPTS,
    Conditioning,
    ConditioningCache,
    Reading,
    apply_emphasis,
    encode_prompts,
)
from webui.engine.tokenizer import ClipTokenizer

TOKENIZER = ClipTokenizer()
CPU = torch.device("cpu")


(EMPTY,) = chunk_prompt("", TOKENIZER)


def encode(*texts: str, emphasis: str = "Original") -> torch.Tensor:
    encoder = tiny_components()["text_encoder"]
    prompts = [chunk_prompt(text, TOKENIZER, emphasis=emphasis) for text in texts]
    keep_mean = emphasis != "No norm"
    read = [lambda ids: Reading(encoder(ids).last_hidden_state)]
    return encode_prompts(prompts, EMPTY, read, CPU, keep_mean=keep_mean).text


def test_a_plain_prompt_is_what_the_text_encoder_says():
    encoder = tiny_components()["text_encoder"]
    ids = [49406, *TOKENIZER.encode("a photo of a cat"), *[49407] * 71]
    with torch.no_grad():
        expected = encoder(torch.tensor([ids])).last_hidden_state
    torch.testing.assert_close(encode("a photo of a cat"), expected)


def test_a_long_prompt_is_its_chunks_one_after_another():
    assert encode("cat " * 151).shape == (1, 3 * 77, 32)
    long, alone = encode("cat " * 75 + "dog"), encode("dog")
    torch.testing.assert_close(long[:, 77:], alone)


def test_emphasis_weighs_tokens_and_keeps_the_mean_of_the_chunk():
    plain, stressed = encode("a red fox"), encode("a (red:1.5) fox")
    torch.testing.assert_close(stressed.mean(), plain.mean())
    # all tokens share the factor that restores the mean, so the stressed one stands out by its weight
    ratio = stressed / plain
    torch.testing.assert_close(ratio[0, 2] / ratio[0, 1], torch.full((32,), 1.5))
    torch.testing.assert_close(ratio[0, 3], ratio[0, 1])


def test_each_chunk_keeps_its_own_mean():
    states = torch.randn(1, 2, 77, 8, generator=torch.Generator().manual_seed(0)) + 1
    weights = torch.ones(1, 2, 77)
    weights[0, 1, 5] = 2.0
    weighted = apply_emphasis(states, weights)
    torch.testing.assert_close(weighted[0, 0], states[0, 0])
    torch.testing.assert_close(weighted.mean(dim=(2, 3)), states.mean(dim=(2, 3)))


def test_the_texts_of_a_schedule_keep_their_mean_together():
    """A1111 gives the batch of a prompt's texts its mean back by one factor, so the plain one changes a little too."""
    states = torch.randn(2, 1, 77, 8, generator=torch.Generator().manual_seed(0)) + 1
    weights = torch.ones(2, 1, 77)
    weights[1, 0, 5] = 2.0
    weighted = apply_emphasis(states, weights)
    torch.testing.assert_close(weighted.mean(), states.mean())
    ratio = weighted / states
    torch.testing.assert_close(ratio[0], ratio[1, 0, 0, 0].expand(1, 77, 8))
    assert abs(ratio[0, 0, 0, 0] - 1) > 1e-3


def test_the_shorter_texts_of_a_schedule_are_filled_up_with_empty_chunks():
    both = encode("a fox", "cat " * 76)
    assert both.shape == (2, 2 * 77, 32)
    torch.testing.assert_close(both[:1], torch.cat([encode("a fox"), encode("")], dim=1))


def test_emphasis_in_other_ways():
    plain = encode("a red fox")
    without_norm = encode("a (red:1.5) fox", emphasis="No norm")
    torch.testing.assert_close(without_norm[0, 2], plain[0, 2] * 1.5)
    torch.testing.assert_close(without_norm[0, 3:], plain[0, 3:])
    torch.testing.assert_close(encode("a (red:1.5) fox", emphasis="Ignore"), plain)
    letters = [token.text for token in TOKENIZER.tokens("a (red:1.5) \\( BREAK fox")]
    (chunk,) = chunk_prompt("a (red:1.5) \\( BREAK fox", TOKENIZER, emphasis="None")
    assert chunk.length == len(letters)
    assert set(chunk.weights) == {1.0}


def test_a_prompt_of_many_chunks_is_encoded_in_groups():
    torch.testing.assert_close(encode("fox " * 75 * 66)[:, -77:], encode("fox " * 75))


def test_the_cache_encodes_once_and_forgets_the_least_recently_used():
    cache, made = ConditioningCache(), []

    def get(key: object) -> Conditioning:
        return cache.get(key, lambda: made.append(key) or Conditioning(torch.zeros(1)))

    get("first")
    get("first")
    assert made == ["first"]
    for number in range(CACHED_PROMPTS - 1):
        get(number)
    get("first")  # used again, so number 0 is the oldest now
    get("new")
    made.clear()
    get("first")
    get(0)
    assert made == [0]


def test_the_cache_is_bounded_in_bytes_too():
    cache = ConditioningCache()
    large = Conditioning(torch.zeros(1).expand(CACHED_BYTES // 6))  # no real memory; 2/3 of what may be held
    for key in ("a", "b"):
        assert cache.get(key, lambda: large) is large
    assert cache.get("b", lambda: Conditioning(torch.zeros(1))) is large
    assert cache.get("a", lambda: Conditioning(torch.ones(1))) is not large
