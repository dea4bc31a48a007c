"""Pictures that repeat without a seam: every convolution sees the opposite edge beyond an edge.

Put on for one job and taken off after it. A1111 does both directions at once ("Tiling"); here each has its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


@contextmanager
def seamless(networks: list[nn.Module], across: bool, down: bool) -> Iterator[None]:
    """Within the ``with`` the networks wrap around left and right (``across``), top and bottom (``down``).

    A convolution of diffusers that pads by hand (the VAE encoder's, where it halves the size) keeps its zeros, as in A1111.
    """
    layers = [layer for network in networks for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    padded = [layer for layer in layers if across or down if layer.padding != (0, 0)]
    try:
        for layer in padded:
            # torch's Conv2d calls this with its input, weight and bias; the instance's own goes before the class's
            layer._conv_forward = partial(_wrapped, layer, across, down)  # type: ignore[method-assign]
        yield
    finally:
        for layer in padded:
            vars(layer).pop("_conv_forward", None)


def _wrapped(layer: Any, across: bool, down: bool, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    high, wide = layer.padding
    x = functional.pad(x, (wide, wide, 0, 0), mode="circular" if across else "constant")
    x = functional.pad(x, (0, 0, high, high), mode="circular" if down else "constant")
    return torch.conv2d(x, weight, bias, layer.stride, 0, layer.dilation, layer.groups)
