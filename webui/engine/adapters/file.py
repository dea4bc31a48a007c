"""Read an adapter file: its tensors sorted by layer, its flavours recognised."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from webui.engine.adapters import FLAVOURS
from webui.engine.adapters.layer import Factors, Layer
from webui.engine.adapters.names import split_name
from webui.engine.weights import open_tensors
from webui.errors import IncompatibleModel, UnreadableModel
from webui.library.formats import parse_json, read_header
from webui.library.model_file import ModelFile

NUMBERS = ("alpha", "scale", "on_input")
ADAPTER_METADATA = "lora_adapter_metadata"  # where diffusers keeps PEFT's configuration


@dataclass(frozen=True, eq=False)
class Adapter:
    """An adapter file in memory. ``unknown`` are tensors whose names mean nothing to us; ``size`` is in bytes."""

    file: ModelFile
    layers: tuple[Layer, ...]
    unknown: tuple[str, ...]
    size: int


def read_adapter(file: ModelFile, device: torch.device) -> Generator[int, None, Adapter]:
    """Yield the bytes of each tensor as it is read; return the adapter with its tensors on ``device``, in the file's precision.

    Raises ``UnreadableModel`` where a layer lacks one of its factors or holds what is no number, and ``IncompatibleModel``
    where nothing in the file is a layer.
    """
    parts: dict[str, dict[str, str]] = {}
    unknown: list[str] = []
    header = read_header(file.path)
    for name in header.tensors:
        split = split_name(name)
        if split is None:
            unknown.append(name)
        else:
            parts.setdefault(split[0], {})[split[1]] = name
    configuration = _configuration(header.metadata, file)
    layers = []
    with open_tensors((file.path,)) as stored:
        for layer, names in parts.items():
            if not names.keys() - {"weight"} - set(NUMBERS) and "on_input" not in names:
                unknown += names.values()
                continue
            tensors: dict[str, Tensor] = {}
            numbers: dict[str, float] = {}
            for part, name in names.items():
                tensor = stored.get(name)
                if not torch.isfinite(tensor.float()).all():
                    raise UnreadableModel(f'{file.path.name}: "{name}" holds values that are not numbers.')
                if part in NUMBERS:
                    if tensor.numel() != 1:
                        raise UnreadableModel(f'{file.path.name}: "{name}" should be a single number.')
                    numbers[part] = float(tensor)
                elif (
                    part == "magnitude"
                ):  # (out,), for convolutions (1, out, 1, 1), which would read as one for each input
                    tensors["dora_scale"] = tensor.flatten().to(device, copy=True)
                else:
                    tensors[part] = tensor.to(device, copy=True)
                yield tensor.numel() * tensor.element_size()
            if "alpha" not in numbers and "down" in tensors:
                numbers |= _stated_scale(configuration, layer, len(tensors["down"]))
            layers.append(_layer(file, layer, Factors(tensors, numbers)))
    if not layers:
        raise IncompatibleModel(f"{file.path.name} holds no layer of a LoRA or one of its kin that Lucid knows.")
    size = sum(tensor.numel() * tensor.element_size() for layer in layers for tensor in layer.factors.tensors.values())
    return Adapter(file, tuple(layers), tuple(unknown), size)


def _layer(file: ModelFile, name: str, factors: Factors) -> Layer:
    flavour = next((each for each in FLAVOURS if all(mark in factors for mark in each.marks)), None)
    if flavour is None and "bias" not in factors:
        present = ", ".join(f'"{part}"' for part in sorted({*factors.tensors, *factors.numbers}))
        raise UnreadableModel(
            f'{file.path.name}: the layer "{name}" has only {present}, which is not enough. The file is incomplete, or of '
            "a kind that Lucid does not know."
        )
    return Layer(name, flavour, factors)


def _configuration(metadata: Mapping[str, str], file: ModelFile) -> Mapping[str, Any]:
    stated = metadata.get(ADAPTER_METADATA)
    return parse_json(stated, f"{ADAPTER_METADATA} of {file.path.name}") if stated else {}


def _stated_scale(configuration: Mapping[str, Any], layer: str, rank: int) -> dict[str, float]:
    """α from PEFT's configuration, with its exceptions for single layers; with rank-stabilised LoRA (arXiv 2312.03732) α/√r."""
    network, _, module = layer.partition(".")
    alpha = configuration.get(f"{network}.lora_alpha")
    for pattern, exception in (configuration.get(f"{network}.alpha_pattern") or {}).items():
        if module == pattern or module.endswith(f".{pattern}"):
            alpha = exception
    if not isinstance(alpha, (int, float)):
        return {}
    return {"scale": alpha / rank**0.5 if configuration.get(f"{network}.use_rslora") is True else alpha / rank}
