"""What the tensors of an adapter file are called, and which layer of which network each belongs to.

A name is ``layer + part``. Trainers write layers in several ways: with the dots of the module's path or with underscores
(kohya), in diffusers' names or in those of the original checkpoints, with one of many words before it that say which
network is meant. All are brought to one form, underscores only, and looked up among the layers that the networks have. For
the parts there is one table.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from webui.library.original_layout import original_names

# how a tensor's name ends -> what this package calls the part
PARTS: Mapping[str, str] = {
    # kohya, LyCORIS
    ".lora_up.weight": "up",
    ".lora_down.weight": "down",
    ".lora_mid.weight": "mid",
    ".lora_up.bias": "up_bias",
    ".alpha": "alpha",
    ".scale": "scale",
    ".dora_scale": "dora_scale",
    ".diff": "diff",
    ".diff_b": "bias",
    ".w_norm": "diff",
    ".b_norm": "bias",
    **{f".hada_{part}": f"hada_{part}" for part in ("w1_a", "w1_b", "w2_a", "w2_b", "t1", "t2")},
    **{f".lokr_{part}": f"lokr_{part}" for part in ("w1", "w1_a", "w1_b", "w2", "w2_a", "w2_b", "t2")},
    **{f".{part}.weight": part for part in ("a1", "a2", "b1", "b2")},
    ".oft_blocks": "oft_blocks",
    ".oft_diag": "oft_diag",
    ".rescale": "rescale",
    ".weight": "weight",
    ".on_input": "on_input",
    # PEFT, and diffusers with it
    ".lora_B.weight": "up",
    ".lora_A.weight": "down",
    ".lora_B.default.weight": "up",
    ".lora_A.default.weight": "down",
    ".lora_B.bias": "up_bias",
    ".lora_magnitude_vector": "magnitude",
    ".lora_magnitude_vector.weight": "magnitude",
    ".lora_magnitude_vector.default.weight": "magnitude",
    # diffusers before it
    ".lora.up.weight": "up",
    ".lora.down.weight": "down",
    "_lora.up.weight": "up",
    "_lora.down.weight": "down",
    ".lora_linear_layer.up.weight": "up",
    ".lora_linear_layer.down.weight": "down",
}

# what stands before a layer's name, all in underscores, and the network that it means
PREFIXES: tuple[tuple[str, str], ...] = (
    ("lora_unet_", "unet"),
    ("unet_", "unet"),
    ("base_model_model_unet_", "unet"),
    ("model_diffusion_model_", "unet"),
    ("diffusion_model_", "unet"),
    ("lora_te_", "text_encoder"),
    ("lora_te1_", "text_encoder"),
    ("text_encoder_", "text_encoder"),
    ("base_model_model_text_encoder_", "text_encoder"),
    ("text_encoders_clip_l_transformer_", "text_encoder"),
    ("clip_l_transformer_", "text_encoder"),
    ("clip_l_", "text_encoder"),
    ("cond_stage_model_transformer_", "text_encoder"),
    ("te1_", "text_encoder"),
    ("te_", "text_encoder"),
    # SDXL's second one
    ("lora_te2_", "text_encoder_2"),
    ("text_encoder_2_", "text_encoder_2"),
    ("base_model_model_text_encoder_2_", "text_encoder_2"),
    ("text_encoders_clip_g_transformer_", "text_encoder_2"),
    ("clip_g_transformer_", "text_encoder_2"),
    ("clip_g_", "text_encoder_2"),
    ("te2_", "text_encoder_2"),
    *((word, network) for word in ("lycoris_", "base_model_model_", "transformer_", "") for network in ("unet", "text_encoder")),
)  # fmt: skip

_ENDINGS = re.compile(f"(.+?)({'|'.join(re.escape(ending) for ending in sorted(PARTS, key=len, reverse=True))})")
_OLD_TEXT_NAMES = {"q": "q_proj", "k": "k_proj", "v": "v_proj", "out": "out_proj"}


class Place(NamedTuple):
    """A module of a checkpoint: ``network`` is "unet", "text_encoder" or "text_encoder_2", ``module`` its path there."""

    network: str
    module: str


def split_name(name: str) -> tuple[str, str] | None:
    """Layer and part of a tensor's name; None where no known part ends it.

    >>> split_name("lora_unet_mid_block_attentions_0_proj_in.lora_down.weight")
    ('lora_unet_mid_block_attentions_0_proj_in', 'down')
    >>> split_name("unet.up_blocks.1.attentions.0.transformer_blocks.0.attn1.processor.to_q_lora.up.weight")
    ('unet.up_blocks.1.attentions.0.transformer_blocks.0.attn1.processor.to_q', 'up')
    """
    match = _ENDINGS.fullmatch(name)
    return (match[1], PARTS[match[2]]) if match else None


def places(networks: Mapping[str, Collection[str]]) -> dict[tuple[str, str], Place]:
    """(network, layer name in underscores) -> place, by all names of each layer. Given are the networks' parameter names."""
    found: dict[tuple[str, str], Place] = {}
    for network, parameters in networks.items():
        for ours, original in original_names("unet" if network == "unet" else "text_encoder", parameters).items():
            for name in (ours, original) if network == "unet" else (original, f"text_model.{original}"):
                found[network, _flat(_module(name))] = Place(network, _module(ours))
    return found


def find_place(layer: str, known: Mapping[tuple[str, str], Place]) -> Place | None:
    """The module that a layer of an adapter file means, if the networks have it."""
    flat = _modern(_flat(layer))
    for prefix, network in PREFIXES:
        if flat.startswith(prefix) and (place := known.get((network, flat[len(prefix) :]))):
            return place
    return None


def grouped(layers: Iterable[str], limit: int = 3) -> str:
    """Layer names that begin alike as one, so that a user can read them.

    >>> grouped(["lora_te2_text_layers_0_fc1", "lora_te2_text_layers_1_fc1", "lora_unet_extra"])
    'lora_te2_text_layers_... (2), lora_unet_extra'
    """
    groups: dict[str, list[str]] = {}
    for layer in layers:
        start = re.match(r"(?:lora_te\d_|text_encoder_\d\.)?\D*", layer)
        groups.setdefault(start[0] if start else layer, []).append(layer)
    shown = [members[0] if len(members) == 1 else f"{start}... ({len(members)})" for start, members in groups.items()]
    return ", ".join(shown[:limit]) + (f" and {len(shown) - limit} more" if len(shown) > limit else "")


def _module(parameter: str) -> str:
    return parameter.rpartition(".")[0]


def _flat(name: str) -> str:
    return name.replace(".", "_")


def _modern(flat: str) -> str:
    """Names of diffusers' first LoRA files, whose layers were those of an "attention processor"."""
    flat = flat.replace("_processor_", "_")
    flat = re.sub(r"(_attn[12]_to_out)$", r"\1_0", flat)
    return re.sub(r"(_self_attn_)to_(q|k|v|out)$", lambda match: match[1] + _OLD_TEXT_NAMES[match[2]], flat)
