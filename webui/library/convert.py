"""From a pickle (``.ckpt``, ``.pt``, ``.pth``, ``.bin``) to the same tensors as safetensors, without running the pickle.

Where each tensor lies in the file is known from :mod:`pickles`, so its bytes are copied: names, shapes and number formats stay as
they are, and memory holds one tensor at a time. The new file lies beside the old one, which is left alone.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from webui.errors import NotAllowed, StorageFailure, UnreadableModel
from webui.library.formats import MAX_HEADER_BYTES, PICKLE_SUFFIXES, read_header, readable_size
from webui.library.pickles import ITEM_BYTES, PickledFile, StoredTensor, read_pickle

SOURCE = "lucid.converted_from"  # in the metadata: the name of the pickle
_AT_ONCE = 2**24  # bytes copied between two looks at how far it is


def converted_path(path: Path) -> Path:
    """Where the converted file will lie. Raises ``NotAllowed`` where there is nothing to convert."""
    if path.suffix.lower() not in PICKLE_SUFFIXES or not path.is_file():
        raise NotAllowed(f"{path.name} is no pickle, so there is nothing to convert.")
    target = path.with_suffix(".safetensors")
    if os.path.lexists(target):
        raise NotAllowed(f"{target.name} is there already, and nothing is ever overwritten. Move it away first.")
    return target


def convert(path: Path) -> Iterator[float]:
    """Write ``name.safetensors`` beside the pickle, whole or not at all; yields how far it is, 0 ... 1.

    Raises ``UnsafeModel`` naming what the pickle would call, ``UnreadableModel`` where it is damaged or holds no tensors,
    ``NotAllowed`` where the new file exists, ``StorageFailure`` where it cannot be written.
    """
    target = converted_path(path)
    content = read_pickle(path)
    tensors = content.state_dict.tensors
    if not tensors:
        raise UnreadableModel(f"{path.name} holds no tensors, so there is nothing to convert.")
    order = sorted(tensors, key=lambda name: (-ITEM_BYTES[tensors[name].dtype], name))  # so that all are aligned
    header, total = _header(content, tensors, order, path.name)
    if total > 2 * path.stat().st_size:  # numbers that stand for many places would be written out
        raise UnreadableModel(f"{path.name} would become {readable_size(total)}, so it is no model file.")
    if len(header) > MAX_HEADER_BYTES:
        raise UnreadableModel(f"{path.name} has more names than a safetensors file can hold.")
    try:
        free = shutil.disk_usage(path.parent).free
        if free < len(header) + total:
            raise StorageFailure(
                f"{target.name} would take {readable_size(len(header) + total)}, and {readable_size(free)} are free on the disk."
            )
        handle, unfinished = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
        try:
            with os.fdopen(handle, "wb") as written, path.open("rb") as source:
                written.write(header)
                done = 0
                for name in order:
                    for piece in _pieces(source, tensors[name], path.name):
                        written.write(piece)
                        done += len(piece)
                        yield done / total if total else 1.0
                written.flush()
                os.fsync(written.fileno())
            read_header(Path(unfinished))
            Path(unfinished).chmod(0o644)  # mkstemp makes it private
            _put(Path(unfinished), target)
        finally:
            Path(unfinished).unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise StorageFailure(
            f"{target.name} cannot be written into the folder {path.parent.name}: {reason}."
        ) from error


def _put(unfinished: Path, target: Path) -> None:
    """Give it its name, unless something has got that meanwhile."""
    try:
        target.hardlink_to(unfinished)
    except FileExistsError as error:
        raise NotAllowed(f"{target.name} has appeared meanwhile, and nothing is ever overwritten.") from error
    except OSError as error:  # a file system without links
        if os.path.lexists(target):
            raise NotAllowed(f"{target.name} has appeared meanwhile, and nothing is ever overwritten.") from error
        unfinished.rename(target)


def _header(
    content: PickledFile, tensors: Mapping[str, StoredTensor], order: list[str], label: str
) -> tuple[bytes, int]:
    """The header with its length before it, and the bytes that the tensors take."""
    fields: dict[str, object] = {"__metadata__": {**content.header.metadata, SOURCE: label, "format": "pt"}}
    begin = 0
    for name in order:
        end = begin + _size(tensors[name])
        fields[name] = {
            "dtype": tensors[name].dtype,
            "shape": list(tensors[name].shape),
            "data_offsets": [begin, end],
        }
        begin = end
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text, begin


def _size(tensor: StoredTensor) -> int:
    count = 1
    for side in tensor.shape:
        count *= side
    return count * ITEM_BYTES[tensor.dtype]


def _pieces(source: BinaryIO, tensor: StoredTensor, label: str) -> Iterator[bytes]:
    """The tensor's bytes in the order of its rows, whatever order they have in the storage."""
    left = _size(tensor)
    source.seek(tensor.begin)
    if left == tensor.extent and _is_in_order(tensor):
        while left:
            piece = _read(source, min(left, _AT_ONCE), label)
            left -= len(piece)
            yield piece
    elif left:
        item = ITEM_BYTES[tensor.dtype]
        stored = np.frombuffer(_read(source, tensor.extent, label), f"V{item}")
        strides = tuple(step * item for step in tensor.stride)
        yield np.lib.stride_tricks.as_strided(stored, tensor.shape, strides, writeable=False).tobytes()


def _is_in_order(tensor: StoredTensor) -> bool:
    expected = 1
    for side, step in zip(reversed(tensor.shape), reversed(tensor.stride), strict=True):
        if side != 1 and step != expected:
            return False
        expected *= side
    return True


def _read(source: BinaryIO, length: int, label: str) -> bytes:
    data = source.read(length)
    if len(data) < length:
        raise UnreadableModel(f"{label} became shorter while it was read; copy it again.")
    return data
