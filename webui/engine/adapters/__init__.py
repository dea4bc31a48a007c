"""LoRA and its kin: small files that change the weights of a checkpoint. A new flavour is a function and a row here.

Each of them says, for some layers of the U-Net and of the text encoder, by which ΔW the layer's weight W is to change:

    W' = W + Σ strength · ΔW(W)        over all adapters of the request

ΔW is always calculated from the checkpoint's own W, so the order of the adapters does not matter, and strength 0 changes nothing.
"""

from collections.abc import Sequence

from webui.engine.adapters.kronecker import hadamard, kronecker
from webui.engine.adapters.layer import Flavour
from webui.engine.adapters.lora import difference, generalized, low_rank, scaled_activations
from webui.engine.adapters.rotation import orthogonal

LOW_RANK = Flavour("LoRA", ("up", "down"), low_rank)

FLAVOURS: Sequence[Flavour] = (
    LOW_RANK,
    Flavour("LoHa", ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"), hadamard),
    *(Flavour("LoKr", (*w1, *w2), kronecker) for w1 in (("lokr_w1",), ("lokr_w1_a", "lokr_w1_b"))
      for w2 in (("lokr_w2",), ("lokr_w2_a", "lokr_w2_b"))),
    Flavour("GLoRA", ("a1", "a2", "b1", "b2"), generalized),
    Flavour("OFT", ("oft_blocks",), orthogonal),
    Flavour("OFT", ("oft_diag",), orthogonal),
    Flavour("IA3", ("weight", "on_input"), scaled_activations),
    Flavour("full", ("diff",), difference),
)  # fmt: skip
