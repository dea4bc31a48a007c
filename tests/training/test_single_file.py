"""The mapping is held to two judges: diffusers' own converters, and names that are known from published files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders.single_file_utils import (
    convert_ldm_clip_checkpoint,
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
)
from safetensors import safe_open
from safetensors.torch import load_file
from tiny import TINY_CONFIGS, tiny_components, write_tiny_checkpoint
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel

from webui.errors import IncompatibleModel
from webui.library.configs import family_configs
from webui.library.original_layout import names_in_file
from webui.training.single_file import TEXT_ENCODER_PREFIX, UNET_PREFIX, VAE_PREFIX, export_single_file, to_original

PLAIN, ATTENTION = "DownBlock2D", "CrossAttnDownBlock2D"
UNETS = {
    "one level": ([ATTENTION], 1),
    "three layers a level": ([ATTENTION, PLAIN], 3),
    "attention in the middle levels": ([PLAIN, ATTENTION, ATTENTION, PLAIN], 2),
    "no attention on the way": ([PLAIN, PLAIN], 1),
    "SDXL's": ([PLAIN, ATTENTION, ATTENTION], 2),
}


def random_unet(down: list[str], layers: int, **more: Any) -> UNet2DConditionModel:
    up = [name.replace("Down", "Up") for name in reversed(down)]
    widths = [8, 16, 16, 32][: len(down)]
    return UNet2DConditionModel(
        sample_size=8, block_out_channels=widths, down_block_types=down, up_block_types=up, layers_per_block=layers,
        cross_attention_dim=8, attention_head_dim=2, norm_num_groups=4, **more,
    )  # fmt: skip


def random_vae(levels: int, layers: int) -> AutoencoderKL:
    widths = [4, 8, 8, 16][:levels]
    return AutoencoderKL(
        block_out_channels=widths, layers_per_block=layers, norm_num_groups=2, sample_size=16,
        down_block_types=["DownEncoderBlock2D"] * levels, up_block_types=["UpDecoderBlock2D"] * levels,
    )  # fmt: skip


def assert_same(converted: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert set(converted) == set(expected)
    for name, tensor in expected.items():
        assert converted[name].dtype == tensor.dtype
        assert torch.equal(converted[name], tensor), name


@pytest.mark.parametrize(("down", "layers"), UNETS.values(), ids=UNETS)
def test_diffusers_converts_any_unet_back(down: list[str], layers: int) -> None:
    unet = random_unet(down, layers)
    original = to_original(unet.state_dict(), {}, {})
    assert_same(convert_ldm_unet_checkpoint(original, dict(unet.config)), unet.state_dict())


def test_diffusers_converts_sdxls_embeddings_back() -> None:
    more = {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 4,
        "projection_class_embeddings_input_dim": 32,
    }
    unet = random_unet([PLAIN, ATTENTION], 2, use_linear_projection=True, transformer_layers_per_block=[1, 2], **more)
    original = to_original(unet.state_dict(), {}, {})
    assert_same(convert_ldm_unet_checkpoint(original, dict(unet.config)), unet.state_dict())


@pytest.mark.parametrize("levels", [1, 2, 4])
@pytest.mark.parametrize("layers", [1, 3])
def test_diffusers_converts_any_vae_back(levels: int, layers: int) -> None:
    vae = random_vae(levels, layers)
    original = to_original({}, vae.state_dict(), {})
    assert original[f"{VAE_PREFIX}decoder.mid.attn_1.q.weight"].ndim == 4, "1 x 1 convolutions, as published"
    assert_same(convert_ldm_vae_checkpoint(original, dict(vae.config)), vae.state_dict())


def test_the_text_encoder_keeps_its_names() -> None:
    state = tiny_components()["text_encoder"].state_dict()
    original = to_original({}, {}, state)
    wrapped = to_original({}, {}, {f"text_model.{name}": tensor for name, tensor in state.items()})
    assert original.keys() == wrapped.keys()
    converted = {
        name.removeprefix("text_model."): tensor for name, tensor in convert_ldm_clip_checkpoint(original).items()
    }
    assert_same(converted, state)


def test_stable_diffusion_1_has_the_published_names_and_shapes() -> None:
    configs = family_configs("sd1")
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(configs["unet"])
        vae = AutoencoderKL.from_config(configs["vae"])
        text_encoder = CLIPTextModel(CLIPTextConfig(**configs["text_encoder"]))
    tensors = to_original(unet.state_dict(), vae.state_dict(), text_encoder.state_dict())
    counts = {
        prefix: sum(name.startswith(prefix) for name in tensors)
        for prefix in (UNET_PREFIX, VAE_PREFIX, TEXT_ENCODER_PREFIX)
    }
    assert counts == {UNET_PREFIX: 686, VAE_PREFIX: 248, TEXT_ENCODER_PREFIX: 196}  # v1-5-pruned's, less position_ids
    published = {
        f"{UNET_PREFIX}time_embed.2.weight": (1280, 1280),
        f"{UNET_PREFIX}input_blocks.0.0.weight": (320, 4, 3, 3),
        f"{UNET_PREFIX}input_blocks.3.0.op.weight": (320, 320, 3, 3),
        f"{UNET_PREFIX}input_blocks.4.0.skip_connection.weight": (640, 320, 1, 1),
        f"{UNET_PREFIX}input_blocks.8.1.transformer_blocks.0.attn2.to_k.weight": (1280, 768),
        f"{UNET_PREFIX}input_blocks.11.0.out_layers.3.weight": (1280, 1280, 3, 3),
        f"{UNET_PREFIX}middle_block.1.proj_in.weight": (1280, 1280, 1, 1),
        f"{UNET_PREFIX}output_blocks.2.1.conv.weight": (1280, 1280, 3, 3),
        f"{UNET_PREFIX}output_blocks.5.2.conv.weight": (1280, 1280, 3, 3),
        f"{UNET_PREFIX}output_blocks.8.2.conv.weight": (640, 640, 3, 3),
        f"{UNET_PREFIX}output_blocks.11.0.skip_connection.weight": (320, 640, 1, 1),
        f"{UNET_PREFIX}output_blocks.11.1.transformer_blocks.0.ff.net.0.proj.weight": (2560, 320),
        f"{UNET_PREFIX}out.2.weight": (4, 320, 3, 3),
        f"{VAE_PREFIX}encoder.down.2.downsample.conv.weight": (512, 512, 3, 3),
        f"{VAE_PREFIX}encoder.mid.attn_1.proj_out.weight": (512, 512, 1, 1),
        f"{VAE_PREFIX}decoder.up.0.block.0.nin_shortcut.weight": (128, 256, 1, 1),
        f"{VAE_PREFIX}decoder.up.3.upsample.conv.weight": (512, 512, 3, 3),
        f"{VAE_PREFIX}post_quant_conv.weight": (4, 4, 1, 1),
        f"{TEXT_ENCODER_PREFIX}embeddings.position_embedding.weight": (77, 768),
        f"{TEXT_ENCODER_PREFIX}encoder.layers.11.mlp.fc1.weight": (3072, 768),
        f"{TEXT_ENCODER_PREFIX}final_layer_norm.bias": (768,),
    }
    assert {name: tuple(tensors[name].shape) for name in published} == published


def test_a_tensor_without_a_place_is_refused() -> None:
    with pytest.raises(IncompatibleModel, match=r'U-Net tensor "motion_modules\.0\.weight"'):
        to_original({"motion_modules.0.weight": torch.zeros(1)}, {}, {})


@pytest.mark.parametrize("prefix", ["", "first_stage_model.", "vae."])
def test_names_are_found_again_under_any_prefix(prefix: str) -> None:
    vae = random_vae(2, 1).state_dict()
    original = [prefix + name.removeprefix(VAE_PREFIX) for name in to_original({}, vae, {})]
    assert set(names_in_file("vae", list(vae), original).values()) == set(original)
    assert set(names_in_file("vae", list(vae), [prefix + name for name in vae])) == set(vae)


def test_the_starter_is_whole(starter: Path) -> None:
    """Every tensor of the file has its place in the networks that its own configs describe, and none is missing."""
    tensors = load_file(starter)
    with safe_open(starter, "pt") as file:
        configs = json.loads(file.metadata()["lucid.configs"])
    assert tensors.pop("v_pred").shape == (0,)
    unet = UNet2DConditionModel.from_config(configs["unet"])
    vae = AutoencoderKL.from_config(configs["vae"])
    text_encoder = CLIPTextModel(CLIPTextConfig(**configs["text_encoder"]))
    unet.load_state_dict(convert_ldm_unet_checkpoint(dict(tensors), configs["unet"]))
    vae.load_state_dict(convert_ldm_vae_checkpoint(dict(tensors), configs["vae"]))
    text = convert_ldm_clip_checkpoint(dict(tensors))
    text_encoder.load_state_dict({name.removeprefix("text_model."): tensor for name, tensor in text.items()})
    assert sum(len(network.state_dict()) for network in (unet, vae, text_encoder)) == len(tensors)


class TestExport:
    def test_values_and_metadata(self, tmp_path: Path) -> None:
        path = write_tiny_checkpoint(
            tmp_path / "tiny.safetensors", prediction_type="v_prediction", rescale_betas_zero_snr=True
        )
        tensors = load_file(path)
        assert tensors.pop("v_pred").shape == tensors.pop("ztsnr").shape == (0,)
        expected = {name: network.state_dict() for name, network in tiny_components().items()}
        assert_same(tensors, to_original(**expected))
        with safe_open(path, "pt") as file:
            metadata = file.metadata()
        assert json.loads(metadata["lucid.configs"])["unet"] == TINY_CONFIGS["unet"]
        assert metadata["modelspec.prediction_type"] == "v"
        assert metadata["modelspec.resolution"] == "64x64"
        assert metadata["modelspec.title"] == "tiny"

    def test_an_epsilon_model_has_no_mark(self, tmp_path: Path) -> None:
        path = write_tiny_checkpoint(tmp_path / "tiny.safetensors")
        assert "v_pred" not in load_file(path)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
    def test_the_same_model_gives_the_same_bytes(self, tmp_path: Path, dtype: torch.dtype) -> None:
        states = {name: network.state_dict() for name, network in tiny_components().items()}
        for name in ("a", "b"):
            spec = {"title": "same", "license": "CC0-1.0"}
            export_single_file(
                tmp_path / name, **states, configs=TINY_CONFIGS, defaults={"steps": 3}, modelspec=spec, dtype=dtype
            )
        assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
        assert {tensor.dtype for tensor in load_file(tmp_path / "a").values()} == {dtype}

    def test_a_failed_export_leaves_the_old_file(self, tmp_path: Path) -> None:
        path = tmp_path / "model.safetensors"
        path.write_bytes(b"old")
        states = {name: network.state_dict() for name, network in tiny_components().items()}
        with pytest.raises(KeyError):  # a dtype that we do not write
            export_single_file(path, **states, configs=TINY_CONFIGS, dtype=torch.complex64)
        assert path.read_bytes() == b"old"
        assert list(tmp_path.iterdir()) == [path]
