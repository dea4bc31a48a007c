"""Write a checkpoint as one ``.safetensors`` file in the original ("CompVis") layout, which every program reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from webui.library.configs import CONFIGS_KEY, DEFAULTS_KEY, public_config
from webui.library.original_layout import TEXT_ENCODER_PREFIX, UNET_PREFIX, VAE_PREFIX, original_names

_DTYPES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}


def to_original(
    unet: Mapping[str, Tensor], vae: Mapping[str, Tensor], text_encoder: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The three state dicts under their original names, in one dict; the tensors themselves are not copied.

    A tensor that has no place in the original layout raises ``IncompatibleModel``.
    """
    tensors: dict[str, Tensor] = {}
    for key, name in original_names("unet", unet).items():
        tensors[UNET_PREFIX + name] = unet[key]
    for key, name in original_names("vae", vae).items():
        tensor = vae[key]
        if ".mid.attn_1." in name and tensor.ndim == 2:
            tensor = tensor[:, :, None, None]  # linear (out, in) -> 1 x 1 convolution (out, in, 1, 1)
        tensors[VAE_PREFIX + name] = tensor
    for key, name in original_names("text_encoder", text_encoder).items():
        tensors[TEXT_ENCODER_PREFIX + name] = text_encoder[key]
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
    metadata[CONFIGS_KEY] = json.dumps({name: public_config(config) for name, config in configs.items()})
    if defaults:
        metadata[DEFAULTS_KEY] = json.dumps(dict(defaults))

    temporary = path.with_name(f".{path.name}.part")
    try:
        _write_safetensors(temporary, tensors, metadata)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


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
