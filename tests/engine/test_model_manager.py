from __future__ import annotations

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import tiny_components, write_tiny_checkpoint

from webui.domain.events import Loading
from webui.engine.device import Compute
from webui.engine.model_manager import ModelManager, Selection
from webui.engine.weights import SafetensorsFile
from webui.errors import OutOfMemory, UnreadableModel
from webui.library.index import Library


def select(library, checkpoint, vae=None):
    return Selection(library.find("checkpoint", checkpoint), vae and library.find("vae", vae))


def load(models, selection):
    events = list(models.load(selection))
    with models.use(selection) as model:
        return model, events


def unet_weights(model):
    return torch.cat([parameter.flatten() for parameter in model.checkpoint.unet.parameters()])


def test_every_weight_of_an_original_layout_file_arrives(models, tiny_library):
    model, events = load(models, select(tiny_library, "a"))
    expected = tiny_components(seed=1)
    networks = {"unet": model.checkpoint.unet, "vae": model.checkpoint.vae, **model.checkpoint.text_encoders}
    for name, network in networks.items():
        actual = network.state_dict()
        assert all(torch.equal(actual[key], tensor) for key, tensor in expected[name].state_dict().items()), name
    assert events[0] == Loading("loading a", 0.0)
    fractions = [event.fraction for event in events]
    assert fractions == sorted(fractions)
    assert 0.9 < fractions[-1] <= 1.0


def test_what_is_there_is_not_loaded_again(models, tiny_library):
    load(models, select(tiny_library, "a"))
    _, events = load(models, select(tiny_library, "a"))
    assert events == []


def test_a_vae_is_swapped_without_touching_the_checkpoint(models, tiny_library):
    own, _ = load(models, select(tiny_library, "a"))
    other, events = load(models, select(tiny_library, "a", "other"))
    assert next(event.text.split(":")[0] for event in events) == "loading other"
    assert other.checkpoint is own.checkpoint
    expected = tiny_components(seed=3)["vae"].state_dict()
    assert all(torch.equal(other.vae.state_dict()[key], tensor) for key, tensor in expected.items())
    back, events = load(models, select(tiny_library, "a"))
    assert back.vae is own.vae
    assert events == []


def test_the_least_recently_used_goes_first_when_the_budget_is_full(models, tiny_library):
    load(models, select(tiny_library, "a"))
    size = models.loaded_bytes
    small = ModelManager(models.compute, budget=int(size * 1.5))
    before, _ = load(small, select(tiny_library, "a"))
    weights = unet_weights(before)
    load(small, select(tiny_library, "b"))
    assert small.loaded_bytes == size
    again, events = load(small, select(tiny_library, "a"))
    assert events, "it had been let go, so it is loaded again"
    assert torch.equal(unet_weights(again), weights)


def test_what_is_in_use_stays_even_beyond_the_budget(tiny_library, models):
    tight = ModelManager(models.compute, budget=1)
    model, _ = load(tight, select(tiny_library, "a", "other"))
    assert model.vae is not model.checkpoint.vae
    assert tight.loaded_bytes > 1


def test_full_precision_and_back_changes_no_bit(tiny_library, models):
    half = ModelManager(Compute(models.compute.device, torch.float16, torch.bfloat16, 1), budget=2**33)
    model, _ = load(half, select(tiny_library, "a"))
    before = unet_weights(model).clone()
    assert before.dtype == torch.float16
    with model.in_float32():
        assert model.is_float32
    assert torch.equal(unet_weights(model), before)
    assert model.vae.dtype == torch.bfloat16


def test_a_diffusers_folder_gives_the_same_networks(models, tiny_library, tmp_path):
    from diffusers import DDPMScheduler, StableDiffusionPipeline
    from tiny import TINY_CONFIGS

    parts = tiny_components(seed=1)
    scheduler = DDPMScheduler(**TINY_CONFIGS["scheduler"], clip_sample=False, steps_offset=1)
    StableDiffusionPipeline(
        **parts,
        scheduler=scheduler,
        tokenizer=None,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(tmp_path / "folder")
    library = Library({"checkpoint": (tmp_path,)}, tmp_path / "hashes.sqlite3")
    library.rescan()
    from_folder, _ = load(models, select(library, "folder"))
    from_file, _ = load(models, select(tiny_library, "a"))
    assert from_folder.checkpoint is not from_file.checkpoint
    assert torch.equal(unet_weights(from_folder), unet_weights(from_file))


def test_when_memory_runs_out_while_loading_other_models_make_room(models, tiny_library, monkeypatch):
    load(models, select(tiny_library, "b"))
    held = []
    read = SafetensorsFile.get

    def refuse_beside_others(file, name):
        held.append(models.loaded_bytes)
        if models.loaded_bytes:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return read(file, name)

    monkeypatch.setattr(SafetensorsFile, "get", refuse_beside_others)
    model, _ = load(models, select(tiny_library, "a"))
    assert held[0] > 0 == held[1]
    assert torch.equal(unet_weights(model), torch.cat([p.flatten() for p in tiny_components(1)["unet"].parameters()]))


def test_a_model_too_large_for_an_empty_memory_is_a_sentence(models, tiny_library, monkeypatch):
    def refuse(file, name):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    with monkeypatch.context() as full:
        full.setattr(SafetensorsFile, "get", refuse)
        with pytest.raises(OutOfMemory, match='"a" does not fit into the memory of cpu'):
            load(models, select(tiny_library, "a"))
    load(models, select(tiny_library, "a"))


def test_a_file_cut_short_after_the_scan_is_named(models, tmp_path):
    path = write_tiny_checkpoint(tmp_path / "cut.safetensors")
    library = Library({"checkpoint": (tmp_path,)}, tmp_path / "hashes.sqlite3")
    library.rescan()
    selection = select(library, "cut")
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    with pytest.raises(UnreadableModel, match=r"cut\.safetensors cannot be read"):
        load(models, selection)
    assert models.loaded_bytes == 0


def test_a_missing_tensor_is_named(models, tiny_library, tmp_path):
    tensors = load_file(tiny_library.find("checkpoint", "a").path)
    with_hole = tmp_path / "hole.safetensors"
    shutil.copy(tiny_library.find("checkpoint", "a").path, with_hole)
    library = Library({"checkpoint": (tmp_path,)}, tmp_path / "hashes.sqlite3")
    library.rescan()
    selection = select(library, "hole")
    del tensors["model.diffusion_model.out.2.weight"]
    save_file(tensors, with_hole)
    with pytest.raises(UnreadableModel, match=r"lacks 1 of its \d+ tensors, the first being \"conv_out.weight\""):
        load(models, selection)


def test_a_weight_of_another_shape_is_named_though_it_has_as_many_numbers(models, tiny_library, tmp_path):
    path = shutil.copy(tiny_library.find("checkpoint", "a").path, tmp_path / "turned.safetensors")
    library = Library({"checkpoint": (tmp_path,)}, tmp_path / "hashes.sqlite3")
    library.rescan()
    selection = select(library, "turned")
    tensors = load_file(path)
    name = "model.diffusion_model.time_embed.0.weight"
    save_file({**tensors, name: tensors[name].T.contiguous()}, path)
    with pytest.raises(UnreadableModel, match=r"time_embed\.0\.weight\" has shape \(32, 128\), but \(128, 32\)"):
        load(models, selection)
    assert models.loaded_bytes == 0
