"""Put LoRAs and their kin on the weights of a checkpoint, and take them off again to the last bit.

What a weight carries is never subtracted again, which would leave rounding behind: the weight is read anew from the checkpoint's
file, from which it came. That takes no memory, and the file is mapped by the operating system, so it takes no longer than
copying a backup does. The factors of a LoRA stay in memory, not its ΔW: a matrix product of rank 32 runs at the speed of memory,
and ΔW is as large as the U-Net.

Each weight is written on its own, and what it carries is noted on its own. So whoever stops in the middle leaves nothing
unknown behind, and the next ``change`` does the difference.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from webui.engine.adapters import LOW_RANK
from webui.engine.adapters.file import Adapter
from webui.engine.adapters.layer import Layer
from webui.engine.adapters.lora import up_and_down
from webui.engine.adapters.names import Place, find_place, grouped, places
from webui.engine.families.base import Checkpoint
from webui.engine.lending import FLOAT8, rounded
from webui.engine.weights import open_tensors, read_piece
from webui.errors import IncompatibleModel, InvalidRequest, UnreadableModel
from webui.library.formats import component_files
from webui.library.identify import FAMILY_TITLES
from webui.library.model_file import ModelFile
from webui.library.original_layout import names_in_file

Mark = tuple[str, int, int, str, float, int]
"""What a term is known by: the adapter file (path, time, size), its layer, strength, rank (-1 for all)."""


@dataclass(frozen=True)
class Applied:
    """An adapter with its strengths. ``rank`` bounds the rank of LoRA layers (A1111's "dyn"); None uses all of it."""

    adapter: Adapter
    text_encoder: float = 1.0
    unet: float = 1.0
    rank: int | None = None


@dataclass(frozen=True)
class Weight:
    """One parameter of the checkpoint."""

    network: str
    name: str


@dataclass(frozen=True)
class Term:
    """strength · ΔW of one layer of one adapter."""

    layer: Layer
    strength: float
    rank: int | None
    mark: Mark


Fitted = tuple[tuple[Layer, Place], ...]


class Patches:
    """What the text encoders and the U-Net of one checkpoint carry."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self._networks: dict[str, torch.nn.Module] = {
            "unet": checkpoint.unet,
            **checkpoint.text_encoders,
        }
        self._parameters = {
            Weight(network, name): parameter.shape
            for network, module in self._networks.items()
            for name, parameter in module.named_parameters()
        }
        self._places = places({name: module.state_dict() for name, module in self._networks.items()})
        self._fitted: WeakKeyDictionary[Adapter, tuple[Fitted, str]] = WeakKeyDictionary()
        # marks of the terms in each weight that is not as in the file; None while it is being written
        self._carried: dict[Weight, tuple[Mark, ...] | None] = {}

    def carry(self, wanted: Sequence[Applied]) -> bool:
        """Whether the weights carry exactly this."""
        return self._carried == {weight: _marks(terms) for weight, terms in self._plan(wanted).items()}

    def remarks(self, wanted: Sequence[Applied]) -> list[str]:
        """A sentence for each adapter of which something was left out."""
        return [remark for applied in wanted if (remark := self._fit(applied.adapter)[1])]

    def change(self, wanted: Sequence[Applied]) -> Iterator[float]:
        """Make the weights carry exactly this; yields how far it is, 0 ... 1.

        The sum is formed in float32 in an order that does not depend on that of ``wanted``, then rounded once.

        Raises ``IncompatibleModel`` before anything is changed where an adapter does not fit, and ``UnreadableModel`` where
        the checkpoint's file is no longer what was loaded: then the checkpoint cannot be used any more.
        """
        plan = self._plan(wanted)
        changing = [
            weight
            for weight in self._parameters
            if (weight in plan or weight in self._carried)
            and self._carried.get(weight, ()) != _marks(plan.get(weight, []))
        ]
        if any(weight.network != "unet" for weight in changing):
            self._checkpoint.prompts.clear()
        with ExitStack() as stack:
            originals: dict[str, Original] = {}
            for number, weight in enumerate(changing, 1):
                if self._reads_file(weight) and weight.network not in originals:
                    originals[weight.network] = self._open(weight.network, stack)
                self._write(weight, plan.get(weight, []), originals.get(weight.network))
                yield number / len(changing)

    def _reads_file(self, weight: Weight) -> bool:
        """What carries something already is begun anew, and 8 bits are too coarse to begin with."""
        return weight in self._carried or self._networks[weight.network].get_parameter(weight.name).dtype == FLOAT8

    @torch.no_grad()
    def _write(self, weight: Weight, terms: list[Term], original: Original | None) -> None:
        parameter = self._networks[weight.network].get_parameter(weight.name)
        was_clean = weight not in self._carried
        base, is_own = parameter.data, True
        self._carried[weight] = None
        if not was_clean or parameter.dtype == FLOAT8:
            assert original is not None
            exact = original.get(weight.name).reshape(parameter.shape)
            _round_into(parameter, exact)
            if parameter.dtype == FLOAT8:
                base, is_own = exact, False
        if not terms:
            del self._carried[weight]
            return
        # the weights of a network that waits in RAM visit the device where the adapters are
        device = next((factor.device for term in terms for factor in term.layer.factors.tensors.values()), base.device)
        is_bias = weight.name.endswith(".bias")
        is_here = is_own and base.dtype == torch.float32 and base.device == device
        in_place = is_here and all(is_bias or _is_product(term.layer) for term in terms)
        # a copy, where ΔW is calculated from W or where W is too coarse to add up in
        base = base.to(device)
        total = base if in_place else base.to(torch.float32, copy=True)
        for term in terms:
            _add(total, base, term, is_bias)
        if not in_place:
            _round_into(parameter, total)
        self._carried[weight] = _marks(terms)

    def _plan(self, wanted: Sequence[Applied]) -> dict[Weight, list[Term]]:
        """The terms of each weight, in the order in which they are added up."""
        plan: dict[Weight, list[Term]] = {}
        for applied in wanted:
            file = applied.adapter.file
            for layer, place in self._fit(applied.adapter)[0]:
                strength = applied.unet if place.network == "unet" else applied.text_encoder
                if not math.isfinite(strength):
                    raise InvalidRequest(f'The strength of "{file.name}" must be a number, not {strength}.', "prompt")
                if strength == 0:
                    continue
                rank = None if applied.rank is None else max(applied.rank, 0)
                mark = (str(file.path), file.mtime_ns, file.size, layer.name, strength, -1 if rank is None else rank)
                term = Term(layer, strength, rank, mark)
                for part in layer.changes:
                    plan.setdefault(Weight(place.network, f"{place.module}.{part}"), []).append(term)
        for terms in plan.values():
            terms.sort(key=lambda term: term.mark)
        return plan

    def _fit(self, adapter: Adapter) -> tuple[Fitted, str]:
        """Where each layer of the adapter belongs, and what to say of those that belong nowhere; remembered.

        Raises ``IncompatibleModel`` where the adapter is for another kind of model, or a layer has another shape.
        """
        if adapter not in self._fitted:
            self._fitted[adapter] = self._fit_anew(adapter)
        return self._fitted[adapter]

    def _fit_anew(self, adapter: Adapter) -> tuple[Fitted, str]:
        file, checkpoint = adapter.file, self._checkpoint.file
        made_for = ""
        if file.family not in ("unknown", checkpoint.family):
            titles = [FAMILY_TITLES.get(family, family) for family in (file.family, checkpoint.family)]
            made_for = f" It is made for {titles[0]}, the checkpoint is {titles[1]}."
        fitted: list[tuple[Layer, Place]] = []
        left_out = list(adapter.unknown)
        for layer in adapter.layers:
            place = find_place(layer.name, self._places)
            if place is None:
                left_out.append(layer.name)
                continue
            for part in layer.changes:
                shape = self._parameters.get(Weight(place.network, f"{place.module}.{part}"))
                if shape is None or not layer.fits(part, shape):
                    raise IncompatibleModel(
                        f'"{file.name}" does not fit "{checkpoint.name}": its layer "{layer.name}" is of another shape than the '
                        f"{part} it would change ({'there is none' if shape is None else tuple(shape)}).{made_for}"
                    )
            fitted.append((layer, place))
        if not fitted:
            raise IncompatibleModel(
                f'"{file.name}" does not fit "{checkpoint.name}": none of its layers ({grouped(left_out)}) is there.{made_for}'
            )
        remark = ""
        if left_out:
            remark = f'"{file.name}": left out {grouped(left_out)}, which "{checkpoint.name}" has no place for.'
        return tuple(fitted), remark

    def _open(self, network: str, stack: ExitStack) -> Original:
        return Original(self._checkpoint, network, self._networks[network], stack)


class Original:
    """The weights of one network as they are in the checkpoint's file, under the names they have in memory."""

    def __init__(self, checkpoint: Checkpoint, component: str, network: torch.nn.Module, stack: ExitStack) -> None:
        paths = component_files(checkpoint.file, component)
        for path in paths:
            _check_unchanged(path, checkpoint.file)
        self._tensors = stack.enter_context(open_tensors(paths))
        self._names = names_in_file(component, network.state_dict(), self._tensors.keys())

    def get(self, name: str) -> Tensor:
        return read_piece(self._tensors, self._names[name])


def _check_unchanged(path: Path, file: ModelFile) -> None:
    try:
        status = path.stat()
    except OSError as error:
        raise UnreadableModel(f"{path.name} cannot be read any more: {error.strerror or error}.") from error
    # a folder's stamp is the latest time and the total size of its files
    same = status.st_mtime_ns <= file.mtime_ns if path != file.path else _stamp(status) == (file.mtime_ns, file.size)
    if not same:
        raise UnreadableModel(f'{path.name} has changed since "{file.name}" was loaded. Look for models again.')


def _stamp(status: os.stat_result) -> tuple[int, int]:
    return status.st_mtime_ns, status.st_size


def _round_into(parameter: Tensor, exact: Tensor) -> None:
    parameter.copy_(rounded(exact) if parameter.dtype == FLOAT8 else exact)


def _is_product(layer: Layer) -> bool:
    """Whether ΔW is the product of two matrices, which can be added to W without calculating it first."""
    return layer.flavour is LOW_RANK and "mid" not in layer.factors and "dora_scale" not in layer.factors


def _add(total: Tensor, base: Tensor, term: Term, is_bias: bool) -> None:
    """total += strength · ΔW(base)"""
    layer = term.layer
    if is_bias:
        total.add_(layer.bias_delta(), alpha=term.strength)
    elif _is_product(layer) and total.is_contiguous():
        up, down, scale = up_and_down(layer.factors, term.rank)
        total.view(len(total), -1).addmm_(up, down, alpha=term.strength * scale)
    else:
        total.add_(layer.delta(base, term.rank), alpha=term.strength)


def _marks(terms: Sequence[Term]) -> tuple[Mark, ...]:
    return tuple(term.mark for term in terms)
