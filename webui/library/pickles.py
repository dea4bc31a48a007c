"""Read what a file of ``torch.save`` says of itself, without torch and without unpickling it.

Such a file is a zip archive, uncompressed, since torch 1.6:

    archive/data.pkl       the pickle: nested dicts whose leaves are tensors and plain values
    archive/data/0, 1 ...  the storages: the tensors' numbers
    archive/byteorder      "little"

and before that four pickles in a row (a magic number, the version, the machine, the content), then a fifth with the list of
storage keys, then each storage: its length as 8 bytes, and its numbers. The pickle is read by :mod:`pickle_machine`, which
runs nothing. Files come from strangers: archives are not unpacked (a compressed one is refused, so that a small file cannot
become a large one), storages must lie in the file one behind the other, and tensors in their storages.
"""

from __future__ import annotations

import io
import json
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from webui.errors import UnreadableModel
from webui.library.formats import MAX_DIMENSIONS, Header, TensorInfo, readable_size
from webui.library.pickle_machine import Name, Rebuilt, Storage, run
from webui.library.zip_directory import Span, zip_members

MAX_PICKLE_BYTES = 16_000_000
MAX_PARTS = 100_000  # dicts, tensors, values
MAX_DEPTH = 8  # dicts in dicts
MAX_KEY_LENGTH = 1000
MAX_VALUE_LENGTH = 10_000  # letters of one plain value

ITEM_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "I16": 2, "F16": 2, "BF16": 2, "I32": 4, "F32": 4, "I64": 8, "F64": 8,
}  # fmt: skip

_STATE = "state_dict."
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C  # torch's choice
_LEGACY_VERSION = 1001


class StoredTensor(NamedTuple):
    """``begin``: where in the file, in bytes, its first number stands. ``stride`` counts numbers, not bytes."""

    shape: tuple[int, ...]
    dtype: str
    stride: tuple[int, ...]
    begin: int

    @property
    def extent(self) -> int:
        """Bytes from its first number to behind its last."""
        if 0 in self.shape:
            return 0
        last = sum((side - 1) * step for side, step in zip(self.shape, self.stride, strict=True))
        return (last + 1) * ITEM_BYTES[self.dtype]


@dataclass(frozen=True)
class PickledFile:
    """Tensors and plain values by their path through the dicts: "string_to_param.*", "768.0.linear.0.weight", "step"."""

    tensors: Mapping[str, StoredTensor]
    values: Mapping[str, Any]

    @property
    def state_dict(self) -> PickledFile:
        """The tensors of a checkpoint, which training programs save below "state_dict", and nothing of what stands beside."""
        below = {name[len(_STATE) :]: tensor for name, tensor in self.tensors.items() if name.startswith(_STATE)}
        return PickledFile(below or self.tensors, {})

    @property
    def header(self) -> Header:
        """As if it were a safetensors file; values other than text stand in the metadata as JSON."""
        tensors = {name: TensorInfo(tensor.shape, tensor.dtype) for name, tensor in self.tensors.items()}
        texts = {
            name: value if isinstance(value, str) else json.dumps(value)
            for name, value in self.values.items()
            if value is not None
        }
        return Header(tensors, texts)


def read_pickle(path: Path) -> PickledFile:
    """The verified content of a file of ``torch.save``, but for the tensors' numbers.

    ``UnsafeModel`` names the function that the file would call when opened as usual; anything else that is wrong raises
    ``UnreadableModel``.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableModel(f"{path.name} is not a regular file.")
        with path.open("rb") as file:
            start = file.read(4)
            if start == b"PK\x03\x04":
                content, storages = _read_zip(file, status.st_size, path.name)
            elif start[:1] == b"\x80":
                content, storages = _read_legacy(file, status.st_size, path.name)
            else:
                raise UnreadableModel(_not_torch(path.name, start, status.st_size))
    except OSError as error:
        raise UnreadableModel(f"{path.name} cannot be read: {error.strerror or error}.") from error
    return _verified(content, storages, status.st_size, path.name)


Storages = Mapping[str, Span]


def _read_zip(file: BinaryIO, size: int, label: str) -> tuple[Any, Storages]:
    members = zip_members(file, size, label)
    programs = [name for name in members if name.rpartition("/")[2] == "data.pkl"]
    if len(programs) != 1:
        raise UnreadableModel(f"{label} is a zip archive, but not one that torch saved (it has no data.pkl).")
    root = programs[0][: -len("data.pkl")]
    order = members.get(f"{root}byteorder")
    if order is not None and _bytes(file, order, 16, label) != b"little":
        raise UnreadableModel(f"{label} was saved on a computer of another byte order; save it again as safetensors.")
    program = io.BytesIO(_bytes(file, members[programs[0]], MAX_PICKLE_BYTES, label))
    begin = f"{root}data/"
    storages = {name[len(begin) :]: span for name, span in members.items() if name.startswith(begin)}
    return run(program, label), storages


def _read_legacy(file: BinaryIO, size: int, label: str) -> tuple[Any, Storages]:
    file.seek(0)
    programs = io.BytesIO(file.read(MAX_PICKLE_BYTES))
    if run(programs, label) != _LEGACY_MAGIC:
        raise UnreadableModel(f"{label} is a pickle, but not one that torch saved.")
    if run(programs, label) != _LEGACY_VERSION:
        raise UnreadableModel(f"{label} was saved by a torch whose format is not known; save it again as safetensors.")
    run(programs, label)  # about the machine; torch does not look at it either where it is little-endian
    content = run(programs, label)
    keys = run(programs, label)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise UnreadableModel(f"{label} is damaged: it does not list its storages.")
    item_bytes = {
        leaf.storage.key: ITEM_BYTES[leaf.storage.dtype]
        for _, leaf in _leaves(content, label)
        if isinstance(leaf, Rebuilt)
    }
    storages: dict[str, Span] = {}
    position = programs.tell()
    for key in keys:
        file.seek(position)
        length = int.from_bytes(file.read(8), "little")
        begin = position + 8
        position = begin + length * item_bytes.get(key, 1)
        if key in storages or position > size:
            raise UnreadableModel(f"{label} is cut short or damaged: storage {len(storages)} does not lie in it.")
        storages[key] = (begin, position)
    return content, storages


def _verified(content: Any, storages: Storages, size: int, label: str) -> PickledFile:
    tensors: dict[str, StoredTensor] = {}
    values: dict[str, Any] = {}
    total = 0
    for name, leaf in _leaves(content, label):
        if name in tensors or name in values:
            raise UnreadableModel(f"{label} names {_quoted(name)} twice, so it is damaged.")
        if isinstance(leaf, Rebuilt):
            tensors[name] = tensor = _stored(leaf, storages, name, label)
            total += tensor.extent
        else:
            values[name] = list(leaf) if isinstance(leaf, tuple) else leaf
        if total > 2 * size:  # the same storage under many names
            raise UnreadableModel(
                f"{label} holds more than a file of {readable_size(size)} can, so it is no model file."
            )
    return PickledFile(tensors, values)


def _stored(tensor: Rebuilt, storages: Storages, name: str, label: str) -> StoredTensor:
    storage, offset, shape, stride = tensor
    begin, end = storages.get(storage.key, (0, -1))
    item = ITEM_BYTES[storage.dtype]
    sound = (
        end - begin == storage.length * item
        and type(shape) is tuple
        and type(stride) is tuple
        and len(shape) == len(stride) <= MAX_DIMENSIONS
        and {int} == {type(number) for number in (offset, *shape, *stride)}
        and min(offset, *shape, *stride, 0) >= 0
        and max(offset, 0, *stride) < 2**63
        and max((0, *shape)) < 2**31  # of an empty tensor too
        and prod(shape) <= storage.length  # one number repeated a thousand million times is no weight
    )
    if sound:
        stored = StoredTensor(shape, storage.dtype, stride, begin + offset * item)
        if stored.begin + stored.extent <= end:
            return stored
    raise UnreadableModel(f"{label} describes its tensor {_quoted(name)} wrongly, so it is damaged.")


def _leaves(content: Any, label: str) -> Iterator[tuple[str, Any]]:
    """Tensors and plain values below the dicts and tuples, in order; a list counts as a value if it holds plain ones only.

    The same part may stand in many places, so the parts visited are counted.
    """
    waiting: list[tuple[tuple[str, ...], Any]] = [((), content)]
    visited = 0
    while waiting:
        path, part = waiting.pop()
        visited += 1
        if isinstance(part, Rebuilt) or _is_plain(part):
            yield ".".join(path), part
            continue
        children = _children(part)
        if visited + len(waiting) + len(children) > MAX_PARTS or len(path) == MAX_DEPTH:
            raise UnreadableModel(f"{label} nests too much in too few bytes, so it is no model file.")
        waiting.extend(((*path, key), child) for key, child in reversed(children))


def _children(part: Any) -> list[tuple[str, Any]]:
    if isinstance(part, Name | Storage):
        return []
    if isinstance(part, dict):
        return [(str(key)[:MAX_KEY_LENGTH], child) for key, child in part.items()]
    return [(str(place), child) for place, child in enumerate(part)] if isinstance(part, list | tuple) else []


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple) and not isinstance(value, Name | Storage):
        return len(value) <= 100 and all(isinstance(part, str | int | float) and _is_plain(part) for part in value)
    if isinstance(value, int):
        return abs(value) < 2**63
    return value is None or isinstance(value, float) or (isinstance(value, str) and len(value) <= MAX_VALUE_LENGTH)


def _bytes(file: BinaryIO, span: Span, most: int, label: str) -> bytes:
    begin, end = span
    if end - begin > most:
        raise UnreadableModel(f"{label} has a part of {readable_size(end - begin)} where torch writes a small one.")
    file.seek(begin)
    return file.read(end - begin)


def _not_torch(label: str, start: bytes, size: int) -> str:
    if size < 4:
        return f"{label} is empty or nearly so ({readable_size(size)}); download it again."
    if start.lstrip()[:1] == b"<":
        return f"{label} is a web page that was saved under this name; download the model file itself."
    if start == b"vers":
        return f"{label} is only Git LFS's note of where the model is; run 'git lfs pull' or download the file."
    return f"{label} is not a file that torch saved."


def _quoted(name: str) -> str:
    shown = ascii(name)[1:-1]
    return f'"{shown if len(shown) <= 100 else f"{shown[:100]}..."}"'
