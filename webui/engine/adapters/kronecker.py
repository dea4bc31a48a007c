"""LyCORIS's products (arXiv 2309.14859, section 3): more rank from as many numbers as a LoRA has."""

from __future__ import annotations

import torch
from torch import Tensor

from webui.engine.adapters.layer import Factors


def hadamard(base: Tensor, factors: Factors, rank: int | None) -> Tensor:
    """LoHa (FedPara, arXiv 2108.06098): ΔW = α/r · (a1 b1) ⊙ (a2 b2), of rank up to r² with twice the numbers of a LoRA.

    With the cores t1 and t2 each half is a CP decomposition, and a is stored as (r, out).
    """
    halves = []
    for number in ("1", "2"):
        a, b = factors[f"hada_w{number}_a"], factors[f"hada_w{number}_b"]
        core = f"hada_t{number}"
        halves.append(_with_core(factors[core], a, b) if core in factors else a.flatten(1) @ b.flatten(1))
    return halves[0] * halves[1] * factors.scale(len(factors["hada_w1_b"]))


def kronecker(base: Tensor, factors: Factors, rank: int | None) -> Tensor:
    """LoKr (arXiv 2212.10650): ΔW = α/r · w1 ⊗ w2, where either may be a product of low rank or, for w2, a CP decomposition.

    Where both are whole there is no rank, and α means nothing.
    """
    ranks = [len(factors[part]) for part in ("lokr_w2_b", "lokr_w1_b") if part in factors]
    w1 = factors["lokr_w1"] if "lokr_w1" in factors else factors["lokr_w1_a"] @ factors["lokr_w1_b"]
    if "lokr_w2" in factors:
        w2 = factors["lokr_w2"]
    elif "lokr_t2" in factors:
        w2 = _with_core(factors["lokr_t2"], factors["lokr_w2_a"], factors["lokr_w2_b"])
    else:
        w2 = factors["lokr_w2_a"].flatten(1) @ factors["lokr_w2_b"].flatten(1)
    kernel = base.shape[2:]
    w2 = w2.reshape(len(w2), -1, *kernel).contiguous()  # torch.kron refuses other layouts
    change = torch.kron(w1.reshape(*w1.shape, *(1 for _ in kernel)), w2)
    return change * factors.scale(ranks[0]) if ranks else change * factors.numbers.get("scale", 1.0)


def _with_core(core: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return torch.einsum("mn...,mi,nj->ij...", core, a, b)
