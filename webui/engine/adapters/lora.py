"""Low-rank changes, and the simplest ones: LoRA, LoCon, GLoRA, IA3, and whole differences."""

from __future__ import annotations

import torch
from torch import Tensor

from webui.engine.adapters.layer import Factors


def up_and_down(factors: Factors, rank: int | None) -> tuple[Tensor, Tensor, float]:
    """The matrices (out, r) and (r, in · kernel) of a LoRA and the scale of their product.

    ``rank``, A1111's "dyn", keeps the first rows; for files trained so that these matter most (DyLoRA, arXiv 2210.07558).
    The scale stays that of the whole file.
    """
    up, down = factors["up"].flatten(1), factors["down"].flatten(1)
    return up[:, :rank], down[:rank], factors.scale(len(down))


def low_rank(base: Tensor, factors: Factors, rank: int | None) -> Tensor:
    """LoRA (arXiv 2106.09685): ΔW = α/r · B A, with B "up" (out, r) and A "down" (r, in).

    On a convolution (LoCon, LyCORIS, arXiv 2309.14859) A is a convolution with the layer's kernel and B one of 1 x 1. With "mid", a
    CP (Tucker-2) decomposition, A is 1 x 1 as well and the kernel stands between: Σ mid[m, n, ...] B[i, m] A[n, j].
    """
    if "mid" not in factors:
        up, down, scale = up_and_down(factors, rank)
        return (up @ down) * scale
    down = factors["down"].flatten(1)
    change = torch.einsum("mn...,im,nj->ij...", factors["mid"], factors["up"].flatten(1), down)
    return change * factors.scale(len(down))


def generalized(base: Tensor, factors: Factors, rank: int | None) -> Tensor:
    """GLoRA (arXiv 2306.07967): ΔW = α/r · (W A + B), both of low rank: A = a1 a2 acts on the inputs, B = b1 b2 adds.

    The first releases of LyCORIS had the factors the other way round: A = a2 a1, B = b2 b1.
    """
    a1, a2, b1, b2 = (factors[part].flatten(1) for part in ("a1", "a2", "b1", "b2"))
    if a1.shape[0] < a1.shape[1]:  # as it is in files of that time: (r, in)
        a1, a2, b1, b2 = a2, a1, b2, b1
    moved = torch.einsum("oi...,ir,rj->oj...", base, a1, a2)
    return (moved + (b1 @ b2).reshape(base.shape)) * factors.scale(len(a2))


def scaled_activations(base: Tensor, factors: Factors, rank: int | None) -> Tensor:
    """IA3 (arXiv 2205.05638): every input or output of the layer is multiplied by 1 + w, so ΔW = W · w along that axis."""
    axis = 1 if factors.numbers["on_input"] else 0
    weight = factors["weight"].flatten()
    if len(weight) != base.shape[axis]:
        raise ValueError("another number of channels")
    return base * weight.reshape([-1 if each == axis else 1 for each in range(base.ndim)])


def difference(base: Tensor, factors: Factors, rank: int | None) -> Tensor:
    """ΔW itself: LyCORIS "full", what is left between two checkpoints, and the weights of normalisation layers."""
    return factors["diff"]
