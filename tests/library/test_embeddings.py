"""Embeddings and hypernetworks as the library lists them, in every layout that they are published in."""

from __future__ import annotations

import base64
import json
import os
import pickle
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from model_headers import HYPERNETWORK, SD1, TEXTUAL_INVERSION, TEXTUAL_INVERSION_XL, write_model
from PIL import Image, PngImagePlugin

from webui.errors import UnreadableModel, UnsafeModel
from webui.library.embedding_pictures import masking_stream, read_picture
from webui.library.index import Library
from webui.library.model_file import ModelFile

VECTORS = torch.randn(2, 768, generator=torch.Generator().manual_seed(5))
A1111: dict[str, Any] = {
    "string_to_token": {"*": 265},
    "string_to_param": {"*": VECTORS},
    "name": "my-style",
    "step": 1200,
    "sd_checkpoint": "abc",
    "sd_checkpoint_name": "v1-5",
}


@pytest.fixture
def library(tmp_path: Path) -> Library:
    for folder in ("embeddings", "hypernetworks", "checkpoints"):
        (tmp_path / folder).mkdir()
    folders = {kind: (tmp_path / f"{kind}s",) for kind in ("embedding", "hypernetwork", "checkpoint")}
    return Library(folders, tmp_path / "hashes.sqlite3")


@pytest.fixture
def folder(library: Library, tmp_path: Path) -> Path:
    return tmp_path / "embeddings"


def only(library: Library, kind: str = "embedding") -> ModelFile:
    library.rescan()
    (file,) = library.files(kind)
    return file


def as_json(value: Any) -> Any:
    return {"TORCHTENSOR": value.tolist()} if isinstance(value, torch.Tensor) else value


def test_a_pt_of_the_trainer(library: Library, folder: Path) -> None:
    torch.save(A1111, folder / "easy.pt")
    file = only(library)
    assert (file.name, file.family, file.problem) == ("easy", "sd1", "")
    assert file.configs["embedding"] == {
        "vectors": 2,
        "widths": {"clip_l": 768},
        "stored_name": "my-style",
        "step": 1200,
        "checkpoint": "v1-5",
    }


def test_a_pt_of_the_papers_code(library: Library, folder: Path) -> None:
    """Which stores modules and not only tensors."""
    parameters = torch.nn.ParameterDict({"*": torch.nn.Parameter(VECTORS)})
    content = {"string_to_token": {"*": torch.tensor(265)}, "string_to_param": parameters}
    torch.save(content, folder / "easy.pt", _use_new_zipfile_serialization=False)
    assert only(library).configs["embedding"]["vectors"] == 2


def test_a_concept_of_diffusers(library: Library, folder: Path) -> None:
    torch.save({"<cat-toy>": VECTORS[0]}, folder / "learned_embeds.bin")
    assert only(library).configs["embedding"]["vectors"] == 1


def test_safetensors_for_both_encoders_of_sdxl(library: Library, folder: Path) -> None:
    write_model(folder / "xl.safetensors", TEXTUAL_INVERSION_XL)
    file = only(library)
    assert (file.family, file.problem) == ("sdxl", "")
    assert file.configs["embedding"]["widths"] == {"clip_l": 768, "clip_g": 1280}
    (folder / "xl.safetensors").unlink()
    write_model(folder / "plain.safetensors", TEXTUAL_INVERSION, {"name": "x", "step": "no number"})
    assert only(library).configs["embedding"] | {"widths": 0} == {
        "vectors": 8,
        "widths": 0,
        "stored_name": "x",
        "step": 0,
        "checkpoint": "",
    }


class TestUnsafe:
    def test_a_file_that_would_run_code_is_listed_with_what_it_would_run(self, library: Library, folder: Path) -> None:
        class Harm:
            def __reduce__(self) -> Any:
                return os.system, (f"touch {folder}/it-ran",)

        torch.save({"string_to_param": {"*": VECTORS}, "x": Harm()}, folder / "evil.pt")
        (folder / "bare.bin").write_bytes(pickle.dumps(Harm()))
        library.rescan()
        assert [file.name for file in library.files("embedding")] == ["bare", "evil"]
        for file in library.files("embedding"):
            assert 'system", which a model file has no need of' in file.problem
            with pytest.raises(UnsafeModel, match="system"):
                library.find("embedding", file.name)
        assert not (folder / "it-ran").exists()

    def test_vaes_as_pickles_are_not_used_from_a_folder_of_embeddings(self, library: Library, folder: Path) -> None:
        vae = {"encoder.conv_in.weight": (128, 3, 3, 3), "decoder.conv_in.weight": (512, 4, 3, 3)}
        tensors = {name: torch.zeros(shape) for name, shape in (vae | {"quant_conv.weight": (8, 8, 1, 1)}).items()}
        torch.save(tensors, folder / "v.pt")
        file = only(library, "vae")
        assert (file.error, "as a pickle; convert" in file.problem) == (UnsafeModel, True)


def test_hypernetworks(library: Library, tmp_path: Path) -> None:
    state = {"linear.0.weight": torch.zeros(8, 4), "linear.0.bias": torch.zeros(8)}
    content = {4: (state, state), 768: (state, state), "activation_func": "relu", "activate_output": False, "step": 9}
    torch.save(content, tmp_path / "hypernetworks" / "style.pt")
    file = only(library, "hypernetwork")
    assert (file.family, file.problem) == ("sd1", "")
    assert file.configs["hypernetwork"] == {
        "widths": [4, 768],
        "activation": "relu",
        "activate_output": False,
        "layer_structure": [1, 2, 1],
        "step": 9,
    }
    (tmp_path / "hypernetworks" / "style.pt").unlink()
    write_model(tmp_path / "hypernetworks" / "old.safetensors", HYPERNETWORK)
    assert only(library, "hypernetwork").configs["hypernetwork"]["activation"] == "linear"


@pytest.mark.parametrize("said", ["[" * 100_000, "9" * 5000, "{}", "[[1]]", "x"])
def test_nonsense_beside_the_tensors_is_passed_over(library: Library, folder: Path, tmp_path: Path, said: str) -> None:
    write_model(folder / "a.safetensors", TEXTUAL_INVERSION, {"name": said, "step": said})
    options = dict.fromkeys(("step", "layer_structure", "activate_output"), said)
    write_model(tmp_path / "hypernetworks" / "b.safetensors", HYPERNETWORK, options)
    assert only(library).configs["embedding"] | {"widths": 0} == {
        "vectors": 8,
        "widths": 0,
        "stored_name": said[:200],
        "step": 0,
        "checkpoint": "",
    }
    facts = library.files("hypernetwork")[0].configs["hypernetwork"]
    assert (facts["step"], facts["layer_structure"], facts["activate_output"]) == (0, [1, 2, 1], True)


def test_a_name_of_half_letters_can_be_shown(library: Library, folder: Path) -> None:
    torch.save(A1111 | {"name": "half \ud800"}, folder / "easy.pt")
    assert only(library).configs["embedding"]["stored_name"] == "half ?"


def test_numbers_of_absurd_length_are_no_widths(library: Library, folder: Path) -> None:
    name = "9" * 5000 + ".0.linear.0.weight"
    write_model(folder / "odd.safetensors", {name: (8, 4), "x" + name: (8, 4)})
    write_model(folder / "odder.safetensors", {name: (8, 4)})
    library.rescan()
    assert all("not a kind of model" in file.problem for file in library.files("embedding"))


def block(data: np.ndarray, height: int) -> np.ndarray:
    """Half bytes as a block of pixels, masked; the upper bits are a pattern that means nothing."""
    padded = np.resize(data, -(-data.size // (3 * height)) * 3 * height).astype(np.uint8)
    pattern = np.arange(padded.size, dtype=np.uint8) & 0xF0
    stream, number = [], 0
    for _ in range(padded.size):
        number = (number * 1664525 + 1013904223) % 2**32
        stream.append(number % 255 & 15)
    return (pattern | (padded ^ np.array(stream, dtype=np.uint8))).reshape(height, -1, 3)


def picture_with_pixels(content: Any, size: int = 64) -> Image.Image:
    packed = np.frombuffer(zlib.compress(json.dumps(content, default=as_json).encode()), np.uint8)
    left, right = block(packed & 15, size), block(packed >> 4, size)
    gap = np.zeros((size, 1, 3), np.uint8)
    middle = np.full((size, size, 3), 200, np.uint8)
    return Image.fromarray(np.concatenate([left, gap, middle, gap, right], axis=1))


class TestPictures:
    def test_in_a_text_chunk(self, library: Library, folder: Path) -> None:
        info = PngImagePlugin.PngInfo()
        text = json.dumps(A1111, default=as_json).encode()
        info.add_text("sd-ti-embedding", base64.b64encode(text).decode())
        Image.new("RGB", (8, 8)).save(folder / "style.png", pnginfo=info)
        file = only(library)
        assert (file.family, file.problem) == ("sd1", "")
        assert file.configs["embedding"]["stored_name"] == "my-style"
        assert np.array_equal(read_picture(file.path).tensors["string_to_param.*"], VECTORS.numpy())

    @pytest.mark.parametrize("suffix", ["png", "webp"])
    def test_in_the_pixels(self, library: Library, folder: Path, suffix: str) -> None:
        picture_with_pixels(A1111).save(folder / f"style.{suffix}", lossless=True)
        file = only(library)
        assert file.configs["embedding"]["vectors"] == 2
        assert np.array_equal(read_picture(file.path).tensors["string_to_param.*"], VECTORS.numpy())

    def test_the_mask_is_the_one_of_the_web_ui(self) -> None:
        stream = masking_stream(100_100)
        assert stream[:10].tolist() == [253, 242, 127, 44, 157, 27, 239, 133, 38, 79]
        assert int(stream[100:].sum(dtype=np.int64)) == 12731374

    def test_previews_are_no_embeddings(self, library: Library, folder: Path) -> None:
        torch.save(A1111, folder / "easy.pt")
        for name in ("easy.png", "other.preview.png"):
            Image.new("RGB", (8, 8)).save(folder / name)
        assert only(library).preview == folder / "easy.png"

    def test_a_picture_that_carries_nothing_says_so(self, library: Library, folder: Path) -> None:
        Image.new("RGB", (64, 64), "white").save(folder / "holiday.png")
        Image.new("RGB", (64, 64)).save(folder / "night.png")
        (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
        library.rescan()
        broken, holiday, night = library.files("embedding")
        assert "is broken" in broken.problem
        assert holiday.problem == "holiday.png is a picture that carries no embedding."
        assert night.error is UnreadableModel

    @pytest.mark.parametrize("content", [[], "x", {"string_to_param": {"*": {"TORCHTENSOR": "x"}}}, {"a": {"b": 1}}])
    def test_nonsense_in_a_picture(self, library: Library, folder: Path, content: Any) -> None:
        picture_with_pixels(content).save(folder / "odd.png")
        assert only(library).problem.startswith("odd.png ")

    def test_a_bomb_in_the_pixels_is_not_unpacked(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("webui.library.embedding_pictures.MOST_BYTES", 10_000)
        picture_with_pixels("x" * 20_000).save(folder / "bomb.png")
        with pytest.raises(UnreadableModel, match="carries no embedding"):
            read_picture(folder / "bomb.png")


def test_a_checkpoint_among_embeddings_is_a_checkpoint(library: Library, folder: Path) -> None:
    write_model(folder / "model.safetensors", SD1)
    assert only(library, "checkpoint").problem == ""
