"""The tensors of small additions (embeddings, hypernetworks), from whichever kind of file they lie in.

``.pt`` and ``.bin`` are read from the places that their verified header names; nothing is unpickled.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from webui.engine.pickled_tensors import PickledTensors
from webui.engine.weights import TensorFile, open_tensors
from webui.errors import UnreadableModel
from webui.library.embedding_pictures import PICTURE_SUFFIXES, read_picture
from webui.library.formats import PICKLE_SUFFIXES, Header, read_header
from webui.library.pickles import read_pickle


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
