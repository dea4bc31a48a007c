"""OpenCLIP's text transformer, written out of torch's own parts, with its parameter names: the reference for what is read.

Residual attention blocks with the norm first, a causal mask, GELU; ``in_proj_weight`` is ``torch.nn.MultiheadAttention``'s.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Block(nn.Module):
    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.mlp = nn.ModuleDict({"c_fc": nn.Linear(width, inner), "c_proj": nn.Linear(inner, width)})

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        normed = self.ln_1(x)
        x = x + self.attn(normed, normed, normed, need_weights=False, attn_mask=mask)[0]
        return x + self.mlp["c_proj"](nn.functional.gelu(self.mlp["c_fc"](self.ln_2(x))))


class TextTransformer(nn.Module):
    def __init__(self, width: int, heads: int, inner: int, layers: int, projection: int) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(49408, width)
        self.positional_embedding = nn.Parameter(torch.empty(77, width))
        self.transformer = nn.ModuleDict(
            {"resblocks": nn.ModuleList(Block(width, heads, inner) for _ in range(layers))}
        )
        self.ln_final = nn.LayerNorm(width)
        self.text_projection = nn.Parameter(torch.zeros(width, projection))
        self.logit_scale = nn.Parameter(torch.tensor(0.0))

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The states of the last layer but one as they are and through the final norm, and the pooled text."""
        mask = torch.full((77, 77), float("-inf")).triu(1)
        x = self.token_embedding(ids) + self.positional_embedding
        *first, last = self.transformer["resblocks"]
        for block in first:
            x = block(x, mask)
        pooled = self.ln_final(last(x, mask))[torch.arange(len(ids)), ids.argmax(-1)]
        return x, self.ln_final(x), pooled @ self.text_projection
