"""Read what a model file says of itself, without torch and without its tensors.

A ``.safetensors`` file is 8 bytes with the length of a header (little endian), the header in JSON, and the tensors' bytes:

    {"__metadata__": {"title": "..."}, "conv_in.weight": {"dtype": "F16", "shape": [320, 4, 3, 3], "data_offsets": [0, 23040]}}

Files come from strangers, so nothing in the header is believed before it is checked against the file: offsets must lie in
it, cover it without gap or overlap, and fit shape and dtype. Whatever is wrong raises ``UnreadableModel``.

The older formats (``.ckpt``, ``.pt``, ``.pth``, ``.bin``) are Python pickles, which run code when opened as usual. They are read by
:mod:`pickles`, which runs nothing.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from webui.errors import UnreadableModel
from webui.library.model_file import ModelFile

MAX_HEADER_BYTES = 100_000_000  # the safetensors library's own limit
MAX_HEADER_PARTS = (
    1_000_000  # lists and objects: three a tensor, and what is quoted in metadata; each takes some 60 bytes
)
MAX_JSON_BYTES = 4_000_000  # configs and shard lists of diffusers folders
MAX_DIMENSIONS = 32
PICKLE_SUFFIXES = (".ckpt", ".pt", ".pth", ".bin")

_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "U16": 16, "I16": 16, "F16": 16, "BF16": 16, "U32": 32, "I32": 32, "F32": 32,
    "U64": 64, "I64": 64, "F64": 64, "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip


class TensorInfo(NamedTuple):
    """``dtype`` is safetensors' name of it: "F16", "BF16", "F32" ..."""

    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Header:
    """The tensors' names, shapes and dtypes, and the free text that the file carries."""

    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str]


def read_header(path: Path) -> Header:
    """The verified header of a safetensors file; anything wrong with it raises ``UnreadableModel``."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a named pipe would make us wait for ever
            raise UnreadableModel(f"{path.name} is not a regular file.")
        with path.open("rb") as file:
            start = file.read(8)
            size = status.st_size
            length = int.from_bytes(start, "little")
            if size < 8 or length > MAX_HEADER_BYTES:
                raise UnreadableModel(_not_safetensors(path, start + file.read(192), size))
            if 8 + length > size:
                raise UnreadableModel(
                    f"{path.name} is cut short: it ends inside its header, after {readable_size(size)}; download it again."
                )
            text = file.read(length)
    except OSError as error:
        raise UnreadableModel(f"{path.name} cannot be read: {error.strerror or error}.") from error
    if len(text) < length:
        raise UnreadableModel(
            f"{path.name} became shorter while it was read; wait until it is copied, then look again."
        )
    tensors, metadata, data_bytes = _parse(path, text)
    whole = 8 + length + data_bytes
    if size < whole:
        raise UnreadableModel(
            f"{path.name} is cut short: {readable_size(size)} of {readable_size(whole)}; download it again."
        )
    if size > whole:
        raise UnreadableModel(
            f"{path.name} has {size - whole} bytes behind its last tensor, so it is damaged; download it again."
        )
    return Header(tensors, metadata)


def component_files(model: ModelFile, component: str) -> tuple[Path, ...]:
    """The safetensors files that hold "unet", "vae" or "text_encoder" of a model: several where it is split in shards."""
    if model.path.is_dir():
        return component_weights(model.path, component)
    return (model.path,)


def component_weights(folder: Path, component: str) -> tuple[Path, ...]:
    """The weight files of a component in a diffusers folder; half precision is taken where there is no other.

    A pickle is taken where there are no safetensors. A component with neither raises ``UnreadableModel``.
    """
    stem = "model" if component.startswith("text_encoder") else "diffusion_pytorch_model"
    directory = folder / component
    for variant in ("", ".fp16"):
        single = directory / f"{stem}{variant}.safetensors"
        if single.is_file():
            return (single,)
        for index in (f"{stem}.safetensors.index{variant}.json", f"{stem}{variant}.safetensors.index.json"):
            if (directory / index).is_file():
                return _shards(directory, index)
    for variant in ("", ".fp16"):
        pickled = directory / f"{'pytorch_model' if stem == 'model' else stem}{variant}.bin"
        if pickled.is_file():
            return (pickled,)
    label = f"{folder.name}/{component}"
    raise UnreadableModel(f"{label} has no {stem}.safetensors; the folder is incomplete, download it again.")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a small file beside the weights; anything else raises ``UnreadableModel``."""
    label = f"{path.parent.name}/{path.name}"
    try:
        with path.open("rb") as file:
            text = file.read(MAX_JSON_BYTES + 1)
    except OSError as error:
        raise UnreadableModel(f"{label} cannot be read: {error.strerror or error}.") from error
    if len(text) > MAX_JSON_BYTES:
        raise UnreadableModel(f"{label} is larger than {readable_size(MAX_JSON_BYTES)}, so it is no config.")
    return parse_json(text, label)


def parse_json(text: bytes | str, label: str) -> dict[str, Any]:
    """A JSON object in which no key stands twice; anything else raises ``UnreadableModel`` that begins with ``label``."""
    try:
        if isinstance(text, bytes):
            text = text.decode()  # json.loads would take UTF-16 as well
        value = json.loads(text, object_pairs_hook=_unique)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair could not be shown or stored
    except (ValueError, RecursionError) as error:
        raise UnreadableModel(f"{label} is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise UnreadableModel(f"{label} is not a JSON object.")
    return value


def readable_size(size: int) -> str:
    """
    >>> readable_size(2_132_625_894), readable_size(512)
    ('2.1 GB', '512 bytes')
    """
    if size < 1000:
        return f"{size} bytes"
    value = float(size)
    for unit in ("kB", "MB", "GB"):
        value /= 1000
        if value < 999.95:
            return f"{value:.1f} {unit}"
    return f"{value / 1000:.1f} TB"


def _parse(path: Path, text: bytes) -> tuple[dict[str, TensorInfo], dict[str, str], int]:
    """Tensors, metadata, and the bytes that the tensors take together."""
    if text.count(b"[") + text.count(b"{") > MAX_HEADER_PARTS:
        raise UnreadableModel(f"The header of {path.name} has more parts than any model, so it is damaged.")
    fields = parse_json(text, f"The header of {path.name}")
    metadata = fields.pop("__metadata__", None)
    if metadata is None:
        metadata = {}
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise UnreadableModel(f"The metadata of {path.name} is not text, so the file is damaged.")
    tensors: dict[str, TensorInfo] = {}
    spans: list[tuple[int, int]] = []
    for name, entry in fields.items():
        try:
            dtype, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
            numbers = [begin, end, *shape]
            sound = (
                len(entry) == 3
                and type(shape) is list
                and len(shape) <= MAX_DIMENSIONS
                and {*map(type, numbers)} == {int}  # type() and not isinstance(): True is an int
                and min(numbers) >= 0
                and max(numbers) < 2**63
                and (end - begin) * 8 == prod(shape) * _BITS[dtype]
            )
        except (KeyError, TypeError, ValueError):
            sound = False
        if not sound:
            raise UnreadableModel(f"{path.name} describes its tensor {_quoted(name)} wrongly, so it is damaged.")
        tensors[name] = TensorInfo(tuple(shape), dtype)
        spans.append((begin, end))
    spans.sort()
    if (spans and spans[0][0] != 0) or any(before[1] != after[0] for before, after in pairwise(spans)):
        raise UnreadableModel(f"The tensors of {path.name} overlap or leave gaps, so it is damaged.")
    return tensors, metadata, spans[-1][1] if spans else 0


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a name stands twice in it")
    return value


def _shards(directory: Path, index: str) -> tuple[Path, ...]:
    names = read_json(directory / index).get("weight_map")
    label = f"{directory.parent.name}/{directory.name}/{index}"
    if not isinstance(names, dict) or not names:
        raise UnreadableModel(f"{label} does not name the files of the model.")
    shards = []
    for name in sorted({str(name) for name in names.values()}):
        if Path(name).name != name or not name.endswith(".safetensors") or "\\" in name or "\0" in name:
            raise UnreadableModel(f"{label} names {_quoted(name)}, which is not a safetensors file beside it.")
        if not (directory / name).is_file():
            raise UnreadableModel(f"{label} names {_quoted(name)}, which is missing; download it.")
        shards.append(directory / name)
    return tuple(shards)


def _not_safetensors(path: Path, start: bytes, size: int) -> str:
    beginning = start.lstrip().lower()
    if beginning.startswith((b"<!doctype", b"<html", b"<?xml")):
        return f"{path.name} is a web page that was saved under this name; download the model file itself."
    if beginning.startswith(b"version https://git-lfs"):
        return f"{path.name} is only Git LFS's note of where the model is; run 'git lfs pull' or download the file."
    if beginning.startswith((b"pk\x03\x04", b"\x80\x02")):
        return f"{path.name} is a pickle under another name, which can run code; convert it to safetensors."
    if size < 8:
        return f"{path.name} is empty or nearly so ({readable_size(size)}); download it again."
    return f"{path.name} is not a safetensors file: the length of its header makes no sense. Download it again."


def _quoted(name: str) -> str:
    return f'"{name if len(name) <= 100 else name[:100] + "..."}"'
