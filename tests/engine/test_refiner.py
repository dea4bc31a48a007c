"""A second checkpoint draws the last steps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_families import write_family

from webui.domain.request import GenerationRequest
from webui.engine.device import Hardware, choose_compute
from webui.engine.drawn import Drawn
from webui.engine.generate import Options, generate_batch
from webui.engine.model_manager import ModelManager, Selection
from webui.engine.samplers import build
from webui.errors import IncompatibleModel
from webui.library.index import Library

REQUEST = GenerationRequest(
    prompt="a fox", seed=1, steps=8, width=64, height=64, sampler="Euler", schedule="Uniform", refiner_checkpoint="x"
)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    folder = tmp_path_factory.mktemp("refiner")
    write_family(folder / "base.safetensors", "sdxl")
    write_family(folder / "refiner.safetensors", "sdxl-refiner")
    write_family(folder / "other.safetensors", "sdxl", seed=5)
    write_family(folder / "v.safetensors", "sdxl", marks=("v_pred",))
    write_family(folder / "sd1.safetensors", "sd1")
    library = Library({"checkpoint": (folder,)}, folder / "hashes.sqlite3")
    library.rescan()
    return library


@pytest.fixture(scope="module")
def models() -> ModelManager:
    return ModelManager(choose_compute("cpu", "auto", Hardware()), budget=2**33)


def selected(library: Library, base: str, refiner: str) -> Selection:
    return Selection(library.find("checkpoint", base), refiner=library.find("checkpoint", refiner))


@contextmanager
def counted(models: ModelManager, selection: Selection) -> Iterator[list[str]]:
    """Which network is called, call by call."""
    calls: list[str] = []
    list(models.load(selection))
    with models.use(selection) as model:
        assert model.refiner is not None
        named = (("base", model.checkpoint.unet), ("refiner", model.refiner.checkpoint.unet))
        handles = [unet.register_forward_pre_hook(lambda *_, name=name: calls.append(name)) for name, unet in named]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def draw(models: ModelManager, selection: Selection, request: GenerationRequest) -> bytes:
    events = generate_batch(request, 0, models, selection, Options(preview="off"))
    (picture,) = (event.image for event in events if isinstance(event, Drawn))
    return picture.tobytes()


@pytest.mark.parametrize("refiner", ["refiner", "other"])
@pytest.mark.parametrize("switch_at", [0.0, 0.3, 0.8, 0.99])
def test_it_takes_over_when_so_much_of_the_noise_is_behind(
    models: ModelManager, library: Library, refiner: str, switch_at: float
) -> None:
    selection = selected(library, "base", refiner)
    timesteps = build("Euler", "Uniform", 8, {}).timesteps
    expected = ["refiner" if (999 - round(float(t))) / 1000 >= switch_at else "base" for t in timesteps]
    with counted(models, selection) as calls:
        first = draw(models, selection, replace(REQUEST, refiner_switch_at=switch_at))
    assert calls == expected
    assert len(set(expected)) == (1 if switch_at == 0 else 2)
    assert draw(models, selection, replace(REQUEST, refiner_switch_at=switch_at)) == first


def test_a_sampler_that_goes_back_stays_with_it(models: ModelManager, library: Library) -> None:
    selection = selected(library, "base", "refiner")
    with counted(models, selection) as calls:
        draw(models, selection, replace(REQUEST, sampler="Restart", schedule="Karras", steps=20, refiner_switch_at=0.7))
    assert calls == sorted(calls)
    assert {*calls} == {"base", "refiner"}


def test_it_is_told_its_scores(models: ModelManager, library: Library) -> None:
    selection = selected(library, "base", "refiner")
    plain = draw(models, selection, REQUEST)
    assert draw(models, selection, replace(REQUEST, aesthetic_score=1.0)) != plain
    assert draw(models, selection, replace(REQUEST, negative_aesthetic_score=9.0)) != plain


@pytest.mark.parametrize("other", ["sd1", "v"])
def test_one_of_other_latents_or_another_training_is_refused(
    models: ModelManager, library: Library, other: str
) -> None:
    with pytest.raises(IncompatibleModel, match=f'"{other}" cannot go on with what "base" began'):
        list(models.load(selected(library, "base", other)))


def test_both_are_in_full_precision_together(library: Library) -> None:
    half = ModelManager(choose_compute("cpu", "float16", Hardware()), budget=2**33)
    selection = selected(library, "base", "refiner")
    list(half.load(selection))
    with half.use(selection) as model, model.in_float32():
        assert all(next(unet.parameters()).dtype == torch.float32 for unet in model.unets)
    assert len(model.unets) == 2
    assert all(next(unet.parameters()).dtype == torch.float16 for unet in model.unets)


def test_a_refiner_without_a_vae_of_its_own(models: ModelManager, library: Library, tmp_path: Path) -> None:
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    path = library.find("checkpoint", "refiner").path
    tensors = {name: tensor for name, tensor in load_file(path).items() if not name.startswith("first_stage_model.")}
    save_file(tensors, tmp_path / "bare.safetensors", safe_open(path, "pt").metadata())
    bare = Library({"checkpoint": (tmp_path,)}, tmp_path / "hashes.sqlite3")
    bare.rescan()
    selection = Selection(library.find("checkpoint", "base"), refiner=bare.find("checkpoint", "bare"))
    assert draw(models, selection, REQUEST)
