"""A prompt of any length as chunks of 75 tokens, each with start and end token the 77 that CLIP's text encoder reads.

The encoder was trained on 77 tokens and no more. Longer prompts are cut, each chunk is encoded alone, and the U-Net's
cross-attention reads the results one after another. Where to cut is AUTOMATIC1111's rule: if the last comma is at most 20
tokens back, the cut goes behind it, so that a phrase stays whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from webui.domain.prompt import Break, Piece, parse_attention
from webui.engine.embedding_words import EmbeddingWord, EmbeddingWords
from webui.engine.tokenizer import COMMA_TOKEN, END_TOKEN, START_TOKEN, ClipTokenizer

CHUNK_LENGTH = 75
COMMA_BACKTRACK = 20


@dataclass(frozen=True)
class Unit:
    """Tokens that are never parted by the end of a chunk, and their weight.

    One token for a word or a part of one; an embedding of N vectors is N added tokens, at most 75.
    """

    tokens: tuple[int, ...]
    weight: float = 1.0
    embedding: EmbeddingWord | None = None


@dataclass(frozen=True)
class Chunk:
    """77 token numbers with their weights: start, ``length`` tokens of the prompt, end, padding.

    ``embeddings`` are those in it, in their order. They tell the content of their files, so chunks that are equal read alike.
    """

    tokens: tuple[int, ...]
    weights: tuple[float, ...]
    length: int
    embeddings: tuple[EmbeddingWord, ...] = ()


@dataclass(frozen=True)
class TokenCount:
    """How full a prompt is, as the page shows it: 80/150."""

    tokens: int
    limit: int


def units(
    pieces: Iterable[Piece | Break], tokenizer: ClipTokenizer, words: EmbeddingWords | None = None
) -> Iterator[Unit | Break]:
    """The tokens of a parsed prompt, one by one; names of ``words`` as the tokens of their vectors."""
    for piece in pieces:
        if isinstance(piece, Break):
            yield piece
            continue
        tokens = tokenizer.encode(piece.text)
        place = 0
        while place < len(tokens):
            found = words.at(tokens, place) if words is not None else None
            if found is None:
                yield Unit((tokens[place],), piece.weight)
                place += 1
            else:
                word, length = found
                yield Unit(word.tokens, piece.weight, word)
                place += length


def chunk(
    prompt: Iterable[Unit | Break], pad_token: int = END_TOKEN, comma_backtrack: int = COMMA_BACKTRACK
) -> tuple[Chunk, ...]:
    """The chunks of a prompt, at least one. A ``Break`` ends a chunk even if it is empty, but starts none at the end.

    SD 1 and CLIP-L pad with the end token, OpenCLIP (SD 2, SDXL's second encoder) with 0. Start, end and padding weigh 1.
    ``comma_backtrack`` 0 cuts at 75 tokens wherever that falls.
    """
    return tuple(_framed(full, pad_token) for full in _cut(prompt, comma_backtrack))


def chunk_prompt(
    text: str,
    tokenizer: ClipTokenizer,
    pad_token: int = END_TOKEN,
    *,
    emphasis: str = "Original",
    words: EmbeddingWords | None = None,
) -> tuple[Chunk, ...]:
    """The chunks of a text, which may use ``words``. ``emphasis`` as in ``GenerationRequest``: with "Ignore" all weigh 1."""
    cut = chunk(units(attended(text, emphasis), tokenizer, words), pad_token)
    if emphasis != "Ignore":
        return cut
    return tuple(replace(each, weights=(1.0,) * len(each.weights)) for each in cut)


def attended(text: str, emphasis: str) -> tuple[Piece | Break, ...]:
    """The pieces of a text. With emphasis "None" it means what it says: brackets, backslashes and BREAK are letters."""
    return (Piece(text),) if emphasis == "None" else parse_attention(text)


def embeddings_in(text: str, tokenizer: ClipTokenizer, words: EmbeddingWords) -> tuple[EmbeddingWord, ...]:
    """The embeddings that a text names, each once, in the order in which they come."""
    prompt = units(parse_attention(text), tokenizer, words)
    return tuple(dict.fromkeys(unit.embedding for unit in prompt if isinstance(unit, Unit) and unit.embedding))


def count_tokens(text: str, tokenizer: ClipTokenizer, words: EmbeddingWords | None = None) -> TokenCount:
    """How many tokens of how many a prompt takes. All chunks but the last count as full, and so does one ended by BREAK.

    An embedding counts as many as it has vectors.
    """
    prompt = list(units(parse_attention(text), tokenizer, words))
    chunks = chunk(prompt)
    limit = CHUNK_LENGTH * len(chunks)
    ends_with_break = bool(prompt) and isinstance(prompt[-1], Break)
    return TokenCount(limit if ends_with_break else limit - CHUNK_LENGTH + chunks[-1].length, limit)


def _cut(prompt: Iterable[Unit | Break], comma_backtrack: int) -> Iterator[list[Unit]]:
    """What each chunk holds."""
    current: list[Unit] = []
    filled = 0  # tokens in `current`
    phrase: int | None = None  # where in `current` the text after its last comma begins
    comma = 0  # which token of `current` that comma is
    nothing_yet = True

    for unit in prompt:
        if isinstance(unit, Break):
            yield current
            current, filled, phrase, nothing_yet = [], 0, None, False
            continue
        if unit.tokens == (COMMA_TOKEN,):
            phrase, comma = len(current) + 1, filled
        elif filled == CHUNK_LENGTH and phrase is not None and filled - comma <= comma_backtrack:
            yield current[:phrase]
            current, filled, phrase, nothing_yet = current[phrase:], filled - comma - 1, None, False
        if filled + len(unit.tokens) > CHUNK_LENGTH:
            yield current
            current, filled, phrase, nothing_yet = [], 0, None, False
        current.append(unit)
        filled += len(unit.tokens)
    if current or nothing_yet:
        yield current


def _framed(content: list[Unit], pad_token: int) -> Chunk:
    tokens = [token for unit in content for token in unit.tokens]
    weights = [unit.weight for unit in content for _ in unit.tokens]
    padding = CHUNK_LENGTH - len(tokens)
    return Chunk(
        (START_TOKEN, *tokens, END_TOKEN, *[pad_token] * padding),
        (1.0, *weights, *[1.0] * (1 + padding)),
        len(tokens),
        tuple(unit.embedding for unit in content if unit.embedding is not None),
    )
