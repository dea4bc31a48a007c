"""Write a model in the original ("CompVis") layout: one ``.safetensors`` file that every Stable Diffusion program reads.

The same three networks go by two sets of tensor names. In memory they are diffusers' modules (``down_blocks.1.resnets.0``
...). The published checkpoints still use the names of the code that trained Stable Diffusion 1 (CompVis/latent-diffusion,
``ldm/modules/diffusionmodules/openaimodel.py`` and ``model.py``), each network below a prefix:

    model.diffusion_model.                       the U-Net, which predicts the noise
    first_stage_model.                           the autoencoder (VAE), pictures <-> latents
    cond_stage_model.transformer.text_model.     the CLIP text encoder

**The U-Net** in the original is two flat lists with a middle, where diffusers nests layers in resolution levels:

    input_blocks.0                 the first convolution
    input_blocks.1 ... n           on the way down, level after level: its residual layers, each with its attention (if it
                                   has one) as second member; then, on every level but the last, the downsampling
    middle_block.0 .1 .2           residual layer, attention, residual layer
    output_blocks.0 ... n          on the way up: the residual layers, one more per level than on the way down, because
                                   each takes up the output of one entry of ``input_blocks`` (the skip connections, and
                                   the downsampling has one too); the upsampling is the last member of a level's last entry

Numbers are counted from the tensors themselves, so any number of levels and layers, with or without attention, will do.
**The autoencoder** keeps its levels but counts the decoder's from the finest (``up.0`` is full resolution), and its one
attention uses 1 x 1 convolutions where diffusers has linear layers. **The text encoder** keeps all its names.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from webui.errors import IncompatibleModel

UNET_PREFIX = "model.diffusion_model."
VAE_PREFIX = "first_stage_model."
TEXT_ENCODER_PREFIX = "cond_stage_model.transformer.text_model."

# inside a residual layer: diffusers -> original
_UNET_RESNET = {
    "norm1": "in_layers.0",  # in_layers.1 is the SiLU between, which has no tensors
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",  # after SiLU and dropout
    "conv_shortcut": "skip_connection",
}
_VAE_RESNET = {"norm1": "norm1", "conv1": "conv1", "norm2": "norm2", "conv2": "conv2", "conv_shortcut": "nin_shortcut"}
_VAE_ATTENTION = {
    "group_norm": "norm",
    "to_q": "q",
    "to_k": "k",
    "to_v": "v",
    "to_out.0": "proj_out",
    # what diffusers called them until 0.15
    "query": "q",
    "key": "k",
    "value": "v",
    "proj_attn": "proj_out",
}

_DTYPES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}


def unet_modules(keys: Collection[str]) -> Iterator[tuple[str, str]]:
    """Pairs (diffusers module, original module) of the U-Net that has these diffusers tensor names."""
    yield "time_embedding.linear_1", "time_embed.0"
    yield "time_embedding.linear_2", "time_embed.2"
    yield "add_embedding.linear_1", "label_emb.0.0"  # SDXL: picture sizes and the pooled text
    yield "add_embedding.linear_2", "label_emb.0.2"

    yield "conv_in", "input_blocks.0.0"
    number = 1
    for level in range(_count(keys, "down_blocks")):
        block = f"down_blocks.{level}"
        for layer in range(_count(keys, f"{block}.resnets")):
            yield from _below(f"{block}.resnets.{layer}", f"input_blocks.{number}.0", _UNET_RESNET)
            yield f"{block}.attentions.{layer}", f"input_blocks.{number}.1"
            number += 1
        if _count(keys, f"{block}.downsamplers"):
            yield f"{block}.downsamplers.0.conv", f"input_blocks.{number}.0.op"
            number += 1

    yield from _below("mid_block.resnets.0", "middle_block.0", _UNET_RESNET)
    yield "mid_block.attentions.0", "middle_block.1"
    yield from _below("mid_block.resnets.1", "middle_block.2", _UNET_RESNET)

    number = 0
    for level in range(_count(keys, "up_blocks")):
        block = f"up_blocks.{level}"
        has_attention = _count(keys, f"{block}.attentions") > 0
        for layer in range(_count(keys, f"{block}.resnets")):
            yield from _below(f"{block}.resnets.{layer}", f"output_blocks.{number}.0", _UNET_RESNET)
            yield f"{block}.attentions.{layer}", f"output_blocks.{number}.1"
            number += 1
        yield f"{block}.upsamplers.0.conv", f"output_blocks.{number - 1}.{2 if has_attention else 1}.conv"

    yield "conv_norm_out", "out.0"
    yield "conv_out", "out.2"


def vae_modules(keys: Collection[str]) -> Iterator[tuple[str, str]]:
    """Pairs (diffusers module, original module) of the autoencoder that has these diffusers tensor names."""
    yield "quant_conv", "quant_conv"
    yield "post_quant_conv", "post_quant_conv"
    for half in ("encoder", "decoder"):
        yield f"{half}.conv_in", f"{half}.conv_in"
        yield from _below(f"{half}.mid_block.resnets.0", f"{half}.mid.block_1", _VAE_RESNET)
        yield from _below(f"{half}.mid_block.attentions.0", f"{half}.mid.attn_1", _VAE_ATTENTION)
        yield from _below(f"{half}.mid_block.resnets.1", f"{half}.mid.block_2", _VAE_RESNET)
        yield f"{half}.conv_norm_out", f"{half}.norm_out"
        yield f"{half}.conv_out", f"{half}.conv_out"

    for level in range(_count(keys, "encoder.down_blocks")):
        block, original = f"encoder.down_blocks.{level}", f"encoder.down.{level}"
        for layer in range(_count(keys, f"{block}.resnets")):
            yield from _below(f"{block}.resnets.{layer}", f"{original}.block.{layer}", _VAE_RESNET)
        yield f"{block}.downsamplers.0.conv", f"{original}.downsample.conv"

    levels = _count(keys, "decoder.up_blocks")
    for level in range(levels):
        block, original = f"decoder.up_blocks.{level}", f"decoder.up.{levels - 1 - level}"
        for layer in range(_count(keys, f"{block}.resnets")):
            yield from _below(f"{block}.resnets.{layer}", f"{original}.block.{layer}", _VAE_RESNET)
        yield f"{block}.upsamplers.0.conv", f"{original}.upsample.conv"


def to_original(
    unet: Mapping[str, Tensor], vae: Mapping[str, Tensor], text_encoder: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The three state dicts under their original names, in one dict; the tensors themselves are not copied.

    A tensor that has no place in the original layout raises ``IncompatibleModel``.
    """
    tensors: dict[str, Tensor] = {}
    for key, name in _renamed(unet, dict(unet_modules(unet)), "U-Net").items():
        tensors[UNET_PREFIX + name] = unet[key]
    for key, name in _renamed(vae, dict(vae_modules(vae)), "VAE").items():
        tensor = vae[key]
        if ".mid.attn_1." in name and tensor.ndim == 2:
            tensor = tensor[:, :, None, None]  # linear (out, in) -> 1 x 1 convolution (out, in, 1, 1)
        tensors[VAE_PREFIX + name] = tensor
    for key, tensor in text_encoder.items():  # transformers wrapped the network in "text_model." until 5.6
        tensors[TEXT_ENCODER_PREFIX + key.removeprefix("text_model.")] = tensor
    return tensors


def export_single_file(
    path: Path,
    *,
    unet: Mapping[str, Tensor],
    vae: Mapping[str, Tensor],
    text_encoder: Mapping[str, Tensor],
    configs: Mapping[str, Mapping[str, Any]],
    defaults: Mapping[str, Any] | None = None,
    modelspec: Mapping[str, str] | None = None,
    dtype: torch.dtype = torch.float16,
) -> None:
    """Write a checkpoint at ``path``, first under a temporary name, so that no half-written file can be found there.

    ``configs`` holds the configs of "unet", "vae", "text_encoder" and "scheduler". They go into the metadata
    ("lucid.configs"), so that networks of any size load without a guess. ``defaults`` ("lucid.defaults") are the
    generation parameters that suit the model, by their names in ``GenerationRequest``. ``modelspec`` are rows of the Stability AI
    model metadata standard, without their "modelspec." (title, author, license, description ...). A v-predicting model gets
    the empty tensor ``v_pred`` as well, by which other programs know it.
    """
    tensors = {name: tensor.to(dtype) for name, tensor in to_original(unet, vae, text_encoder).items()}
    predicts_v = configs["scheduler"].get("prediction_type") == "v_prediction"
    if predicts_v:
        tensors["v_pred"] = torch.empty(0, dtype=dtype)
    if configs["scheduler"].get("rescale_betas_zero_snr"):
        tensors["ztsnr"] = torch.empty(0, dtype=dtype)

    side = int(configs["unet"]["sample_size"]) * 2 ** (len(configs["vae"]["block_out_channels"]) - 1)
    spec = {
        "sai_model_spec": "1.0.0",
        "architecture": "stable-diffusion-v1",
        "implementation": "https://github.com/CompVis/stable-diffusion",
        "title": path.stem,
        "prediction_type": "v" if predicts_v else "epsilon",
        "resolution": f"{side}x{side}",
        **(modelspec or {}),
    }
    metadata = {"format": "pt"}  # transformers refuses files without it
    metadata |= {f"modelspec.{name}": value for name, value in spec.items()}
    metadata["lucid.configs"] = json.dumps({name: public_config(config) for name, config in configs.items()})
    if defaults:
        metadata["lucid.defaults"] = json.dumps(dict(defaults))

    temporary = path.with_name(f".{path.name}.part")
    try:
        _write_safetensors(temporary, tensors, metadata)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def public_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config without what only says which program wrote it."""
    private = {"architectures", "dtype", "torch_dtype", "transformers_version"}
    return {key: value for key, value in config.items() if not key.startswith("_") and key not in private}


def _write_safetensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """The format: 8 bytes length of the header, the header in JSON, then the tensors' bytes one behind the other.

    The library's own writer shuffles the metadata; the same model shall give the same bytes and so the same hash.
    """
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    offset = 0
    for name, tensor in sorted(tensors.items()):
        end = offset + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": _DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # tensors start on a multiple of 8 bytes
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for _, tensor in sorted(tensors.items()):
            file.write(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)


def _count(keys: Collection[str], prefix: str) -> int:
    """How many numbered members follow ``prefix``: 2 for "a.0.x", "a.1.x"."""
    start = f"{prefix}."
    return 1 + max((int(key[len(start) :].split(".", 1)[0]) for key in keys if key.startswith(start)), default=-1)


def _below(module: str, original: str, members: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for member, original_member in members.items():
        yield f"{module}.{member}", f"{original}.{original_member}"


def _renamed(keys: Collection[str], modules: Mapping[str, str], network: str) -> dict[str, str]:
    """Each key with the name of the module that holds it exchanged."""
    names = {}
    for key in keys:
        parts = key.split(".")
        for end in range(len(parts) - 1, 0, -1):
            module = ".".join(parts[:end])
            if module in modules:
                names[key] = ".".join((modules[module], *parts[end:]))
                break
        else:
            raise IncompatibleModel(
                f'The {network} tensor "{key}" has no place in the original checkpoint layout, so it cannot be exported.'
            )
    return names
