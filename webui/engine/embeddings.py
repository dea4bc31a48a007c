"""Textual inversion (Gal et al. 2022, arXiv 2208.01618): rows that a prompt's words add to the text encoder's token table.

The transformer reads a word as the rows of its tokens; an embedding is rows that were trained instead of looked up. So its
tokens are numbers behind the end of the table, and where one stands the table's answer is overwritten with its vector.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from webui.engine.conditioning import Read, Reading
from webui.engine.embedding_words import FIRST_ADDED_TOKEN, MOST_VECTORS, EmbeddingWords
from webui.engine.stored_tensors import open_addition
from webui.errors import UnreadableModel
from webui.library.embeddings import embedding_tensors
from webui.library.model_file import ModelFile


@dataclass(frozen=True)
class Embedding:
    """``vectors``: text encoder ("clip_l", "clip_g") -> (vectors, width), float32."""

    vectors: Mapping[str, Tensor]

    @property
    def size(self) -> int:
        return sum(tensor.nbytes for tensor in self.vectors.values())


def read_embedding(file: ModelFile, device: torch.device) -> Generator[int, None, Embedding]:
    """Yields the bytes of each tensor as it is read. A file that has changed since it was listed: ``UnreadableModel``."""
    with open_addition(file.path) as (header, tensors):
        vectors: dict[str, Tensor] = {}
        for encoder, name in embedding_tensors(header.tensors).items():
            stored = tensors.get(name)
            vectors[encoder] = stored.reshape(-1, stored.shape[-1]).to(device=device, dtype=torch.float32, copy=True)
            yield stored.nbytes
    if {encoder: tensor.shape[-1] for encoder, tensor in vectors.items()} != file.configs["embedding"]["widths"]:
        raise UnreadableModel(f"{file.path.name} has changed since the model folders were looked at; refresh the list.")
    return Embedding(vectors)


class AddedWords:
    """The words of a selection with their vectors, ready to be read by a text encoder.

    ``embeddings`` are those of ``words.files``, in that order.
    """

    def __init__(self, words: EmbeddingWords, embeddings: Sequence[Embedding]) -> None:
        self.words = words
        self._embeddings = embeddings

    def encode(self, text_encoder: Any, encoder: str, ids: Tensor, encode: Read) -> Reading:
        """What ``encode`` makes of token ids (n, 77), added ones among them, with ``text_encoder`` (called ``encoder``)."""
        added = ids >= FIRST_ADDED_TOKEN
        if not added.any():
            return encode(ids)
        table = torch.cat([embedding.vectors[encoder][:MOST_VECTORS] for embedding in self._embeddings])
        rows = table[ids[added] - FIRST_ADDED_TOKEN]

        def overwrite(module: torch.nn.Module, inputs: Any, found: Tensor) -> Tensor:
            found = found.clone()
            found[added] = rows.to(found)
            return found

        handle = text_encoder.get_input_embeddings().register_forward_hook(overwrite)
        try:
            return encode(ids.masked_fill(added, 0))
        finally:
            handle.remove()
