"""Pickles become safetensors: the same tensors, nothing overwritten, nothing run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tiny import write_tiny_checkpoint

from webui.errors import NotAllowed, StorageFailure, UnreadableModel, UnsafeModel
from webui.library.conversions import Conversions
from webui.library.convert import SOURCE, convert, converted_path
from webui.library.formats import read_header
from webui.library.index import Library

FLOATS = torch.arange(24.0).reshape(4, 6)
CONTENT: dict[Any, Any] = {
    "plain": FLOATS,
    "part": FLOATS[1:3, ::2],
    "turned": FLOATS.T,
    "half": torch.ones(3, dtype=torch.float16),
    "bf16": torch.ones(3, dtype=torch.bfloat16),
    "ids": torch.tensor([265]),
    "scalar": torch.tensor(2.5, dtype=torch.float64),
    "none": torch.zeros(0, 768),
    768: ({"linear.0.weight": FLOATS}, {"linear.0.weight": FLOATS + 1}),
    "name": "easy",
    "step": 500,
}


class Harm:
    """Pickles as a call of ``os.system``."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> Any:
        return os.system, (self.command,)


def save(tmp_path: Path, content: Any, *, zipped: bool = True) -> Path:
    torch.save(content, tmp_path / "model.pt", _use_new_zipfile_serialization=zipped)
    return tmp_path / "model.pt"


def leaves(content: Any, path: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    if isinstance(content, torch.Tensor):
        yield path, content
    elif isinstance(content, dict | tuple):
        items = enumerate(content) if isinstance(content, tuple) else content.items()
        for key, value in items:
            yield from leaves(value, f"{path}.{key}" if path else str(key))


@pytest.mark.parametrize("zipped", [True, False])
def test_every_tensor_arrives_with_its_name_shape_and_format(tmp_path: Path, zipped: bool) -> None:
    path = save(tmp_path, CONTENT, zipped=zipped)
    before = path.read_bytes()
    fractions = list(convert(path))
    assert fractions == sorted(fractions) and fractions[-1] == 1
    written = load_file(tmp_path / "model.safetensors")
    expected = dict(leaves(CONTENT))
    assert written.keys() == expected.keys()
    for name, tensor in expected.items():
        assert written[name].dtype == tensor.dtype and torch.equal(written[name], tensor), name
    metadata = read_header(tmp_path / "model.safetensors").metadata
    assert (metadata[SOURCE], metadata["name"], metadata["step"]) == ("model.pt", "easy", "500")
    assert path.read_bytes() == before
    assert {file.name for file in tmp_path.iterdir()} == {"model.pt", "model.safetensors"}


def test_a_checkpoint_is_the_same_one_to_the_library(tmp_path: Path) -> None:
    tensors = load_file(write_tiny_checkpoint(tmp_path / "tiny.safetensors"))
    (tmp_path / "models").mkdir()
    path = tmp_path / "models" / "old.ckpt"
    torch.save({"state_dict": tensors, "epoch": 3, "global_step": 7}, path)
    library = Library({"checkpoint": (tmp_path / "models",)}, tmp_path / "hashes.sqlite3")
    list(convert(path))
    library.rescan()
    new, old = library.files("checkpoint")
    assert (new.name, new.path.suffix, old.path) == ("old", ".safetensors", path), "the pickle gives its name away"
    written = load_file(new.path)
    assert written.keys() == tensors.keys()
    assert all(torch.equal(written[name], tensor) for name, tensor in tensors.items())
    assert (new.kind, new.family, new.layout) == (old.kind, old.family, old.layout) == ("checkpoint", "sd1", "original")


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    path = save(tmp_path, CONTENT)
    (tmp_path / "model.safetensors").write_text("mine")
    with pytest.raises(NotAllowed, match=r"model\.safetensors is there already"):
        list(convert(path))
    assert (tmp_path / "model.safetensors").read_text() == "mine"


def test_what_appears_meanwhile_stays(tmp_path: Path) -> None:
    running = convert(save(tmp_path, CONTENT))
    next(running)
    (tmp_path / "model.safetensors").write_text("mine")
    with pytest.raises(NotAllowed, match="appeared meanwhile"):
        list(running)
    assert (tmp_path / "model.safetensors").read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    path = save(tmp_path, CONTENT)
    (tmp_path / "model.safetensors").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NotAllowed, match="is there already"):
        list(convert(path))
    assert not (tmp_path / "elsewhere").exists()


def test_who_stops_leaves_nothing_behind(tmp_path: Path) -> None:
    path = save(tmp_path, CONTENT)
    running = convert(path)
    next(running)
    running.close()  # type: ignore[attr-defined]  # a generator
    assert list(tmp_path.iterdir()) == [path]


def test_a_malicious_pickle_is_refused_by_name(tmp_path: Path) -> None:
    path = save(tmp_path, {"weight": FLOATS, "x": Harm(f"touch {tmp_path}/ran")})
    with pytest.raises(UnsafeModel, match=r"\.system"):
        list(convert(path))
    assert list(tmp_path.iterdir()) == [path]


def test_few_bytes_do_not_become_many(tmp_path: Path) -> None:
    row = torch.zeros(1000)
    path = save(tmp_path, {str(number): row[:1].expand(1000) for number in range(300)})
    with pytest.raises(UnreadableModel, match=r"would become 1\.2 MB"):
        list(convert(path))
    assert list(tmp_path.iterdir()) == [path]


def test_other_files_are_no_pickles(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"")
    for name in ("a.safetensors", "missing.ckpt"):
        with pytest.raises(NotAllowed, match="no pickle"):
            converted_path(tmp_path / name)


def test_a_full_disk_is_told_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path, CONTENT)
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10}))
    with pytest.raises(StorageFailure, match="10 bytes are free"):
        list(convert(path))


def test_in_the_background_it_tells_how_it_went(tmp_path: Path) -> None:
    found: list[Path] = []
    conversions = Conversions(found.append)
    path = save(tmp_path, CONTENT)
    conversions.start(path)
    conversions.close()
    conversions = Conversions(found.append)
    (tmp_path / "model.safetensors").unlink(missing_ok=True)
    conversions.start(path)
    while not (state := conversions.state(path)) or not state.is_over:
        pass
    assert (state.name, state.error, found[-1]) == ("model.safetensors", "", tmp_path / "model.safetensors")
    with pytest.raises(NotAllowed):
        conversions.start(path)
    conversions.close()
