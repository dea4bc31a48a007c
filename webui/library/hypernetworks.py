"""Hypernetworks: small networks that change what cross-attention's keys and values are made of.

NovelAI invented them, A1111's web UI trains them. A file holds for each width of text or picture states (768, 320, 640, 1280)
two networks, for the keys (0) and the values (1): "768.0.linear.0.weight". What the numbers in "linear" are depends on the
options that were trained with, which stand beside the tensors.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any

from webui.library.formats import Header

# A1111's names, which are those of torch's modules in lower case and the first seven of its own
ACTIVATIONS = (
    "linear", "relu", "leakyrelu", "elu", "swish", "tanh", "sigmoid",
    "celu", "gelu", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "logsigmoid", "mish", "prelu", "relu6", "rrelu",
    "selu", "silu", "softplus", "softshrink", "softsign", "tanhshrink",
)  # fmt: skip
ACROSS_PICTURES = ("softmax", "softmin", "softmax2d", "logsoftmax")  # A1111 lets them run over the batch
TENSOR = re.compile(
    r"(?P<width>\d{1,6})\.(?P<side>[01])\.linear(?:\.|(?=[12]\.))(?P<place>\d{1,4})\.(?P<part>weight|bias)"
)

_FAMILY_BY_WIDTH = {768: "sd1", 1024: "sd2", 2048: "sdxl"}


def is_hypernetwork(names: Collection[str]) -> bool:
    return bool(names) and all(TENSOR.fullmatch(name) for name in names)


def hypernetwork_family(names: Collection[str]) -> str:
    families = (_FAMILY_BY_WIDTH.get(int(name.split(".", 1)[0])) for name in names)
    return next((family for family in families if family is not None), "unknown")


def hypernetwork_facts(header: Header) -> dict[str, Any]:
    """What ``ModelFile.configs["hypernetwork"]`` says. A file that holds only tensors was trained without activation."""
    return {
        "widths": sorted({int(name.split(".", 1)[0]) for name in header.tensors}),
        "activation": (header.metadata.get("activation_func") or "linear").lower(),
        "activate_output": _option(header, "activate_output", True) is not False,
        "layer_structure": _option(header, "layer_structure", [1, 2, 1]),
        "step": _option(header, "step", 0),
    }


def hypernetwork_problem(header: Header, label: str) -> str:
    """Why it cannot be used; "" if it can."""
    activation = hypernetwork_facts(header)["activation"]
    if activation in ACTIVATIONS:
        return ""
    if activation in ACROSS_PICTURES:
        return (
            f'{label} cannot be used: its activation "{activation}" mixes the pictures of a batch with one another, '
            "so that none could be drawn again alone."
        )
    return f"{label} cannot be used: it has the activation {activation[:40]!a}, which Lucid does not know."


def _option(header: Header, name: str, default: Any) -> Any:
    """What the file says of an option, if that is of the same type as the default."""
    try:
        value = json.loads(header.metadata[name])
    except (KeyError, ValueError, RecursionError):
        return default
    is_list = isinstance(value, list) and len(value) < 100 and all(isinstance(part, int | float) for part in value)
    return value if type(value) is type(default) and (is_list or not isinstance(value, list)) else default
