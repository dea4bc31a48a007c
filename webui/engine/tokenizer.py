"""Text to token numbers, as CLIP's text encoder was trained to read it.

CLIP (Radford et al. 2021, arXiv 2103.00020) reads a byte-pair encoding (Sennrich et al. 2016, arXiv 1508.07909):
text is split into words, each word into its UTF-8 bytes, and then the pair of neighbours that stands first in
``merges.txt`` is joined, again and again. Frequent words end as one token, rare ones as several, and no text is
"unknown". The same 49408 tokens serve Stable Diffusion 1, 2 and XL.
"""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import ftfy
from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers

from webui.errors import UnreadableModel

START_TOKEN = 49406
END_TOKEN = 49407
COMMA_TOKEN = 267

CLIP_MERGES = Path(__file__).parent.parent / "data" / "clip" / "merges.txt"

_START, _END = "<|startoftext|>", "<|endoftext|>"
_WORD_END = "</w>"
# CLIP's words: contractions, runs of letters, single digits, runs of anything else that is not white space
_WORDS = r"""<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"""


class Token(NamedTuple):
    """A token and what it reads as; ``text`` is "�" where a character is cut between two tokens."""

    id: int
    text: str


class ClipTokenizer:
    """CLIP's tokenizer. The merges are read at first use, once per instance; an instance may be shared by threads.

    Follows OpenAI's tokenizer, which AUTOMATIC1111's web UI runs (transformers' original ``CLIPTokenizer`` with ftfy
    installed): typographic quotes, full-width letters and commas, ligatures and HTML entities count as their plain
    forms. The tokenizer of transformers 5 leaves these steps out; on all other text the two are equal.
    """

    def __init__(self, merges: Path = CLIP_MERGES) -> None:
        self._merges_path = merges

    def encode(self, text: str) -> list[int]:
        """The token numbers of a text of any length, without start and end token. Never raises on odd text."""
        ids: list[int] = self._backend.encode(clean(text), add_special_tokens=False).ids
        return ids

    def tokens(self, text: str) -> list[Token]:
        """Like :meth:`encode`, each number with what it reads as, to show where words are cut."""
        return [Token(id, self.reading(id)) for id in self.encode(text)]

    def ends_word(self, id: int) -> bool:
        """Whether the token is the last one of its word: what comes behind it was parted from it."""
        return str(self._backend.id_to_token(id)).endswith(_WORD_END)

    def reading(self, id: int) -> str:
        """What a token reads as."""
        symbols = self._backend.id_to_token(id)
        if symbols in (_START, _END):
            return str(symbols)
        letters = symbols.removesuffix(_WORD_END)
        return bytes(_BYTE_OF_LETTER[letter] for letter in letters).decode(errors="replace")

    @cached_property
    def _backend(self) -> Any:
        merges = read_merges(self._merges_path)
        bytes_ = list(_LETTER_OF_BYTE.values())
        symbols = [*bytes_, *(letter + _WORD_END for letter in bytes_), *map("".join, merges), _START, _END]
        tokenizer = Tokenizer(
            models.BPE(
                vocab={symbol: number for number, symbol in enumerate(symbols)},
                merges=merges,
                continuing_subword_prefix="",
                end_of_word_suffix=_WORD_END,
                unk_token=_END,
            )
        )
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(_WORDS), behavior="removed", invert=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        tokenizer.add_special_tokens([AddedToken(_START, special=True), AddedToken(_END, special=True)])
        return tokenizer


def clean(text: str) -> str:
    """The plain form that is split into words: Unicode repaired and composed, white space single, lower case."""
    return re.sub(r"\s+", " ", ftfy.fix_text(text)).strip().lower()


def read_merges(path: Path) -> list[tuple[str, str]]:
    """The pairs of a ``merges.txt``, most frequent first; ``UnreadableModel`` when it is missing or malformed."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
        return [_pair(line) for line in lines[1:] if line]  # the first line names the version
    except (OSError, ValueError) as error:
        raise UnreadableModel(
            f"The tokenizer's vocabulary {path} cannot be read ({error}). Reinstall the program."
        ) from error


def _pair(line: str) -> tuple[str, str]:
    left, right = line.split(" ")
    return left, right


def _letters_of_bytes() -> dict[int, str]:
    """A visible letter for each byte, in the order of the vocabulary: printable Latin-1 bytes stand for themselves."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + place) for place, byte in enumerate(others)}


_LETTER_OF_BYTE = _letters_of_bytes()
_BYTE_OF_LETTER = {letter: byte for byte, letter in _LETTER_OF_BYTE.items()}
