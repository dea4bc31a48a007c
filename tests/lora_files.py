"""LoRA files made for tests, and the layer names under which trainers write them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from webui.engine.adapters.file import Adapter, read_adapter
from webui.library.model_file import ModelFile


def write_adapter(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None, family: str = "unknown"
) -> ModelFile:
    """Save the tensors, and say what the library would say of the file."""
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, dict(metadata or {}))
    status = path.stat()
    return ModelFile("lora", path.stem, path, status.st_size, status.st_mtime_ns, family)


def read(file: ModelFile) -> Adapter:
    """The adapter in memory, with its reading pulled to the end."""
    reading = read_adapter(file, torch.device("cpu"))
    while True:
        try:
            next(reading)
        except StopIteration as finished:
            return finished.value


def random_tensor(*shape: int, seed: int = 0, size: float = 0.2) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * size


def kohya_lora(
    weights: Mapping[str, tuple[int, ...]], rank: int = 4, alpha: float = 2.0, seed: int = 0
) -> dict[str, Tensor]:
    """A LoRA for layers given by their kohya names and the shapes of their weights."""
    tensors: dict[str, Tensor] = {}
    for number, (layer, (outputs, inputs, *kernel)) in enumerate(weights.items()):
        tensors[f"{layer}.lora_up.weight"] = random_tensor(outputs, rank, *(1 for _ in kernel), seed=seed + 2 * number)
        tensors[f"{layer}.lora_down.weight"] = random_tensor(rank, inputs, *kernel, seed=seed + 2 * number + 1)
        tensors[f"{layer}.alpha"] = torch.tensor(alpha)
    return tensors
