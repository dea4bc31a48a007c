"""One checkpoint in the forms in which people have it: each gives the same networks, and none asks anybody for anything."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tiny_families import CONFIGS, family_components, original_tensors, write_family

from webui.domain.request import GenerationRequest
from webui.engine.device import Hardware, choose_compute
from webui.engine.drawn import Drawn
from webui.engine.families import FAMILIES
from webui.engine.generate import Options, generate_batch
from webui.engine.model_manager import ModelManager, Selection
from webui.errors import IncompatibleModel, UnsafeModel
from webui.library.index import Library

STATED = {"lucid.configs": json.dumps(CONFIGS["sdxl"])}


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise AssertionError("a model was asked for over the network")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def tensors(family: str = "sdxl") -> dict[str, torch.Tensor]:
    return original_tensors(family, family_components(family))


def with_ema(path: Path) -> None:
    unet = {name: tensor for name, tensor in tensors().items() if name.startswith("model.diffusion_model.")}
    ema = {f"model_ema.{name.removeprefix('model.').replace('.', '')}": tensor + 1 for name, tensor in unet.items()}
    save_file({**tensors(), **ema, "alphas_cumprod": torch.ones(1000)}, path, STATED)


def stored_as(dtype: torch.dtype) -> Callable[[Path], None]:
    return lambda path: save_file({name: tensor.to(dtype) for name, tensor in tensors().items()}, path, STATED)


def renamed(old: str, new: str) -> Callable[[Path], None]:
    return lambda path: save_file({name.replace(old, new, 1): each for name, each in tensors().items()}, path, STATED)


FORMS: dict[str, tuple[Callable[[Path], None], torch.dtype]] = {
    "float16": (stored_as(torch.float16), torch.float16),
    "bfloat16": (stored_as(torch.bfloat16), torch.bfloat16),
    "fp8": (stored_as(torch.float8_e4m3fn), torch.float8_e4m3fn),
    "with EMA": (with_ema, torch.float32),
    "U-Net as ComfyUI names it": (renamed("model.diffusion_model.", "diffusion_model."), torch.float32),
    "VAE as ComfyUI names it": (renamed("first_stage_model.", "vae."), torch.float32),
}


def find(folder: Path, name: str = "model") -> Selection:
    library = Library({"checkpoint": (folder,), "vae": (folder / "vae",)}, folder / "hashes.sqlite3")
    library.rescan()
    vaes = library.files("vae")
    return Selection(library.find("checkpoint", name), next(iter(vaes), None))


def networks(selection: Selection, compute: Any = None) -> dict[str, torch.nn.Module]:
    models = ModelManager(compute or choose_compute("cpu", "auto", Hardware()), budget=2**33)
    list(models.load(selection))
    with models.use(selection) as model:
        return {"unet": model.checkpoint.unet, "vae": model.vae, **model.checkpoint.text_encoders}


def check(found: dict[str, torch.nn.Module], family: str, stored: torch.dtype = torch.float32) -> None:
    expected = family_components(family)
    assert set(found) == set(expected)
    for name, network in found.items():
        actual = network.state_dict()
        for key, tensor in expected[name].state_dict().items():
            assert torch.equal(actual[key], tensor.to(stored).float()), (name, key)


@pytest.mark.parametrize(("write", "stored"), FORMS.values(), ids=FORMS)
def test_single_files(tmp_path: Path, write: Callable[[Path], None], stored: torch.dtype) -> None:
    write(tmp_path / "model.safetensors")
    check(networks(find(tmp_path)), "sdxl", stored)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("pickled", [False, True], ids=["safetensors", "pickles"])
def test_diffusers_folders(tmp_path: Path, family: str, pickled: bool) -> None:
    write_folder(tmp_path / "model", family, pickled)
    selection = find(tmp_path)
    assert (selection.checkpoint.family, selection.checkpoint.layout) == (family, "diffusers")
    check(networks(selection), family)


def test_sharded_folders(tmp_path: Path) -> None:
    write_folder(tmp_path / "model", "sdxl")
    family_components("sdxl")["unet"].save_pretrained(tmp_path / "model" / "unet", max_shard_size="200KB")
    (tmp_path / "model" / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    assert len([*(tmp_path / "model" / "unet").glob("*.safetensors")]) > 2
    check(networks(find(tmp_path)), "sdxl")


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before torch 1.6"])
def test_pickles_as_training_programs_wrote_them(tmp_path: Path, zipped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """At published sizes only, as a pickle brings no configs: so the tensors are checked where they are read from."""
    import numpy as np

    from webui.engine.weights import open_tensors

    content = {
        "state_dict": tensors("sd1"),
        "epoch": 3,
        "callbacks": {"score": np.float64(0.5)},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(3)}}}],
    }
    path = tmp_path / "model.ckpt"
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    monkeypatch.setattr(torch, "load", None)
    with open_tensors((path,)) as stored:
        assert set(stored.keys()) == set(tensors("sd1"))
        assert all(torch.equal(stored.get(name), tensor) for name, tensor in tensors("sd1").items())


def test_a_pickle_that_would_run_code_is_listed_with_the_reason(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> Any:
            return eval, ("1",)

    torch.save({"state_dict": {**tensors("sd1"), "x": Harm()}}, tmp_path / "model.ckpt")
    with pytest.raises(UnsafeModel, match=r'model\.ckpt was not opened, because it wants to use "\w+\.eval"'):
        find(tmp_path)


class TestWithoutVae:
    def write(self, folder: Path) -> None:
        bare = {name: tensor for name, tensor in tensors().items() if not name.startswith("first_stage_model.")}
        save_file(bare, folder / "model.safetensors", STATED)

    def test_it_is_said_when_it_is_to_draw(self, tmp_path: Path) -> None:
        self.write(tmp_path)
        with pytest.raises(IncompatibleModel, match='"model" holds no VAE: choose one under VAE'):
            networks(find(tmp_path))

    def test_a_file_of_its_own_serves(self, tmp_path: Path) -> None:
        self.write(tmp_path)
        (tmp_path / "vae").mkdir()
        vae = {
            name.removeprefix("first_stage_model."): tensor for name, tensor in tensors().items() if name[:5] == "first"
        }
        wrong_scale = {
            **CONFIGS["sdxl"]["vae"],
            "scaling_factor": 0.18215,
        }  # a file seldom tells whose latents it reads
        save_file(vae, tmp_path / "vae" / "some.safetensors", {"lucid.configs": json.dumps({"vae": wrong_scale})})
        selection = find(tmp_path)
        found = networks(selection)
        check(found, "sdxl")
        assert found["vae"].config.scaling_factor == 0.13025


def test_sdxls_vae_never_computes_in_float16(tmp_path: Path) -> None:
    write_family(tmp_path / "model.safetensors", "sdxl")
    found = networks(find(tmp_path), choose_compute("cpu", "float16", Hardware()))
    assert next(found["unet"].parameters()).dtype == torch.float16
    assert next(found["vae"].parameters()).dtype == torch.float32


def test_a_folder_of_sdxl_draws(tmp_path: Path) -> None:
    write_folder(tmp_path / "model", "sdxl")
    models = ModelManager(choose_compute("cpu", "auto", Hardware()), budget=2**33)
    request = GenerationRequest(prompt="a fox", seed=1, steps=1, width=64, height=64)
    assert any(isinstance(event, Drawn) for event in generate_batch(request, 0, models, find(tmp_path), Options()))


def write_folder(folder: Path, family: str, pickled: bool = False) -> None:
    """As diffusers' pipelines save themselves, but for the tokenizers, which are not looked at."""
    parts = family_components(family)
    for name, part in parts.items():
        part.save_pretrained(folder / name)
        if pickled:
            for file in (folder / name).glob("*.safetensors"):
                file.unlink()
            stem = "pytorch_model" if name.startswith("text") else "diffusion_pytorch_model"
            torch.save(part.state_dict(), folder / name / f"{stem}.bin")
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(CONFIGS[family]["scheduler"]))
    index = {
        name: ["transformers" if name.startswith("text") else "diffusers", type(part).__name__]
        for name, part in parts.items()
    }
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPipeline", **index}))
