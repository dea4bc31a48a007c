"""Layers whose weights are kept in another place or number format than they are computed in.

A weight is brought to where a layer's input is, in the input's precision, just before the layer runs, and dropped just after.
So a U-Net can lie in RAM and compute on a card that holds one of its layers only (sequential offload), and it can be stored
in 8 bits a weight and compute in 16 (float8_e4m3fn: 4 bits of exponent, 3 of fraction; Micikevicius et al. 2022,
arXiv 2209.05433).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

FLOAT8 = torch.float8_e4m3fn
_LARGEST = torch.finfo(FLOAT8).max

# what a U-Net reads and answers with, and what it knows of the timestep: few weights, on which everything depends
_KEPT_WHOLE = ("conv_in", "conv_out", "time_embedding", "add_embedding")


def lend_every_layer(network: nn.Module, device: torch.device) -> None:
    """The parameters stay where they are, and visit the device layer by layer. Buffers, which are small, move there."""
    for layer in network.modules():
        if next(layer.parameters(recurse=False), None) is not None:
            _lend(layer)
    for layer in network.modules():
        for name, buffer in layer.named_buffers(recurse=False):
            setattr(layer, name, buffer.to(device))


def store_in_8_bits(unet: nn.Module) -> None:
    """Round the weights of linear layers and convolutions; norms, biases and the first and last layers stay as they are."""
    for name, layer in unet.named_modules():
        if isinstance(layer, nn.Linear | nn.Conv2d) and not name.startswith(_KEPT_WHOLE):
            layer.weight = nn.Parameter(rounded(layer.weight.data), requires_grad=False)
            _lend(layer)


def rounded(weight: Tensor) -> Tensor:
    """In float8; what is beyond its range becomes the largest number, where torch would make it none at all."""
    return weight.clamp(-_LARGEST, _LARGEST).to(FLOAT8)


def _lend(layer: nn.Module) -> None:
    lender = _Lender()
    layer.register_forward_pre_hook(lender.bring, with_kwargs=True, prepend=True)
    layer.register_forward_hook(lender.drop, always_call=True)


class _Lender:
    """The two hooks of one layer."""

    def __init__(self) -> None:
        self._own: dict[str, nn.Parameter] = {}

    def bring(self, layer: nn.Module, inputs: tuple[Any, ...], named: Mapping[str, Any]) -> None:
        state = next(value for value in (*inputs, *named.values()) if isinstance(value, Tensor))
        for name, own in list(layer.named_parameters(recurse=False)):
            dtype = state.dtype if state.is_floating_point() else own.dtype
            if own.device != state.device or own.dtype != dtype:
                self._own[name] = own
                setattr(layer, name, nn.Parameter(own.data.to(state.device, dtype), requires_grad=False))

    def drop(self, layer: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        for name, own in self._own.items():
            setattr(layer, name, own)
        self._own.clear()
