"""A text as the tokens that the text encoder reads, for somebody to look at: where chunks end, and what weighs how much."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from webui.engine.chunks import Chunk, chunk_prompt
from webui.engine.embedding_words import FIRST_ADDED_TOKEN, EmbeddingWords
from webui.engine.tokenizer import ClipTokenizer


@dataclass(frozen=True)
class SeenToken:
    """A token and what it reads as; an embedding counts as one, of as many ``ids`` as it has vectors."""

    text: str
    ids: tuple[int, ...]
    weight: float
    ends_word: bool
    is_embedding: bool = False


def see_tokens(
    text: str, tokenizer: ClipTokenizer, words: EmbeddingWords | None = None, *, emphasis: str = "Original"
) -> tuple[tuple[SeenToken, ...], ...]:
    """What each chunk of a text holds, without start, end and padding."""
    chunks = chunk_prompt(text, tokenizer, emphasis=emphasis, words=words)
    return tuple(tuple(_seen(chunk, tokenizer)) for chunk in chunks)


def _seen(chunk: Chunk, tokenizer: ClipTokenizer) -> Iterator[SeenToken]:
    embeddings = iter(chunk.embeddings)
    place, end = 1, 1 + chunk.length  # behind the start token
    while place < end:
        token, weight = chunk.tokens[place], chunk.weights[place]
        if token < FIRST_ADDED_TOKEN:
            yield SeenToken(tokenizer.reading(token), (token,), weight, tokenizer.ends_word(token))
            place += 1
        else:
            word = next(embeddings)
            yield SeenToken(word.name, word.tokens, weight, True, True)
            place += len(word.tokens)
