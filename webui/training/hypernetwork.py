"""Train a hypernetwork: what cross-attention reads becomes x + f(x), with one small f for the keys and one for the values.

See :mod:`webui.engine.hypernetworks`, which runs them. The file is that of A1111's trainer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

from webui.engine.hypernetworks import Hypernetwork, hypernetworks_on

STRUCTURE = (1, 2, 1)  # widths of the layers, as multiples of the state's


class HypernetworkTraining(nn.Module):
    """Linear layers without activation, A1111's default, which begin as next to nothing."""

    def __init__(self, unet: nn.Module, structure: Sequence[int] = STRUCTURE) -> None:
        super().__init__()
        self._unet = [unet]  # not a part of it
        layers = [layer for layer in unet.modules() if isinstance(layer, Attention)]
        widths = sorted({layer.to_k.in_features for layer in layers})
        self.structure = tuple(structure)
        self._networks = {width: (self._network(width), self._network(width)) for width in widths}
        self.trained = nn.ModuleList([network for pair in self._networks.values() for network in pair])

    def _network(self, width: int) -> nn.Sequential:
        sizes = [round(width * multiple) for multiple in self.structure]
        network = nn.Sequential(*[nn.Linear(a, b) for a, b in pairwise(sizes)])
        for layer in network:
            nn.init.normal_(layer.weight, std=0.01)  # type: ignore[arg-type]
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        return network

    @contextmanager
    def put_on(self) -> Iterator[None]:
        with hypernetworks_on(self._unet[0], [(Hypernetwork(self._networks), 1.0)]):
            yield

    def save(self, path: Path, name: str, steps: int) -> None:
        """A ``.pt`` of plain tensors, numbers and words."""
        stored: dict[Any, Any] = {
            width: (_layers(keys), _layers(values)) for width, (keys, values) in self._networks.items()
        }
        stored |= {
            "step": steps,
            "name": name,
            "layer_structure": list(self.structure),
            "activation_func": "linear",
            "is_layer_norm": False,
            "weight_initialization": "Normal",
            "use_dropout": False,
            "activate_output": False,
            "last_layer_dropout": False,
            "sd_checkpoint": None,
            "sd_checkpoint_name": None,
        }
        torch.save(stored, path)


def _layers(network: nn.Sequential) -> dict[str, Tensor]:
    return {f"linear.{name}": tensor.detach().clone() for name, tensor in network.named_parameters()}
