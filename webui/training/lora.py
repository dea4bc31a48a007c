"""LoRA: learn a small change to many weights instead of the weights themselves (Hu et al. 2021, arXiv 2106.09685).

Each chosen layer W gets two thin ones beside it: W x + alpha / rank * up(down(x)). ``up`` begins at zero, so nothing is changed
at first, and only ``down`` and ``up`` learn. Convolutions get them too (LoCon): ``down`` has the layer's kernel, ``up`` is 1 x 1.
The file is named as kohya-ss's trainer names it, which every program reads.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

UNET, TEXT_ENCODER = "lora_unet", "lora_te"


class Beside(nn.Module):
    """The thin layers beside one layer."""

    def __init__(self, layer: nn.Linear | nn.Conv2d, rank: int, alpha: float) -> None:
        super().__init__()
        if isinstance(layer, nn.Conv2d):
            kernel, stride, padding = (_pair(size) for size in (layer.kernel_size, layer.stride, layer.padding))
            rank = min(rank, layer.in_channels, layer.out_channels)
            self.down: nn.Conv2d | nn.Linear = nn.Conv2d(layer.in_channels, rank, kernel, stride, padding, bias=False)
            self.up: nn.Conv2d | nn.Linear = nn.Conv2d(rank, layer.out_channels, 1, bias=False)
        else:
            rank = min(rank, layer.in_features, layer.out_features)
            self.down = nn.Linear(layer.in_features, rank, bias=False)
            self.up = nn.Linear(rank, layer.out_features, bias=False)
        nn.init.kaiming_uniform_(self.down.weight, a=math.sqrt(5))
        nn.init.zeros_(self.up.weight)
        self.rank, self.alpha = rank, alpha

    def forward(self, x: Tensor) -> Tensor:
        added: Tensor = self.up(self.down(x)) * (self.alpha / self.rank)
        return added


class Lora(nn.Module):
    """Thin layers beside the attention and residual layers of a U-Net, and beside the attention of a text encoder."""

    def __init__(self, unet: nn.Module, text_encoder: nn.Module, rank: int = 16, alpha: float = 16.0) -> None:
        super().__init__()
        self._layers = {
            **{f"{UNET}_{name.replace('.', '_')}": layer for name, layer in _changed(unet)},
            **{f"{TEXT_ENCODER}_{_kohya(name)}": layer for name, layer in _changed(text_encoder)},
        }
        self._beside = {name: Beside(layer, rank, alpha) for name, layer in self._layers.items()}
        self.trained = nn.ModuleDict(self._beside)

    @contextmanager
    def put_on(self) -> Iterator[None]:
        """Inside, the networks answer with the change; their weights are not touched."""
        handles = [
            layer.register_forward_hook(lambda _, inputs, output, beside=self._beside[name]: output + beside(inputs[0]))
            for name, layer in self._layers.items()
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def save(self, path: Path, metadata: Mapping[str, str]) -> None:
        """float16, in kohya's names; "ss_network_dim" and its like are filled in."""
        tensors: dict[str, Tensor] = {}
        for name, beside in self._beside.items():
            tensors[f"{name}.lora_down.weight"] = beside.down.weight.detach().half().contiguous()
            tensors[f"{name}.lora_up.weight"] = beside.up.weight.detach().half().contiguous()
            tensors[f"{name}.alpha"] = torch.tensor(beside.alpha).half()
        ranks = [beside.rank for beside in self._beside.values()]
        own = {
            "ss_network_module": "networks.lora",
            "ss_network_dim": str(max(ranks)),
            "ss_base_model_version": "sd_v1",
        }
        save_file(tensors, path, {**own, **metadata})


def _changed(network: nn.Module) -> Iterator[tuple[str, nn.Linear | nn.Conv2d]]:
    for name, layer in network.named_modules():
        is_attention = isinstance(layer, nn.Linear) and any(
            part in name for part in ("attn", "attention", "ff.net", "mlp.fc")
        )
        is_residual = isinstance(layer, nn.Conv2d) and "resnets" in name
        if is_attention or is_residual:
            yield name, layer  # type: ignore[misc]


def _kohya(name: str) -> str:
    """A layer of the text encoder; newer transformers leave out the "text_model" that the trainers' names have."""
    return f"text_model_{name.removeprefix('text_model.').replace('.', '_')}"


def _pair(size: str | tuple[int, ...]) -> tuple[int, int]:
    if isinstance(size, str):
        raise ValueError(f"convolutions that pad by name ({size}) have no LoRA here")
    down, across = size
    return down, across
