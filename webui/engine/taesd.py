"""TAESD (Ollin Boer Bohan): a distilled decoder of 1.2 M parameters, for sharp previews of every step."""

from __future__ import annotations

from collections.abc import Collection, Generator

import torch
from diffusers import AutoencoderTiny

from webui.engine.device import Compute
from webui.engine.weights import assemble, open_tensors
from webui.library.model_file import ModelFile


def load_taesd(file: ModelFile, compute: Compute) -> Generator[int, None, torch.nn.Module]:
    """The decoder, latents to pixels in -1 ... 1, of a TAESD file.

    Either ``taesd_decoder.safetensors`` as published, or the weights of diffusers' AutoencoderTiny.
    """
    with torch.device("meta"):
        module: torch.nn.Module = AutoencoderTiny().decoder
    with open_tensors([file.path]) as tensors:
        decoder = yield from assemble(
            module,
            taesd_names(tensors.keys()),
            tensors,
            device=compute.device,
            dtype=compute.vae,
            label=file.path.name,
        )
    return decoder


def taesd_names(present: Collection[str]) -> dict[str, str]:
    """diffusers' decoder names by the names in the file.

    The published file numbers one list whose member 0 is the clamp before the first convolution; diffusers' list
    begins with that convolution.
    """
    names = {}
    for key in present:
        if key.startswith("decoder.layers."):
            names[key.removeprefix("decoder.")] = key
        elif key.split(".", 1)[0].isdigit():
            number, rest = key.split(".", 1)
            names[f"layers.{int(number) - 1}.{rest}"] = key
    return names
