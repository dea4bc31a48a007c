"""The names that OpenCLIP gives the tensors of its text encoder, which Stable Diffusion 2 and SDXL store.

The network is the one that transformers calls ``CLIPTextModel``, a little otherwise cut (mlfoundations/open_clip,
``transformer.py``): query, key and value are one matrix, one below the other, and the projection of the pooled text multiplies
from the right. So a tensor of ours may be a *piece* of a stored one. Pieces have names too:

    transformer.resblocks.0.attn.in_proj_weight[1]   the second third of its rows: the key's matrix
    text_projection.T                                transposed
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

_FUSED = (".attn.in_proj_weight", ".attn.in_proj_bias")
_THIRDS = ("q", "k", "v")
_MODULES = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "self_attn.out_proj": "attn.out_proj",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}
_OTHERS = {
    "embeddings.token_embedding.weight": "token_embedding.weight",
    "embeddings.position_embedding.weight": "positional_embedding",
    "final_layer_norm.weight": "ln_final.weight",
    "final_layer_norm.bias": "ln_final.bias",
    "text_projection.weight": "text_projection.T",
}


def open_clip_name(key: str) -> str:
    """OpenCLIP's name of a parameter, or of the piece that holds it; "" if it has none.

    >>> open_clip_name("encoder.layers.3.self_attn.k_proj.bias")
    'transformer.resblocks.3.attn.in_proj_bias[1]'
    """
    match = re.fullmatch(r"encoder\.layers\.(\d+)\.(.+)\.(weight|bias)", key)
    if match is None:
        return _OTHERS.get(key, "")
    layer, module, part = f"transformer.resblocks.{match[1]}", match[2], match[3]
    if module in _MODULES:
        return f"{layer}.{_MODULES[module]}.{part}"
    third = re.fullmatch(r"self_attn\.([qkv])_proj", module)
    return f"{layer}.attn.in_proj_{part}[{_THIRDS.index(third[1])}]" if third else ""


def pieces(names: Collection[str]) -> Iterator[str]:
    """The pieces that a file with tensors of these names can give."""
    for name in names:
        if name.endswith(_FUSED):
            yield from (f"{name}[{third}]" for third in range(3))
        elif name.endswith("text_projection"):
            yield f"{name}.T"


def stored_name(name: str) -> str:
    """The tensor that a piece is of; any other name is its own.

    >>> stored_name("a.attn.in_proj_weight[1]"), stored_name("text_projection.T"), stored_name("conv.weight")
    ('a.attn.in_proj_weight', 'text_projection', 'conv.weight')
    """
    return name[:-3] if name.endswith("]") else name.removesuffix(".T")
