"""Hypernetworks: before an attention layer makes keys and values of a state x, it becomes x + strength · f(x).

There is an f for the keys and one for the values of each width of state: 768 for what the text says (cross-attention), 320, 640
and 1280 for the picture's own (self-attention). f is a few linear layers with an activation between, as A1111's web UI trains
them. Which layer is what is told by the tensors' shapes: dropout only leaves a gap in the numbers, so it need not be known.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

from webui.engine.stored_tensors import open_addition
from webui.errors import IncompatibleModel, UnreadableModel
from webui.library.hypernetworks import TENSOR, hypernetwork_facts, hypernetwork_problem
from webui.library.model_file import ModelFile

# A1111's names; its "swish" is not the function of that name (silu) but the piecewise one
ACTIVATIONS: Mapping[str, type[nn.Module]] = {
    "linear": nn.Identity,
    "relu": nn.ReLU,
    "leakyrelu": nn.LeakyReLU,
    "elu": nn.ELU,
    "swish": nn.Hardswish,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "celu": nn.CELU,
    "gelu": nn.GELU,
    "hardshrink": nn.Hardshrink,
    "hardsigmoid": nn.Hardsigmoid,
    "hardswish": nn.Hardswish,
    "hardtanh": nn.Hardtanh,
    "logsigmoid": nn.LogSigmoid,
    "mish": nn.Mish,
    "prelu": nn.PReLU,
    "relu6": nn.ReLU6,
    "rrelu": nn.RReLU,
    "selu": nn.SELU,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "softshrink": nn.Softshrink,
    "softsign": nn.Softsign,
    "tanhshrink": nn.Tanhshrink,
}

KEYS, VALUES = 0, 1


@dataclass(frozen=True)
class Hypernetwork:
    """``networks``: width -> f for the keys and f for the values, float32."""

    networks: Mapping[int, tuple[nn.Module, nn.Module]]

    @property
    def size(self) -> int:
        return sum(
            parameter.nbytes
            for pair in self.networks.values()
            for network in pair
            for parameter in network.parameters()
        )


def read_hypernetwork(file: ModelFile, device: torch.device) -> Generator[int, None, Hypernetwork]:
    """Yields the bytes of each tensor as it is read. Layers that do not follow one another raise ``UnreadableModel``."""
    label = file.path.name
    places: dict[tuple[int, int], dict[int, dict[str, Tensor]]] = {}
    with open_addition(file.path) as (header, tensors):
        if problem := hypernetwork_problem(header, label):
            raise IncompatibleModel(problem)
        facts = hypernetwork_facts(header)
        for name in header.tensors:
            match = TENSOR.fullmatch(name)
            if match is None:
                raise UnreadableModel(f"{label} has a tensor {name!a}, which no hypernetwork has.")
            stored = tensors.get(name)
            side = places.setdefault((int(match["width"]), int(match["side"])), {})
            side.setdefault(int(match["place"]), {})[match["part"]] = stored.to(device, torch.float32, copy=True)
            yield stored.nbytes
    built = {
        (width, side): _network(width, layers, facts["activation"], facts["activate_output"], label)
        for (width, side), layers in places.items()
    }
    widths = {width for width, _ in built}
    if any((width, side) not in built for width in widths for side in (KEYS, VALUES)):
        raise UnreadableModel(f"{label} lacks the network for keys or for values; download it again.")
    return Hypernetwork({width: (built[width, KEYS], built[width, VALUES]) for width in sorted(widths)})


@contextmanager
def hypernetworks_on(unet: nn.Module, uses: Sequence[tuple[Hypernetwork, float]]) -> Iterator[None]:
    """Inside, every attention layer of the U-Net reads its keys and values through the hypernetworks, in this order.

    The layers' own weights are not touched, so afterwards nothing has changed.
    """
    effective = [(hypernetwork.networks, strength) for hypernetwork, strength in uses if strength != 0]
    with ExitStack() as stack:
        for layer in unet.modules() if effective else ():
            if isinstance(layer, Attention):
                for projection, side in ((layer.to_k, KEYS), (layer.to_v, VALUES)):
                    handle = projection.register_forward_pre_hook(_Through(effective, side))
                    stack.callback(handle.remove)
        yield


def changes_nothing(hypernetwork: Hypernetwork, unet: nn.Module) -> bool:
    """No attention layer of the U-Net has a width that the hypernetwork was trained for."""
    widths = {layer.to_k.in_features for layer in unet.modules() if isinstance(layer, Attention)}
    return not widths & hypernetwork.networks.keys()


class _Through:
    """A forward pre-hook: the state goes through each hypernetwork before the projection."""

    def __init__(self, uses: Sequence[tuple[Mapping[int, tuple[nn.Module, nn.Module]], float]], side: int) -> None:
        self._uses = uses
        self._side = side

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Any, ...]:
        state, *others = inputs
        width, dtype = state.shape[-1], state.dtype
        for networks, strength in self._uses:
            if width in networks:
                state = state.float()
                state = state + networks[width][self._side](state) * strength
        return (state.to(dtype), *others)


def _network(
    width: int, layers: Mapping[int, Mapping[str, Tensor]], activation: str, activate_output: bool, label: str
) -> nn.Module:
    """The layers in the order of their numbers: after each linear one the activation, then perhaps a layer norm."""
    modules: list[nn.Module] = []
    linear = [place for place in sorted(layers) if layers[place].get("weight", torch.empty(0)).ndim == 2]
    now = width
    for place in sorted(layers):
        weight, bias = layers[place].get("weight"), layers[place].get("bias")
        if weight is not None and bias is not None and weight.ndim == 2 and weight.shape == (len(bias), now):
            now = len(bias)
            modules.append(_with(nn.Linear(weight.shape[1], len(bias), device="meta"), weight, bias))
            if place != linear[-1] or activate_output:
                modules.append(ACTIVATIONS[activation]())
        elif weight is not None and bias is not None and weight.shape == bias.shape == (now,):
            modules.append(_with(nn.LayerNorm(now, device="meta"), weight, bias))
        elif weight is not None and bias is None and modules and isinstance(modules[-1], nn.PReLU):
            modules[-1] = _with(nn.PReLU(weight.numel(), device="meta"), weight)
        else:
            raise UnreadableModel(f"{label}: layer {place} for width {width} does not follow on the one before it.")
    if now != width or not linear:
        raise UnreadableModel(f"{label}: the network for width {width} ends with another width, {now}.")
    return nn.Sequential(*modules).to(layers[linear[0]]["weight"].device).requires_grad_(False).eval()


def _with(layer: nn.Module, weight: Tensor, bias: Tensor | None = None) -> nn.Module:
    layer.load_state_dict({"weight": weight} if bias is None else {"weight": weight, "bias": bias}, assign=True)
    return layer
