"""Orthogonal finetuning: the outputs of a layer are turned, block by block, without changing lengths or angles."""

from __future__ import annotations

import torch
from torch import Tensor

from webui.engine.adapters.layer import Factors


def cayley(blocks: Tensor, limit: float) -> Tensor:
    """Rotations (..., b, b) from any matrices: Q = M - Mᵀ is skew-symmetric, so (I + Q)(I - Q)⁻¹ is orthogonal.

    ``limit`` bounds the norm of all Q together, that is, how far may be turned (constrained OFT); 0 sets no bound.
    """
    skew = blocks - blocks.transpose(-1, -2)
    if limit > 0:
        skew = skew * (limit / (torch.linalg.vector_norm(skew) + 1e-8)).clamp(max=1.0)
    identity = torch.eye(blocks.shape[-1], device=blocks.device)
    inverse: Tensor = torch.linalg.inv(identity - skew)
    return (identity + skew) @ inverse


def orthogonal(base: Tensor, factors: Factors, rank: int | None) -> Tensor:
    """OFT (arXiv 2306.07280) and BOFT (arXiv 2311.06243), as kohya's trainer and LyCORIS store them: ΔW = m · R W - W.

    ``oft_blocks`` are (blocks, b, b), which turn neighbouring outputs, or for BOFT (stages, blocks, b, b): a butterfly whose
    stage i lets outputs meet that lie up to 2ⁱ b apart. Here "alpha" is the bound per output of constrained OFT. m is LyCORIS'
    "rescale", one factor for each output. Old files of LyCORIS hold the rotations themselves, as ``oft_diag``.
    """
    limit = factors.numbers.get("alpha", 0.0) * len(base)
    turns = factors["oft_diag"] if "oft_diag" in factors else cayley(factors["oft_blocks"], limit)
    if turns.shape[-3] * turns.shape[-1] != len(base):
        raise ValueError("another number of outputs")
    turned = _butterfly(turns, base.flatten(1)) if turns.ndim == 4 else _blockwise(turns.mT, base.flatten(1))
    if "rescale" in factors:
        turned = turned * factors["rescale"].reshape(-1, 1)
    return turned.reshape(base.shape) - base


def _blockwise(turns: Tensor, rows: Tensor) -> Tensor:
    """Each block of rows of the matrix turned by its own rotation."""
    return torch.bmm(turns, rows.reshape(len(turns), turns.shape[-1], -1)).reshape(rows.shape)


def _butterfly(stages: Tensor, rows: Tensor) -> Tensor:
    """Between two stages the rows change places, so that each block of the next stage holds rows from two blocks of this."""
    half = stages.shape[-1] // 2
    for number, turns in enumerate(stages):
        step = 2**number * half
        rows = rows.unflatten(0, (-1, 2, step)).transpose(1, 2).reshape(rows.shape)
        rows = _blockwise(turns, rows)
        rows = rows.unflatten(0, (-1, step, 2)).transpose(1, 2).reshape(rows.shape)
    return rows
