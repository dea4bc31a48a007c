from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_headers import SD1, write_model, write_raw
from safetensors import safe_open
from safetensors.numpy import save_file

from webui.errors import UnreadableModel
from webui.library.formats import MAX_HEADER_BYTES, component_weights, read_header, read_json
from webui.library.identify import identify

ONE = {"a": {"dtype": "F16", "shape": [2, 3], "data_offsets": [0, 12]}}


def refusal(path: Path) -> str:
    with pytest.raises(UnreadableModel) as caught:
        read_header(path)
    return str(caught.value)


def file_of(tmp_path: Path, header: Any, data_bytes: int = 12) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return write_raw(tmp_path / "model.safetensors", text, data_bytes)


def test_reads_what_the_safetensors_library_reads(starter: Path) -> None:
    header = read_header(starter)
    with safe_open(starter, framework="np") as file:
        assert dict(header.metadata) == file.metadata()
        assert set(header.tensors) == set(file.keys())
        for name, info in header.tensors.items():
            assert (list(info.shape), info.dtype) == (
                file.get_slice(name).get_shape(),
                file.get_slice(name).get_dtype(),
            )


def test_reads_every_dtype_of_the_library_and_empty_tensors(tmp_path: Path) -> None:
    kinds = (
        "bool",
        "uint8",
        "int8",
        "uint16",
        "int16",
        "uint32",
        "int32",
        "uint64",
        "int64",
        "float16",
        "float32",
        "float64",
    )
    tensors = {kind: np.zeros((3, 2), kind) for kind in kinds} | {
        "empty": np.zeros((0, 4), "float16"),
        "one": np.float32(1)[None],
    }
    save_file(tensors, tmp_path / "all.safetensors", {"title": "ünï"})
    header = read_header(tmp_path / "all.safetensors")
    assert {name: info.shape for name, info in header.tensors.items()} == {name: t.shape for name, t in tensors.items()}
    assert header.metadata == {"title": "ünï"}


def test_a_file_without_tensors_is_sound(tmp_path: Path) -> None:
    assert read_header(file_of(tmp_path, {}, 0)).tensors == {}


def test_a_cut_file_tells_the_sizes(tmp_path: Path) -> None:
    path = write_model(tmp_path / "sd.safetensors", {"weight": (1_050_000, 1000)})
    os.truncate(path, 1_200_000_000)
    assert refusal(path) == "sd.safetensors is cut short: 1.2 GB of 2.1 GB; download it again."


def test_a_file_cut_within_its_header(tmp_path: Path) -> None:
    path = write_model(tmp_path / "sd.safetensors", SD1)
    os.truncate(path, 100)
    assert (
        refusal(path) == "sd.safetensors is cut short: it ends inside its header, after 100 bytes; download it again."
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"\x10\0\0", "is empty"),
        (b"<!DOCTYPE html><html>not logged in</html>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "git lfs pull"),
        (b"PK\x03\x04\x00\x00\x08\x08\x00\x00archive/data.pkl", "is a pickle"),
        (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02", "is a pickle"),
        ((MAX_HEADER_BYTES + 1).to_bytes(8, "little") + b"{}", "is not a safetensors file"),
        (b"\xff" * 64, "is not a safetensors file"),
    ],
)
def test_what_is_no_safetensors_file_is_named(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    assert reason in refusal(path)


DAMAGED: dict[str, tuple[Any, str]] = {
    "not JSON": (b"{", "not valid JSON"),
    "not UTF-8": (b'{"\xff": 1}', "not valid JSON"),
    "UTF-16": ('{"a": 1}'.encode("utf-16"), "not valid JSON"),
    "too deep": (b'{"a":' * 100_000, "not valid JSON"),
    "endless number": (b'{"a": ' + b"9" * 5000 + b"}", "not valid JSON"),
    "half a surrogate pair": (b'{"\\ud800": {}}', "not valid JSON"),
    "millions of lists": (b'{"a": [' + b"[]," * 1_000_000 + b"[]]}", "more parts than any model"),
    "millions of tensors": (b'{"a": ' * 1_000_001, "more parts than any model"),
    "a list": ([1], "not a JSON object"),
    "a tensor twice": (b'{"a": %b, "a": %b}' % ((json.dumps(ONE["a"]).encode(),) * 2), "twice"),
    "a field twice": (b'{"a": {"dtype": "F16", "dtype": "F16", "shape": [6], "data_offsets": [0, 12]}}', "twice"),
    "metadata of numbers": ({**ONE, "__metadata__": {"a": 1}}, "metadata"),
    "metadata of text": ({**ONE, "__metadata__": "a"}, "metadata"),
    "no dtype": ({"a": {"shape": [6], "data_offsets": [0, 12]}}, '"a" wrongly'),
    "absurd dtype": ({"a": {"dtype": "F17", "shape": [6], "data_offsets": [0, 12]}}, '"a" wrongly'),
    "dtype a list": ({"a": {"dtype": ["F16"], "shape": [6], "data_offsets": [0, 12]}}, '"a" wrongly'),
    "another field": ({"a": {**ONE["a"], "code": "x"}}, '"a" wrongly'),
    "not an object": ({"a": "F16"}, '"a" wrongly'),
    "shape too small": ({"a": {"dtype": "F16", "shape": [2, 2], "data_offsets": [0, 12]}}, '"a" wrongly'),
    "shape negative": ({"a": {"dtype": "F16", "shape": [-2, -3], "data_offsets": [0, 12]}}, '"a" wrongly'),
    "shape of truth": ({"a": {"dtype": "F16", "shape": [True, 6], "data_offsets": [0, 12]}}, '"a" wrongly'),
    "shape of text": ({"a": {"dtype": "U8", "shape": "", "data_offsets": [0, 1]}}, '"a" wrongly'),
    "shape of fractions": ({"a": {"dtype": "F16", "shape": [6.0], "data_offsets": [0, 12]}}, '"a" wrongly'),
    "too many dimensions": ({"a": {"dtype": "F16", "shape": [6] + [1] * 99, "data_offsets": [0, 12]}}, '"a" wrongly'),
    "overflowing shape": ({"a": {"dtype": "F16", "shape": [2**62, 8, 0], "data_offsets": [0, 12]}}, '"a" wrongly'),
    "offsets backwards": ({"a": {"dtype": "F16", "shape": [6], "data_offsets": [12, 0]}}, '"a" wrongly'),
    "three offsets": ({"a": {"dtype": "F16", "shape": [6], "data_offsets": [0, 12, 12]}}, '"a" wrongly'),
    "a gap": ({"a": {"dtype": "F16", "shape": [4], "data_offsets": [4, 12]}}, "overlap or leave gaps"),
    "an overlap": ({"a": {"dtype": "U8", "shape": [8], "data_offsets": [0, 8]},
                    "b": {"dtype": "U8", "shape": [8], "data_offsets": [4, 12]}}, "overlap or leave gaps"),
    "bytes too many": ({"a": {"dtype": "U8", "shape": [8], "data_offsets": [0, 8]}}, "4 bytes behind its last tensor"),
    "beyond the end": ({"a": {"dtype": "U8", "shape": [20], "data_offsets": [0, 20]}}, "cut short"),
}  # fmt: skip


@pytest.mark.parametrize(("header", "reason"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_header_is_refused(tmp_path: Path, header: Any, reason: str) -> None:
    assert reason in refusal(file_of(tmp_path, header))


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.safetensors")  # opening it would wait for a writer for ever
    assert "not a regular file" in refusal(tmp_path / "pipe.safetensors")
    assert "cannot be read" in refusal(tmp_path / "missing.safetensors")


numbers = st.integers(-2, 20) | st.integers() | st.floats() | st.booleans()
values = st.recursive(
    st.none() | numbers | st.text(max_size=5) | st.sampled_from(["F16", "U8", "BOOL"]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["dtype", "shape", "data_offsets", "x"]), inner)
    ),
    max_leaves=8,
)
entries = values | st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F16", "U8", "F4"]) | values,
        "shape": st.lists(numbers, max_size=3) | values,
        "data_offsets": st.lists(numbers, max_size=3) | values,
    }
)
headers = st.dictionaries(
    st.sampled_from(["a", "emb_params", "__metadata__", "conv_in.weight", "1.weight"]) | st.text(), entries
)


def reads_or_refuses(path: Path) -> None:
    """The reader's whole promise: a header, which then can be identified, or ``UnreadableModel``."""
    try:
        header = read_header(path)
    except UnreadableModel as error:
        assert path.name in str(error)
    else:
        identify(header, path.name)


@settings(max_examples=150, deadline=None)
@given(header=headers, data_bytes=st.integers(0, 20))
def test_any_json_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, header: Any, data_bytes: int) -> None:
    reads_or_refuses(file_of(tmp_path_factory.getbasetemp(), header, data_bytes))


@settings(max_examples=300, deadline=None)
@given(
    changes=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=6),
    length=st.none() | st.integers(0, 2000),
)
def test_any_changed_byte_is_survived(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]], length: int | None
) -> None:
    text = json.dumps(
        {name: {"dtype": "F16", "shape": [0, *shape[1:]], "data_offsets": [0, 0]} for name, shape in SD1.items()}
    ).encode()
    content = bytearray(len(text).to_bytes(8, "little") + text)
    for position, value in changes:
        content[position % len(content)] = value
    path = tmp_path_factory.getbasetemp() / "changed.safetensors"
    path.write_bytes(bytes(content[:length]))
    reads_or_refuses(path)


@settings(max_examples=200, deadline=None)
@given(content=st.binary(max_size=200))
def test_any_bytes_are_survived(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "bytes.safetensors"
    path.write_bytes(content)
    reads_or_refuses(path)


class TestDiffusersFolders:
    def test_full_precision_goes_before_half(self, tmp_path: Path) -> None:
        half = write_model(tmp_path / "unet" / "diffusion_pytorch_model.fp16.safetensors", {"a": (1,)})
        assert component_weights(tmp_path, "unet") == (half,)
        full = write_model(tmp_path / "unet" / "diffusion_pytorch_model.safetensors", {"a": (1,)})
        assert component_weights(tmp_path, "unet") == (full,)

    @pytest.mark.parametrize("index", ["model.safetensors.index.json", "model.safetensors.index.fp16.json"])
    def test_shards(self, tmp_path: Path, index: str) -> None:
        names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
        paths = tuple(write_model(tmp_path / "text_encoder" / name, {name: (1,)}) for name in names)
        weight_map = {"a": names[0], "b": names[1], "c": names[0]}
        (tmp_path / "text_encoder" / index).write_text(json.dumps({"weight_map": weight_map}))
        assert component_weights(tmp_path, "text_encoder") == paths
        paths[1].unlink()
        with pytest.raises(UnreadableModel, match="missing; download it"):
            component_weights(tmp_path, "text_encoder")

    @pytest.mark.parametrize(
        "name", ["../secret.safetensors", "/etc/passwd", "a/b.safetensors", "..\\x.safetensors", "a.bin", "\0"]
    )
    def test_a_shard_is_a_file_beside_its_list(self, tmp_path: Path, name: str) -> None:
        write_model(tmp_path / "secret.safetensors", {"a": (1,)})
        (tmp_path / "unet").mkdir()
        index = tmp_path / "unet" / "diffusion_pytorch_model.safetensors.index.json"
        index.write_text(json.dumps({"weight_map": {"a": name}}))
        with pytest.raises(UnreadableModel, match="not a safetensors file beside it"):
            component_weights(tmp_path, "unet")

    def test_pickles_and_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(UnreadableModel, match=r"vae has no diffusion_pytorch_model\.safetensors"):
            component_weights(tmp_path, "vae")
        (tmp_path / "vae").mkdir()
        (tmp_path / "vae" / "diffusion_pytorch_model.bin").touch()
        assert [path.name for path in component_weights(tmp_path, "vae")] == ["diffusion_pytorch_model.bin"]

    def test_a_config_is_small(self, tmp_path: Path) -> None:
        path = tmp_path / "config.json"
        path.write_bytes(b" " * 5_000_000)
        with pytest.raises(UnreadableModel, match="larger than"):
            read_json(path)
