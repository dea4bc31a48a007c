"""The tensors of small additions (embeddings, hypernetworks), from whichever kind of file they lie in.

``.pt`` and ``.bin`` are read from the places that their verified header names; nothing is unpickled.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import torch

from webui.engine.weights import TensorFile, open_tensors
from webui.errors import UnreadableModel
from webui.library.embedding_pictures import PICTURE_SUFFIXES, read_picture
from webui.library.formats import PICKLE_SUFFIXES, Header, read_header
from webui.library.pickles import StoredTensor, read_pickle

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


class PictureTensors:
    """Tensors that a picture carries."""

    def __init__(self, tensors: Mapping[str, Any]) -> None:
        self._tensors = tensors

    def keys(self) -> Sequence[str]:
        return tuple(self._tensors)

    def get(self, name: str) -> torch.Tensor:
        return torch.from_numpy(self._tensors[name])


@contextmanager
def open_addition(path: Path) -> Iterator[tuple[Header, TensorFile]]:
    """Header and tensors of a file; ``UnreadableModel`` or ``UnsafeModel`` if it cannot or must not be read."""
    suffix = path.suffix.lower()
    if suffix in PICKLE_SUFFIXES:
        pickled = read_pickle(path)
        try:
            with path.open("rb") as file:
                yield pickled.header, PickledTensors(file, pickled.tensors, path.name)
        except OSError as error:
            raise UnreadableModel(f"{path.name} cannot be read: {error.strerror or error}.") from error
    elif suffix in PICTURE_SUFFIXES:
        picture = read_picture(path)
        yield picture.header, PictureTensors(picture.tensors)
    else:
        header = read_header(path)
        with open_tensors((path,)) as tensors:
            yield header, tensors
