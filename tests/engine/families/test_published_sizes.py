"""The families at their published sizes, without weights: built on torch's meta device, named as in the published files."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from model_headers import write_model
from tiny_families import PREFIXES, open_clip_tensors
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from webui.engine.families import FAMILIES
from webui.library.configs import family_configs
from webui.library.describe import describe
from webui.library.model_file import ModelFile
from webui.library.original_layout import names_in_file, original_names
from webui.library.scan import Found
from webui.training.single_file import to_original

# as their publishers count them (OpenCLIP ViT-H without its last layer)
PARAMETERS = {
    ("sd1", "unet"): 859_520_964,
    ("sd2", "unet"): 865_910_724,
    ("sdxl", "unet"): 2_567_463_684,
    ("sd1", "vae"): 83_653_863,
    ("sd1", "text_encoder"): 123_060_480,
    ("sd2", "text_encoder"): 340_387_840,
    ("sdxl", "text_encoder_2"): 694_659_840,
}
SSD_1B: dict[str, Any] = {  # segmind/SSD-1B: transformer layers taken out of SDXL, and half of the middle
    "mid_block_type": "UNetMidBlock2D",
    "transformer_layers_per_block": [1, [2, 2], [4, 4]],
    "reverse_transformer_layers_per_block": [[4, 4, 10], [2, 1, 1], 1],
}
BUILD = {
    "unet": UNet2DConditionModel.from_config,
    "vae": AutoencoderKL.from_config,
    "text_encoder": lambda config: CLIPTextModel(CLIPTextConfig(**config)),
    "text_encoder_2": lambda config: CLIPTextModelWithProjection(CLIPTextConfig(**config)),
}


@cache
def network(family: str, component: str) -> Any:
    with torch.device("meta"):
        return BUILD[component](family_configs(family)[component])


def header_of(family: str, unet: Any = None) -> dict[str, tuple[int, ...]]:
    state = (unet or network(family, "unet")).state_dict()
    tensors = to_original(state, network(family, "vae").state_dict(), {})
    for component in ("text_encoder", "text_encoder_2"):
        if component in family_configs(family):
            parameters = network(family, component).state_dict()
            bare = {key.removeprefix("text_model."): value for key, value in parameters.items()}
            prefix = PREFIXES[family, component]
            stored = open_clip_tensors(bare) if prefix.endswith(".model.") else bare
            tensors |= {prefix + name: tensor for name, tensor in stored.items()}
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def described(path: Path, shapes: dict[str, tuple[int, ...]], **metadata: str) -> ModelFile:
    write_model(path, shapes, {name.replace("_", ".", 1): value for name, value in metadata.items()})
    status = path.stat()
    return describe(Found("checkpoint", path.parent, path.name, path, (status.st_mtime_ns, status.st_size)))


def heads_of(unet: Any) -> list[int]:
    return [module.heads for module in unet.modules() if hasattr(module, "heads")]


@pytest.mark.parametrize(("family", "component"), PARAMETERS)
def test_as_many_parameters_as_published(family: str, component: str) -> None:
    assert network(family, component).num_parameters() == PARAMETERS[family, component]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_file_is_known_and_has_all_that_is_wanted(family: str, tmp_path: Path) -> None:
    shapes = header_of(family)
    file = described(tmp_path / "file.safetensors", shapes)
    assert (file.problem, file.family) == ("", family)
    for component in file.configs:
        if component != "scheduler":
            wanted = network(family, component).state_dict()
            assert set(names_in_file(component, wanted, shapes)) == set(wanted), component
    with torch.device("meta"):
        counted = UNet2DConditionModel.from_config(file.configs["unet"])
    shapes_of = {name: tensor.shape for name, tensor in counted.state_dict().items()}
    assert shapes_of == {name: tensor.shape for name, tensor in network(family, "unet").state_dict().items()}
    assert heads_of(counted) == heads_of(network(family, "unet"))


NATIVE = {
    "sd1": ("sd1", {}, 512),
    "sd2 unknown": ("sd2", {}, 768),
    "sd2 by its metadata": ("sd2", {"modelspec_resolution": "512x512"}, 512),
    "sd2 that predicts noise": ("sd2", {"modelspec_prediction_type": "epsilon"}, 512),
    "sdxl": ("sdxl", {}, 1024),
    "refiner": ("sdxl-refiner", {}, 1024),
}


@pytest.mark.parametrize(("family", "metadata", "side"), NATIVE.values(), ids=NATIVE)
def test_the_size_that_it_was_trained_at(family: str, metadata: dict[str, str], side: int, tmp_path: Path) -> None:
    file = described(tmp_path / "file.safetensors", header_of(family), **metadata)
    assert (file.native_size, file.suggested["width"]) == (side, side)


def test_a_reduced_unet_is_counted(tmp_path: Path) -> None:
    with torch.device("meta"):
        reduced = UNet2DConditionModel.from_config({**family_configs("sdxl")["unet"], **SSD_1B})
    names = original_names("unet", reduced.state_dict())
    assert "middle_block.1.transformer_blocks.0.attn1.to_q.weight" not in names.values()
    file = described(tmp_path / "ssd.safetensors", header_of("sdxl", reduced))
    assert (file.family, file.problem) == ("sdxl", "")
    with torch.device("meta"):
        counted = UNet2DConditionModel.from_config(file.configs["unet"])
    assert list(counted.state_dict()) == list(reduced.state_dict())


@pytest.mark.parametrize(("family", "channels"), [("sd1", 9), ("sd1", 8), ("sd2", 9), ("sd2", 5), ("sdxl", 9)])
def test_what_it_sees_beside_the_latents_is_counted(family: str, channels: int, tmp_path: Path) -> None:
    shapes = header_of(family)
    shapes["model.diffusion_model.input_blocks.0.0.weight"] = (320, channels, 3, 3)
    file = described(tmp_path / "file.safetensors", shapes)
    assert (file.problem, file.configs["unet"]["in_channels"]) == ("", channels)
    assert file.prediction_type == "epsilon"
