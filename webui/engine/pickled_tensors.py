"""The tensors of a file of ``torch.save``, read from the places that its verified header names; nothing is unpickled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import BinaryIO

import torch

from webui.errors import UnreadableModel
from webui.library.pickles import StoredTensor

_DTYPES = {
    "BOOL": torch.bool, "U8": torch.uint8, "I8": torch.int8, "I16": torch.int16, "I32": torch.int32, "I64": torch.int64,
    "F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32, "F64": torch.float64,
}  # fmt: skip


class PickledTensors:
    """Tensors of a file of ``torch.save`` that is open for as long as this is used."""

    def __init__(self, file: BinaryIO, tensors: Mapping[str, StoredTensor], label: str) -> None:
        self._file = file
        self._tensors = tensors
        self._label = label

    def keys(self) -> Sequence[str]:
        return tuple(self._tensors)

    def get(self, name: str) -> torch.Tensor:
        stored = self._tensors[name]
        if not stored.extent:
            return torch.empty(stored.shape, dtype=_DTYPES[stored.dtype])
        self._file.seek(stored.begin)
        data = bytearray(self._file.read(stored.extent))
        if len(data) < stored.extent:
            raise UnreadableModel(f"{self._label} became shorter while it was read; copy it again.")
        return torch.frombuffer(data, dtype=_DTYPES[stored.dtype]).as_strided(stored.shape, stored.stride).contiguous()
