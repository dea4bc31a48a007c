"""Names of embeddings in a prompt. An embedding (textual inversion) is a word of several new tokens, behind CLIP's own 49408.

A name is found by its tokens, not by its letters, as in A1111: in any case, and only where a token ends. Of names that begin
alike the longest is meant. ComfyUI's way of writing one, "embedding:name" with or without the file's suffix, is understood too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from webui.engine.tokenizer import END_TOKEN, ClipTokenizer
from webui.library.identity import TEXT_ENCODERS
from webui.library.model_file import ModelFile

FIRST_ADDED_TOKEN = END_TOKEN + 1
MOST_VECTORS = 75  # what a chunk holds
COMFYUI_PREFIX = "embedding:"


@dataclass(frozen=True)
class EmbeddingWord:
    """An embedding in a prompt: its added ``tokens``, one for each vector. ``source`` (path, mtime, size) tells its content."""

    name: str
    source: tuple[str, int, int]
    tokens: tuple[int, ...]


class EmbeddingWords:
    """The words that prompts may use, with token numbers one after another in the order of ``files``.

    Two files whose names read alike ("Easy", "easy"): the first is meant.
    """

    def __init__(self, files: Iterable[ModelFile], tokenizer: ClipTokenizer) -> None:
        self._files: dict[EmbeddingWord, ModelFile] = {}
        self._words: dict[tuple[int, ...], EmbeddingWord] = {}
        token = FIRST_ADDED_TOKEN
        for file in files:
            count = min(file.configs["embedding"]["vectors"], MOST_VECTORS)
            source = (str(file.path), file.mtime_ns, file.size)
            word = EmbeddingWord(file.name, source, tuple(range(token, token + count)))
            token += count
            self._files[word] = file
            for name in _spellings(file):
                if tokens := tuple(tokenizer.encode(name)):
                    self._words.setdefault(tokens, word)
        lengths: dict[int, set[int]] = {}
        for tokens in self._words:
            lengths.setdefault(tokens[0], set()).add(len(tokens))
        self._lengths = {first: sorted(known, reverse=True) for first, known in lengths.items()}

    def at(self, tokens: Sequence[int], place: int) -> tuple[EmbeddingWord, int] | None:
        """The word whose name begins at ``place``, and how many tokens the name is long."""
        for length in self._lengths.get(tokens[place], ()):
            word = self._words.get(tuple(tokens[place : place + length]))
            if word is not None:
                return word, length
        return None

    def file(self, word: EmbeddingWord) -> ModelFile:
        return self._files[word]

    @property
    def files(self) -> tuple[ModelFile, ...]:
        """In the order of their tokens."""
        return tuple(self._files.values())


def why_skipped(embedding: ModelFile, checkpoint: ModelFile) -> str:
    """Why the checkpoint's text encoder cannot read the embedding; "" if it can."""
    encoders = TEXT_ENCODERS.get(checkpoint.family, {})
    wanted = {encoder: checkpoint.configs[part]["hidden_size"] for encoder, part in encoders.items()}
    widths = dict(embedding.configs["embedding"]["widths"])
    if widths == wanted:
        return ""
    return (
        f'The embedding "{embedding.name}" is skipped, because its vectors are {_and(widths.values())} numbers wide and those '
        f'of "{checkpoint.name}" {_and(wanted.values())}: it was made for another family of models.'
    )


def too_long(embedding: ModelFile) -> str:
    """A remark on an embedding that no chunk holds; "" for others."""
    count = embedding.configs["embedding"]["vectors"]
    if count <= MOST_VECTORS:
        return ""
    return f'The embedding "{embedding.name}" has {count} vectors; only the first {MOST_VECTORS} fit into a chunk and are used.'


def _spellings(file: ModelFile) -> list[str]:
    names = [file.name, file.path.stem]
    stored = file.configs["embedding"]["stored_name"]
    if stored and file.path.suffix.lower() in (".png", ".webp"):
        names.append(stored)  # A1111 calls a picture's embedding by the name within
    return [*names, *(COMFYUI_PREFIX + name for name in (*names, file.path.name))]


def _and(numbers: Iterable[int]) -> str:
    return " and ".join(map(str, numbers)) or "unknown"
