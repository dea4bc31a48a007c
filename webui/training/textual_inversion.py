"""Textual inversion: learn a word (Gal et al. 2022, arXiv 2208.01618). All networks stay as they are; a few new rows of the token
table are trained until the word's pictures come out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn


class Word(nn.Module):
    """``vectors`` (n, width), which stand in for the ids ``placeholder``, n in a row; they begin as ``begin`` (width,)."""

    def __init__(self, begin: Tensor, count: int, placeholder: int) -> None:
        super().__init__()
        wobble = torch.randn(count, len(begin), generator=torch.Generator().manual_seed(0)) * begin.std() * 0.1
        self.vectors = nn.Parameter(begin.detach().float()[None] + wobble)
        self.placeholder = placeholder

    @contextmanager
    def put_into(self, table: nn.Module) -> Iterator[None]:
        """Inside, the token table gives the vectors where the ids are the placeholder."""

        def replaced(_: nn.Module, inputs: tuple[Tensor], rows: Tensor) -> Tensor:
            is_word = inputs[0] == self.placeholder
            number = (is_word.cumsum(1) - 1) % len(self.vectors)
            return torch.where(is_word[..., None], self.vectors[number].to(rows), rows)

        handle = table.register_forward_hook(replaced)
        try:
            yield
        finally:
            handle.remove()

    def save(self, path: Path) -> None:
        """As A1111 names it in a ``.safetensors`` file."""
        save_file({"emb_params": self.vectors.detach().float().contiguous()}, path, {"format": "pt"})
