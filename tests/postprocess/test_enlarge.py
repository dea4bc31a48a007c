from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from spandrel.architectures.Compact import Compact

from webui.domain.enlarging import EnlargeRequest
from webui.domain.events import Notice, Step
from webui.engine.device import Hardware, choose_compute
from webui.engine.model_manager import ModelManager
from webui.errors import OutOfMemory
from webui.library.index import Library
from webui.postprocess.enlarge import enlarged

PICTURE = Image.effect_noise((40, 30), 60).convert("RGB").resize((40, 30))


@pytest.fixture
def models():
    return ModelManager(choose_compute("cpu", "auto", Hardware()), 2**32)


@pytest.fixture
def network(models, tmp_path):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_file(Compact(num_feat=8, num_conv=3, upscale=2).state_dict(), tmp_path / "twice.safetensors")
    library = Library({"upscaler": (tmp_path,)}, tmp_path / "hashes.sqlite3")
    library.rescan()
    file = library.find("upscaler", "twice")
    list(models.load_upscalers([file]))
    return models.upscaler(file)


def run(models, picture=PICTURE, networks=None, **fields):
    working = enlarged(picture, EnlargeRequest(pictures="0" * 32, **fields), networks or {}, models)
    told = []
    while True:
        try:
            told.append(next(working))
        except StopIteration as finished:
            return finished.value, told


def test_lanczos_and_nearest_are_pillows(models):
    assert run(models, scale_by=2.0)[0] == PICTURE.resize((80, 60), Image.Resampling.LANCZOS)
    assert run(models, scale_by=2.0, upscaler_1="Nearest")[0] == PICTURE.resize((80, 60), Image.Resampling.NEAREST)
    assert run(models, upscaler_1="None")[0] is PICTURE


def test_a_network_enlarges_until_the_size_is_reached(models, network):
    for factor in (0.5, 1.0, 1.5, 2.0, 3.0, 4.0):
        result, told = run(models, networks={"twice": network}, upscaler_1="twice", scale_by=factor)
        assert result.size == (round(40 * factor), round(30 * factor))
        assert [event.step for event in told if isinstance(event, Step)] == ([1] if factor <= 2 else [1, 1])
    twice, _ = run(models, networks={"twice": network}, upscaler_1="twice", scale_by=2.0)
    pixels = torch.from_numpy(np.array(PICTURE)).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        own = network._network.model(pixels)[0].clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).numpy()
    assert np.abs(np.array(twice).astype(int) - own.astype(int)).max() <= 1


def test_two_upscalers_are_laid_over_each_other(models, network):
    networks = {"twice": network}
    one, _ = run(models, scale_by=2.0)
    two, _ = run(models, networks=networks, scale_by=2.0, upscaler_1="twice")
    half, told = run(models, networks=networks, scale_by=2.0, upscaler_2="twice", upscaler_2_visibility=0.5)
    assert half == Image.blend(one, two, 0.5)
    assert [(event.step, event.steps) for event in told] == [(2, 2)]
    assert run(models, networks=networks, scale_by=2.0, upscaler_2="twice")[0] == one


def test_to_a_size_both_sides_are_cut(models):
    result, _ = run(models, scale_mode="Scale to", width=60, height=60)
    assert result == PICTURE.resize((80, 60), Image.Resampling.LANCZOS).crop((10, 0, 70, 60))
    assert run(models, scale_mode="Scale to", width=60, height=60, crop=False)[0].size == (80, 60)


def test_what_is_transparent_stays_so(models, network):
    picture = PICTURE.copy()
    picture.putalpha(Image.linear_gradient("L").resize((40, 30)))
    result, _ = run(models, picture, {"twice": network}, upscaler_1="twice", scale_by=2.0)
    assert result.mode == "RGBA"
    assert result.getchannel("A") == picture.getchannel("A").resize((80, 60), Image.Resampling.LANCZOS)


def test_when_memory_runs_out_the_tiles_become_smaller(models, network, monkeypatch):
    run_tile, sizes = network._run, []

    def small_ones_only(pixels):
        sizes.append(max(pixels.shape))
        if max(pixels.shape) > 140:
            raise torch.OutOfMemoryError("out of memory")
        return run_tile(pixels)

    monkeypatch.setattr(network, "_run", small_ones_only)
    picture = PICTURE.resize((200, 30))
    result, told = run(models, picture, {"twice": network}, upscaler_1="twice", scale_by=2.0)
    assert result.size == (400, 60)
    notices = [event.text for event in told if isinstance(event, Notice)]
    assert any("tiles of 64 pixels" in text for text in notices)
    monkeypatch.setattr(network, "_run", lambda pixels: small_ones_only(torch.zeros(3, 999, 1)))
    with pytest.raises(OutOfMemory, match="while enlarging"):
        run(models, picture, {"twice": network}, upscaler_1="twice", scale_by=2.0)
