from __future__ import annotations

import torch
from tiny import tiny_components

from webui.engine.chunks import chunk_prompt
from webui.engine.conditioning import CACHED_PROMPTS, ConditioningCache, apply_emphasis, encode_chunks
from webui.engine.tokenizer import ClipTokenizer

TOKENIZER = ClipTokenizer()
CPU = torch.device("cpu")


def encode(text: str) -> torch.Tensor:
    encoder = tiny_components()["text_encoder"]
    return encode_chunks(chunk_prompt(text, TOKENIZER), lambda ids: encoder(ids).last_hidden_state, CPU)


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
    states = torch.randn(2, 77, 8, generator=torch.Generator().manual_seed(0)) + 1
    weights = torch.ones(2, 77)
    weights[1, 5] = 2.0
    weighted = apply_emphasis(states, weights)
    torch.testing.assert_close(weighted[0], states[0])
    torch.testing.assert_close(weighted.mean(dim=(1, 2)), states.mean(dim=(1, 2)))


def test_the_cache_encodes_once_and_forgets_the_least_recently_used():
    cache, made = ConditioningCache(), []

    def get(key: object) -> torch.Tensor:
        return cache.get(key, lambda: made.append(key) or torch.zeros(1))

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
