"""Files of torch.save, as torch writes them, as nobody should, and as those write them who mean harm."""

from __future__ import annotations

import builtins
import io
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from webui.errors import UnreadableModel, UnsafeModel
from webui.library.pickles import PickledFile, read_pickle

FLOATS = torch.arange(24.0).reshape(4, 6)
CONTENT = {
    "plain": FLOATS,
    "part": FLOATS[1:3, ::2],
    "turned": FLOATS.T,
    "half": torch.ones(3, dtype=torch.float16),
    "bf16": torch.ones(3, dtype=torch.bfloat16),
    "ids": torch.tensor([265]),
    "scalar": torch.tensor(2.5, dtype=torch.float64),
    "none": torch.zeros(0, 768),
    768: (OrderedDict({"linear.0.weight": FLOATS}), OrderedDict({"linear.0.weight": FLOATS + 1})),
    "params": torch.nn.ParameterDict({"*": torch.nn.Parameter(FLOATS[:2])}),
    "state": torch.nn.Linear(3, 2).state_dict(),
    "name": "easy",
    "step": 500,
    "layer_structure": [1, 1.5, 1],
    "is_layer_norm": False,
    "nothing": None,
}


def save(tmp_path: Path, content: Any, *, zipped: bool = True) -> Path:
    torch.save(content, tmp_path / "model.pt", _use_new_zipfile_serialization=zipped)
    return tmp_path / "model.pt"


def archive(tmp_path: Path, program: bytes, storages: dict[str, bytes] | None = None, compress: int = 0) -> Path:
    with zipfile.ZipFile(tmp_path / "model.pt", "w", compress) as file:
        file.writestr("archive/data.pkl", program)
        for key, data in (storages or {}).items():
            file.writestr(f"archive/data/{key}", data)
    return tmp_path / "model.pt"


def numbers(path: Path, file: PickledFile, name: str) -> torch.Tensor:
    """The tensor as read from the place where the header says it is."""
    tensor = file.tensors[name]
    dtypes = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64}
    data = bytearray(path.read_bytes()[tensor.begin : tensor.begin + tensor.extent])
    return torch.frombuffer(data, dtype=dtypes[tensor.dtype]).as_strided(tensor.shape, tensor.stride)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before torch 1.6"])
def test_everything_of_a_file_of_torch_is_found(tmp_path: Path, zipped: bool) -> None:
    path = save(tmp_path, CONTENT, zipped=zipped)
    file = read_pickle(path)
    for name in ("plain", "part", "turned", "half", "bf16", "ids"):
        assert torch.equal(numbers(path, file, name), CONTENT[name]), name
    assert torch.equal(numbers(path, file, "768.1.linear.0.weight"), FLOATS + 1)
    assert torch.equal(numbers(path, file, "params.*"), FLOATS[:2])
    assert {name: tuple(info) for name, info in file.header.tensors.items() if name in ("scalar", "none")} == {
        "scalar": ((), "F64"),
        "none": ((0, 768), "F32"),
    }
    assert file.tensors["state.weight"].shape == (2, 3)
    assert file.values == {
        "name": "easy",
        "step": 500,
        "layer_structure": [1, 1.5, 1],
        "is_layer_norm": False,
        "nothing": None,
    }
    assert file.header.metadata == {
        "name": "easy",
        "step": "500",
        "layer_structure": "[1, 1.5, 1]",
        "is_layer_norm": "false",
    }


class Harm:
    """Pickles as a call of ``function``."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def test_what_trainers_leave_beside_the_weights_comes_to_nothing(tmp_path: Path) -> None:
    """numpy's scalars and Lightning's callbacks, which the published checkpoints of Stable Diffusion 1 hold."""
    dtype = b"(cnumpy\ndtype\n(X\x02\x00\x00\x00f8tR"
    scalar = b"cnumpy.core.multiarray\nscalar\n" + dtype + b"U\x08" + bytes(8) + b"tR"
    callback = b"cpytorch_lightning.callbacks.model_checkpoint\nModelCheckpoint\n"
    program = b"\x80\x02}(" + callback + b"}X\x05\x00\x00\x00score" + scalar + b"sX\x04\x00\x00\x00stepK\x05u."
    file = read_pickle(archive(tmp_path, program))
    assert file.values == {"step": 5}
    assert not file.tensors


def dumped(value: Any, protocol: int = 2) -> bytes:
    file = io.BytesIO()
    pickle.Pickler(file, protocol).dump(value)
    return file.getvalue()


def harmful(mark: str) -> dict[str, tuple[bytes, str]]:
    touch = f"touch {mark}"
    state = pickle.dumps({}, 2)[:-1]
    return {
        "os.system": (dumped(Harm(os.system, touch)), f"{os.system.__module__}.system"),
        "eval": (dumped(Harm(builtins.eval, f"open({mark!r}, 'w')")), "__builtin__.eval"),
        "protocol 4": (dumped(Harm(os.system, touch), 4), f"{os.system.__module__}.system"),
        "within a tensor's arguments": (dumped({"a": [Harm(os.system, touch)]}), "system"),
        "getattr": (b"\x80\x02c__builtin__\ngetattr\ncos\npath\nX\x06\0\0\0system\x86R.", "__builtin__.getattr"),
        "nested reduce": (dumped(Harm(Harm, Harm(os.system, touch))), "."),
        "a class with __setstate__": (b"\x80\x02cwebbrowser\nGenericBrowser\n)\x81}b.", "webbrowser.GenericBrowser"),
        "INST": (b"(X\x01\0\0\0aios\nsystem\n.", "os.system"),
        "INST of something known": (b"(icollections\nOrderedDict\n.", "collections.OrderedDict"),
        "OBJ": (b"(ccollections\nOrderedDict\no.", "instruction OBJ"),
        "extension register": (b"\x80\x02\x82\x01.", "instruction EXT1"),
        "text persistent id": (b"Psomething\n.", "instruction PERSID"),
        "reduce of what a memo holds": (b"\x80\x02}q\0h\0)R.", "no function"),
        "overwritten memo": (b"\x80\x02ctorch._utils\n_rebuild_parameter\nq\0cos\nsystem\nq\0h\0)R.", "os.system"),
        "torch's own loader": (dumped(Harm(torch.storage._load_from_bytes, b"x")), "torch.storage._load_from_bytes"),
        "dotted name": (b"\x80\x04\x8c\x0ctorch._utils\x8c\x10os.path.os.popen\x93.", "torch._utils.os.path.os.popen"),
        "state of a class": (b"\x80\x02ctorch._utils\n_rebuild_parameter\n" + state[2:] + b"b.", ""),
    }


@pytest.mark.parametrize("case", harmful(""))
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "bare"])
def test_what_would_run_code_is_named_and_nothing_runs(tmp_path: Path, case: str, zipped: bool) -> None:
    mark = tmp_path / "it ran"
    program, named = harmful(str(mark))[case]
    path = tmp_path / "model.pt"
    if zipped:
        archive(tmp_path, program)
    else:
        path.write_bytes(program if program[:1] == b"\x80" else b"\x80\x02" + program)
    with pytest.raises((UnsafeModel, UnreadableModel)) as caught:
        read_pickle(path)
    assert named in str(caught.value)
    assert str(caught.value).startswith("model.pt ")
    assert not mark.exists()
    if named:
        assert caught.type is UnsafeModel


def test_a_checkpoint_of_a_trainer_is_refused_by_the_first_foreign_name(tmp_path: Path) -> None:
    with pytest.raises(UnsafeModel, match=r'"pathlib\.\w+"'):
        read_pickle(save(tmp_path, {"weight": FLOATS, "where": Path("x")}))


def tensor_program(
    *,
    key: str = "0",
    length: int = 6,
    offset: int = 0,
    shape: tuple[Any, ...] = (2, 3),
    stride: tuple[Any, ...] = (3, 1),
) -> bytes:
    """A pickle of {"a": tensor}."""

    class Pickler(pickle.Pickler):
        def persistent_id(self, value: Any) -> Any:
            return ("storage", torch.FloatStorage, key, "cpu", length) if value == "<storage>" else None

    file = io.BytesIO()
    call = Harm(torch._utils._rebuild_tensor_v2, "<storage>", offset, shape, stride, False, OrderedDict())
    Pickler(file, 2).dump({"a": call})
    return file.getvalue()


SIX = {"0": struct.pack("<6f", *range(6))}


def test_the_forger_of_these_tests_forges_well(tmp_path: Path) -> None:
    path = archive(tmp_path, tensor_program(), SIX)
    assert torch.equal(numbers(path, read_pickle(path), "a"), torch.arange(6.0).reshape(2, 3))


@pytest.mark.parametrize(
    "change",
    [
        {"key": "1"},
        {"key": "../0"},
        {"length": 5},
        {"length": 7},
        {"length": -6},
        {"offset": 1},
        {"offset": -1},
        {"shape": (3, 3)},
        {"shape": (2,)},
        {"shape": (2, -3)},
        {"shape": (2, True)},
        {"shape": (10**12, 10**12), "stride": (0, 0)},
        {"shape": (2, 2.5)},
        {"shape": (2**70, 0)},
        {"shape": (0, 2**62)},
        {"stride": (3, 2)},
        {"stride": (-3, 1)},
        {"shape": (1,) * 40, "stride": (1,) * 40},
    ],
    ids=str,
)
def test_tensors_outside_their_storage_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(UnreadableModel, match=r'model\.pt .*"a"|described wrongly'):
        read_pickle(archive(tmp_path, tensor_program(**change), SIX))


class TestArchive:
    def refusal(self, path: Path) -> str:
        with pytest.raises(UnreadableModel) as caught:
            read_pickle(path)
        return str(caught.value)

    def test_a_compressed_one_is_not_unpacked(self, tmp_path: Path) -> None:
        bomb = archive(tmp_path, bytes(50_000_000), compress=zipfile.ZIP_DEFLATED)
        assert bomb.stat().st_size < 100_000
        assert "compressed" in self.refusal(bomb)

    def test_members_that_share_bytes(self, tmp_path: Path) -> None:
        """Two names for one storage, as in Fifield's zip bomb."""
        path = archive(tmp_path, tensor_program(), {**SIX, "1": b"12345678"})
        data = bytearray(path.read_bytes())
        first, second = (data.rindex(b"archive/data/" + key) - 4 for key in (b"0", b"1"))
        data[second : second + 4] = data[first : first + 4]
        path.write_bytes(data)
        assert "is not where the directory says" in self.refusal(path)

    def test_a_member_that_runs_into_the_next(self, tmp_path: Path) -> None:
        path = archive(tmp_path, tensor_program(length=30), SIX | {"1": bytes(500)})
        data = bytearray(path.read_bytes())
        sizes = data.rindex(b"archive/data/0") - 46 + 20
        data[sizes : sizes + 8] = struct.pack("<2L", 120, 120)
        path.write_bytes(data)
        assert "overlap" in self.refusal(path)

    @pytest.mark.parametrize(
        ("place", "value"),
        [(10, struct.pack("<H", 65535)), (12, struct.pack("<L", 2**32 - 1)), (16, struct.pack("<L", 2**31))],
        ids=["more members than there are", "a directory of 4 GB", "a directory beyond the end"],
    )
    def test_a_directory_that_lies_about_itself(self, tmp_path: Path, place: int, value: bytes) -> None:
        path = archive(tmp_path, tensor_program(), SIX)
        data = bytearray(path.read_bytes())
        data[-22 + place : -22 + place + len(value)] = value
        path.write_bytes(data)
        assert "not an archive as torch writes it" in self.refusal(path)

    def test_a_member_called_beyond_the_archive_is_no_path(self, tmp_path: Path) -> None:
        """Nothing is unpacked, so a name with ``..`` leads nowhere."""
        with zipfile.ZipFile(tmp_path / "model.pt", "w") as file:
            file.writestr("../../data.pkl", b"\x80\x02}.")
            file.writestr("../../data/0", b"x")
        assert not read_pickle(tmp_path / "model.pt").tensors
        assert [path.name for path in tmp_path.iterdir()] == ["model.pt"]

    def test_cut_short(self, tmp_path: Path) -> None:
        whole = save(tmp_path, CONTENT).read_bytes()
        for length in (0, 3, 40, len(whole) // 2, len(whole) - 1):
            (tmp_path / "model.pt").write_bytes(whole[:length])
            assert self.refusal(tmp_path / "model.pt").startswith("model.pt ")

    def test_the_old_format_cut_short(self, tmp_path: Path) -> None:
        whole = save(tmp_path, {"a": FLOATS}, zipped=False).read_bytes()
        for length in (1, 30, len(whole) // 2, len(whole) - 1):
            (tmp_path / "model.pt").write_bytes(whole[:length])
            assert self.refusal(tmp_path / "model.pt").startswith("model.pt ")

    def test_a_zip_of_something_else(self, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "model.pt", "w") as file:
            file.writestr("readme.txt", "hello")
        assert "no data.pkl" in self.refusal(tmp_path / "model.pt")

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (b"<!doctype html>", "web page"),
            (b"version https://git-lfs", "Git LFS"),
            (b"hello", "not a file that torch saved"),
            (b"\x80\x02K\x01.", "not one that torch saved"),
        ],
    )
    def test_no_archive_at_all(self, tmp_path: Path, content: bytes, reason: str) -> None:
        (tmp_path / "model.pt").write_bytes(content)
        assert reason in self.refusal(tmp_path / "model.pt")


DEEP = b"\x85" * 100_000  # a tuple in a tuple in a tuple ...
LAUGHS = b"}" + b"".join(  # each dict holds the one before under ten names: 10 ** 7 of them in 500 bytes
    b"q\0" + b"}(" + b"".join(b"X\x01\0\0\0" + bytes([97 + name]) + b"h\0" for name in range(10)) + b"u"
    for _ in range(7)
)


@pytest.mark.parametrize(
    "program",
    [
        b"\x80\x02)" + DEEP + b".",
        b"\x80\x02})" + DEEP + b"Ns.",
        b"\x80\x04\x8c\x02os)" + DEEP + b"\x93.",
        b"\x80\x02" + LAUGHS + b".",
        b"\x80\x02]q\0h\0a.",
        b"\x80\x02}q\0X\x01\0\0\0ah\0s.",
        b"\x80\x02" + b"N0" * 250_100 + b".",
        b"\x80\x02\x8a\xff" + b"\xff" * 255 + b"\x85.",
    ],
    ids=["deep", "deep key", "deep name", "many laughs", "list in itself", "dict in itself", "long", "large number"],
)
def test_what_would_exhaust_memory_or_patience(tmp_path: Path, program: bytes) -> None:
    try:
        file = read_pickle(archive(tmp_path, program))
        assert not file.tensors
    except UnreadableModel as error:
        assert str(error).startswith("model.pt ")


@settings(deadline=None, max_examples=150)
@given(program=st.binary(max_size=60), cut=st.integers(0, 400), change=st.integers(1, 255))
def test_no_bytes_lead_to_another_error(
    tmp_path_factory: pytest.TempPathFactory, program: bytes, cut: int, change: int
) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    sound = bytearray(tensor_program())
    sound[cut % len(sound)] ^= change
    for content in (b"\x80\x02" + program + b".", bytes(sound)):
        try:
            read_pickle(archive(folder, content, SIX))
        except (UnreadableModel, UnsafeModel):
            continue
