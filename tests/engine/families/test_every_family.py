"""Each family as its files are published: every weight arrives, and a picture comes out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tiny_families import CONFIGS, family_components, write_family

from webui.domain.request import GenerationRequest
from webui.engine.device import Hardware, choose_compute
from webui.engine.drawn import Drawn
from webui.engine.families import FAMILIES
from webui.engine.generate import Options, generate_batch
from webui.engine.model_manager import ModelManager, Selection
from webui.library.index import Library

CPU = choose_compute("cpu", "auto", Hardware())


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    folder = tmp_path_factory.mktemp("families")
    for family in FAMILIES:
        write_family(folder / f"{family}.safetensors", family)
    library = Library({"checkpoint": (folder,)}, folder / "hashes.sqlite3")
    library.rescan()
    return library


@pytest.fixture(scope="module")
def models() -> ModelManager:
    return ModelManager(CPU, budget=2**33)


@pytest.mark.parametrize(
    ("answer", "metadata", "prediction"),
    [
        (-5.0, {}, "v_prediction"),  # at the last step v is minus the picture, of which x holds nothing
        (0.5, {}, "epsilon"),
        (-5.0, {"modelspec.prediction_type": "epsilon"}, "epsilon"),
    ],
)
def test_what_stable_diffusion_2_predicts_is_measured_where_it_is_not_said(
    models: ModelManager, tmp_path: Path, answer: float, metadata: dict[str, str], prediction: str
) -> None:
    path = write_family(tmp_path / "v.safetensors", "sd2", metadata=metadata)
    tensors, stated = load_file(path), safe_open(path, "pt").metadata()
    tensors["model.diffusion_model.out.2.bias"] = torch.full((4,), answer)
    save_file(tensors, path, stated)
    library = Library({"checkpoint": (tmp_path,)}, tmp_path / "hashes.sqlite3")
    library.rescan()
    selection = Selection(library.find("checkpoint", "v"))
    list(models.load(selection))
    with models.use(selection) as model:
        assert model.checkpoint.scheduler_config["prediction_type"] == prediction


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_marker_keys_say_v_prediction_and_noise_to_the_end(tmp_path: Path, family: str) -> None:
    write_family(tmp_path / "v.safetensors", family, marks=("v_pred", "ztsnr"))
    library = Library({"checkpoint": (tmp_path,)}, tmp_path / "hashes.sqlite3")
    library.rescan()
    file = library.find("checkpoint", "v")
    assert file.prediction_type == "v_prediction"
    assert file.configs["scheduler"]["rescale_betas_zero_snr"] is True


def test_no_family_is_left_out() -> None:
    assert set(FAMILIES) == set(CONFIGS)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_weight_arrives(models: ModelManager, library: Library, family: str) -> None:
    file = library.find("checkpoint", family)
    assert (file.family, file.problem) == (family, "")
    list(models.load(Selection(file)))
    expected = family_components(family)
    with models.use(Selection(file)) as model:
        checkpoint = model.checkpoint
        loaded = {"unet": checkpoint.unet, "vae": checkpoint.vae, **checkpoint.text_encoders}
    assert set(loaded) == set(expected)
    for name, network in loaded.items():
        actual = network.state_dict()
        for key, tensor in expected[name].state_dict().items():
            assert torch.equal(actual[key], tensor), (name, key)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_picture_is_drawn(models: ModelManager, library: Library, family: str) -> None:
    request = GenerationRequest(
        prompt="a (red:1.3) fox " * 30, negative_prompt="blue", seed=1, steps=2, width=64, height=72, emphasis="No norm"
    )
    selection = Selection(library.find("checkpoint", family))

    def drawn(**changes: object) -> bytes:
        events = generate_batch(replace(request, **changes), 0, models, selection, Options())
        (picture,) = (event.image for event in events if isinstance(event, Drawn))
        assert picture.size == (64, 72)
        return picture.tobytes()

    first = drawn()
    assert drawn() == first
    assert drawn(prompt="a cat") != first
    assert drawn(negative_prompt="") != first
