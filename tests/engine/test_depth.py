"""Depth checkpoints: what they see of a depth map, and that they want one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_families import write_family

from webui.domain.request import GenerationRequest
from webui.engine.beside import seen_beside
from webui.engine.canvas import Sources, canvas_of
from webui.engine.device import Hardware, choose_compute
from webui.engine.drawn import Drawn
from webui.engine.generate import Options, generate_batch
from webui.engine.model_manager import ModelManager, Selection
from webui.errors import IncompatibleModel
from webui.library.index import Library

REQUEST = GenerationRequest(
    init_image="here", width=64, height=64, steps=4, seed=1, sampler="Euler", denoising_strength=1
)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ModelManager, Selection]]:
    folder = tmp_path_factory.mktemp("depth")
    write_family(folder / "depth.safetensors", "sd1", in_channels=5)
    library = Library({"checkpoint": (folder,)}, folder / "hashes.sqlite3")
    library.rescan()
    models = ModelManager(choose_compute("cpu", "auto", Hardware()), budget=2**33)
    selection = Selection(library.find("checkpoint", "depth"))
    list(models.load(selection))
    yield models, selection


def ramp(size: tuple[int, int], low: int, high: int) -> Image.Image:
    """Further away at the left, nearer at the right."""
    row = np.linspace(low, high, size[0])
    return Image.fromarray(np.tile(row, (size[1], 1)).astype(np.uint8)).convert("RGB")


def drawn(loaded, request, depth):
    sources = Sources(Image.new("RGB", (64, 64), "green"), None, depth)
    *_, last = generate_batch(request, 0, *loaded, Options(preview="off"), sources)
    assert isinstance(last, Drawn)
    return last.image


@pytest.mark.parametrize(("low", "high"), [(0, 255), (100, 140)])
def test_furthest_is_minus_1_and_nearest_1_whatever_the_greys(loaded, low, high):
    models, selection = loaded
    canvas = canvas_of(REQUEST, Sources(Image.new("RGB", (64, 64)), None, ramp((200, 90), low, high)))
    with models.use(selection) as model:
        seen = seen_beside(REQUEST, model, canvas.picture, None, canvas.depth)
    assert seen.shape == (1, 1, 8, 8)
    assert (float(seen.min()), float(seen.max())) == (-1, 1)
    assert torch.equal(seen[0, 0].argsort(dim=1, stable=True), torch.arange(8).expand(8, 8))


def test_what_is_all_of_one_grey_lies_in_the_middle(loaded):
    models, selection = loaded
    with models.use(selection) as model:
        seen = seen_beside(REQUEST, model, None, None, Image.new("RGB", (64, 64), "white"))
    assert not seen.any()


def test_another_depth_is_another_picture(loaded):
    one, other = drawn(loaded, REQUEST, ramp((64, 64), 0, 255)), drawn(loaded, REQUEST, ramp((64, 64), 255, 0))
    assert one != other
    assert drawn(loaded, REQUEST, ramp((64, 64), 0, 255)) == one


def test_without_a_depth_map_a_sentence_says_so(loaded):
    with pytest.raises(IncompatibleModel, match="depth map, and there is none"):
        drawn(loaded, REQUEST, None)


def test_only_masked_sees_the_same_part_of_both(loaded):
    request = GenerationRequest(**{**vars(REQUEST), "mask": "there", "inpaint_area": "Only masked", "mask_padding": 0})
    mask = Image.new("L", (256, 256))
    mask.paste(255, (128, 64, 192, 128))
    depth = canvas_of(request, Sources(Image.new("RGB", (256, 256)), mask, ramp((256, 256), 0, 255))).depth
    assert depth.size == (64, 64)
    greys = np.asarray(depth.convert("L"), float)
    assert greys.min() > 100 and greys.max() < 210


def test_files_of_depth_checkpoints_are_known(loaded):
    assert Path(loaded[1].checkpoint.path).name == "depth.safetensors" and not loaded[1].checkpoint.problem
