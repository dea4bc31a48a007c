"""The shape of a U-Net, read from the names and shapes of its tensors in the original layout.

Published files do not say how their U-Net is built, but it can be counted (see ``original_layout.py`` for the names). So reduced
ones load without a config (SSD-1B left out transformer layers of SDXL, and half of the middle), and those that see further
channels beside the latents: inpainting, instruct-pix2pix, depth.

What cannot be counted is taken from the family: how many heads share an attention layer's channels (64 each where the family
lists a number for each level) and how timesteps are embedded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any, NamedTuple

from webui.library.formats import TensorInfo

CHANNELS_OF_A_HEAD = 64

Tensors = Mapping[str, TensorInfo]


class _Layer(NamedTuple):
    """A residual layer: how many channels come out, and how many transformer layers follow it."""

    channels: int
    depth: int


def first_layer(tensors: Tensors, prefix: str) -> TensorInfo | None:
    return tensors.get(f"{prefix}input_blocks.0.0.weight")


def counted_config(tensors: Tensors, prefix: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """``config`` (a family's, in diffusers' terms) with what the tensors below ``prefix`` say instead.

    A header that is cut short gives what it has: at least the input channels.
    """
    first = first_layer(tensors, prefix)
    if first is None or len(first.shape) != 4:
        return dict(config)
    counted: dict[str, Any] = {**config, "in_channels": first.shape[1]}
    down, up = _levels(tensors, prefix, "input_blocks", 1), _levels(tensors, prefix, "output_blocks", 0)
    if not down or len(down) != len(up) or not all(down) or not all(up):
        return counted
    widths = [level[0].channels for level in down]
    counted["block_out_channels"] = widths
    counted["layers_per_block"] = _one_if_equal([len(level) for level in down])
    counted["down_block_types"] = [_kind(level, "Down") for level in down]
    counted["up_block_types"] = [_kind(level, "Up") for level in up]
    counted |= _middle(tensors, prefix, down, up)
    if isinstance(config.get("attention_head_dim"), list):
        counted["attention_head_dim"] = [width // CHANNELS_OF_A_HEAD for width in widths]
    if (label := tensors.get(f"{prefix}label_emb.0.0.weight")) is not None:
        counted["projection_class_embeddings_input_dim"] = label.shape[1]
    for key, info in tensors.items():
        if key.startswith(prefix) and key.endswith(".attn2.to_k.weight"):
            counted["cross_attention_dim"] = info.shape[1]
        if key.startswith(prefix) and key.endswith(".1.proj_in.weight"):
            counted["use_linear_projection"] = len(info.shape) == 2
    return counted


def _levels(tensors: Tensors, prefix: str, side: str, start: int) -> list[list[_Layer]]:
    """The residual layers of each level, in the order of the file: an entry that changes the size ends a level."""
    levels: list[list[_Layer]] = [[]]
    for number in count(start):
        entry = f"{prefix}{side}.{number}"
        if f"{entry}.0.op.weight" in tensors:
            levels.append([])
            continue
        out = tensors.get(f"{entry}.0.out_layers.3.weight")
        if out is None:
            break
        levels[-1].append(_Layer(out.shape[0], _depth(tensors, f"{entry}.1")))
        if any(f"{entry}.{member}.conv.weight" in tensors for member in (1, 2)):
            levels.append([])
    return levels


def _depth(tensors: Tensors, module: str) -> int:
    for depth in count():
        if f"{module}.transformer_blocks.{depth}.attn1.to_q.weight" not in tensors:
            return depth
    raise AssertionError("unreachable")


def _kind(level: Sequence[_Layer], way: str) -> str:
    return f"CrossAttn{way}Block2D" if any(layer.depth for layer in level) else f"{way}Block2D"


def _middle(tensors: Tensors, prefix: str, down: list[list[_Layer]], up: list[list[_Layer]]) -> dict[str, Any]:
    """The middle, and how many transformer layers each attention has: the middle's are told as the last level's."""
    depth = _depth(tensors, f"{prefix}middle_block.1")
    depths: list[Any] = [_one_if_equal([layer.depth for layer in level]) or 1 for level in down]
    ways_up: list[Any] = [_one_if_equal([layer.depth for layer in level]) or 1 for level in up]
    if not any(layer.depth for layer in down[-1]):
        depths[-1] = ways_up[0] = depth or 1
    counted: dict[str, Any] = {"mid_block_type": "UNetMidBlock2DCrossAttn" if depth else "UNetMidBlock2D"}
    counted["transformer_layers_per_block"] = depths
    if ways_up != depths[::-1]:
        counted["reverse_transformer_layers_per_block"] = ways_up
    return counted


def _one_if_equal(numbers: list[int]) -> Any:
    return numbers[0] if len(set(numbers)) == 1 else numbers
