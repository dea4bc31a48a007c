"""What an adapter file holds for one layer of a network, and the change of that layer's weight which it means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Factors:
    """The tensors of one layer under the names that this package gives them ("up", "hada_w1_a" ...).

    ``numbers`` are the scalars among them: "alpha", "scale", "on_input". Tensors keep the precision of the file;
    ``factors["up"]`` is float32.
    """

    tensors: Mapping[str, Tensor]
    numbers: Mapping[str, float]

    def __contains__(self, part: str) -> bool:
        return part in self.tensors or part in self.numbers

    def __getitem__(self, part: str) -> Tensor:
        return self.tensors[part].float()

    def scale(self, rank: int) -> float:
        """α / rank, by which trainers make the strength of a change independent of its rank (arXiv 2106.09685, 4.1).

        A file may state the scale instead; without α it is 1, and so it is with α = 0, which trainers read as "the rank".
        """
        return self.numbers.get("scale", (self.numbers.get("alpha") or rank) / rank)


Delta = Callable[[Tensor, Factors, "int | None"], Tensor]
"""(W in float32, factors, rank to use or None for all) -> ΔW, of W's shape or with its trailing dimensions flattened.

Raises ``ValueError`` or ``RuntimeError`` where the factors do not fit W. Works on torch's meta device too, which is how it is
found out whether they fit before any weight is touched.
"""


@dataclass(frozen=True)
class Flavour:
    """One way of writing ΔW down. A layer is of this flavour when it has all the parts that ``marks`` names."""

    title: str
    marks: tuple[str, ...]
    delta: Delta


@dataclass(frozen=True)
class Layer:
    """One layer of an adapter file. ``name`` is as in the file; ``flavour`` is None for a change of the bias alone."""

    name: str
    flavour: Flavour | None
    factors: Factors

    @property
    def changes(self) -> tuple[str, ...]:
        """Which of the module's parameters it changes: "weight", "bias" or both."""
        has_bias = "bias" in self.factors or "up_bias" in self.factors
        return ("weight",) * (self.flavour is not None) + ("bias",) * has_bias

    def fits(self, parameter: str, shape: torch.Size) -> bool:
        """Whether the change of this "weight" or "bias" can be calculated for the shape that it has.

        Tried on the meta device, where nothing is calculated: a file can claim any shapes, and a small one huge results.
        """
        on_meta = {name: tensor.to("meta") for name, tensor in self.factors.tensors.items()}
        tried = Layer(self.name, self.flavour, Factors(on_meta, self.factors.numbers))
        try:
            change = tried.bias_delta() if parameter == "bias" else tried.delta(torch.empty(shape, device="meta"), None)
        except (RuntimeError, ArithmeticError, ValueError, TypeError, LookupError):  # too few dimensions, rank 0, ...
            return False
        return change.shape == shape

    def delta(self, base: Tensor, rank: int | None) -> Tensor:
        """ΔW for the weight ``base``, in float32 and of its shape. ``rank`` bounds how many rows of low-rank factors are used."""
        assert self.flavour is not None
        base = base.float()
        change = self.flavour.delta(base, self.factors, rank)
        if len(change) != len(base):  # a transposed matrix has the right number of elements too
            raise ValueError("another number of outputs")
        change = change.reshape(base.shape)
        if "dora_scale" in self.factors:
            change = decompose(base, change, self.factors["dora_scale"])
        return change

    def bias_delta(self) -> Tensor:
        """The change of the layer's bias, float32."""
        if "bias" in self.factors:
            return self.factors["bias"].flatten()
        return self.factors["up_bias"].flatten() * self.factors.scale(len(self.factors["down"]))


def decompose(base: Tensor, change: Tensor, magnitude: Tensor) -> Tensor:
    """DoRA (arXiv 2402.09353): the direction of W + ΔW times a magnitude of its own, m · (W + ΔW) / ‖W + ΔW‖, less W.

    One magnitude and norm for each output (PEFT, LyCORIS with ``wd_on_out``), or for each input, as the paper has it and as
    LyCORIS did at first; the shape of ``magnitude``, (out, 1 ...) or (1, in, 1 ...), tells which. A1111 scales the
    difference of this to W by the strength, so that strength 0 is W itself.
    """
    whole = base + change
    per_output = magnitude.ndim == 1 or magnitude.shape[0] == base.shape[0]
    over = [axis for axis in range(base.ndim) if axis != (0 if per_output else 1)]
    shape = [1] * base.ndim
    shape[0 if per_output else 1] = -1
    norm = torch.linalg.vector_norm(whole, dim=over, keepdim=True) + torch.finfo(torch.float32).eps
    decomposed: Tensor = whole * (magnitude.reshape(shape) / norm)
    return decomposed - base
