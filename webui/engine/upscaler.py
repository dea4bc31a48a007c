"""Upscaling networks (ESRGAN and its kin): a picture in, a picture ``scale`` times as large out.

What a file holds is told by its tensors' names; the forty or so architectures are spandrel's. A large picture is worked on in
tiles that overlap, so that memory is that of one tile. A tile's outermost pixels are thrown away and neighbours are
blended where they meet: as long as the network looks no further than ``MARGIN / 2`` pixels the result equals that of the whole
picture to rounding, and where it looks further there is still no seam.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from webui.engine.device import Compute
from webui.engine.stored_tensors import open_addition
from webui.errors import IncompatibleModel, NumericalFailure, UnreadableModel
from webui.library.model_file import ModelFile

if TYPE_CHECKING:
    from spandrel import ImageModelDescriptor

TILE = 256  # pixels of the small picture; transformers see it in windows of 8 ... 32, so tiles begin at multiples of 32
SMALLEST_TILE = 64
MARGIN = 32

# training programs wrap the tensors up in these; the averaged weights ("ema") are the better ones
_WRAPPERS = ("params_ema.", "params-ema.", "params.", "state_dict.", "model_state_dict.", "net.", "model.")
_PREFIXES = ("module.", "netG.")


class Upscaler:
    """A network in memory. ``scale`` is 1 for those that clean (JPEG traces, noise) rather than enlarge."""

    def __init__(self, network: ImageModelDescriptor[Any], label: str) -> None:
        self._network = network
        self.label = label
        self.scale = network.scale
        self.architecture = str(network.architecture.name)

    @property
    def size(self) -> int:
        return sum(tensor.nbytes for tensor in self._network.model.state_dict().values())

    @property
    def is_float32(self) -> bool:
        return bool(self._network.dtype == torch.float32)

    @contextmanager
    def in_float32(self) -> Iterator[None]:
        """Full precision inside; half precision returns bit for bit, as widening it loses nothing."""
        before = self._network.dtype
        try:
            self._network.model.float()
            yield
        finally:
            self._network.model.to(before)

    def enlarge(self, pixels: Tensor, tile: int = TILE) -> Generator[tuple[int, int], None, Tensor]:
        """Pixels (3, h, w) in 0 ... 1, float32 on the CPU, to (3, scale * h, scale * w) likewise.

        Yields (tiles done, tiles) after each tile of ``tile`` pixels a side. Raises ``NumericalFailure``.
        """
        _, height, width = pixels.shape
        rows, columns = list(_spans(height, tile)), list(_spans(width, tile))
        result = torch.zeros(3, height * self.scale, width * self.scale)
        for done, (row, column) in enumerate(((row, column) for row in rows for column in columns), start=1):
            top, bottom = _widened(row, height)
            left, right = _widened(column, width)
            part = self._run(pixels[:, top:bottom, left:right])
            weights = _weights(row, height, self.scale)[:, None] * _weights(column, width, self.scale)[None, :]
            result[:, top * self.scale : bottom * self.scale, left * self.scale : right * self.scale] += part * weights
            yield done, len(rows) * len(columns)
        return result

    def _run(self, pixels: Tensor) -> Tensor:
        one = pixels[None].to(self._network.device, self._network.dtype)
        if self._network.input_channels == 1:  # a network for grey pictures: each colour is one
            enlarged = torch.cat([self._network(channel) for channel in one.split(1, dim=1)], dim=1)
        else:
            enlarged = self._network(one)
        if not torch.isfinite(enlarged).all():
            raise NumericalFailure(f"What {self.label} makes of the picture is not a number.")
        return enlarged[0].float().cpu()


def read_upscaler(file: ModelFile, compute: Compute) -> Generator[int, None, Upscaler]:
    """Yields the bytes of each tensor as it is read.

    What is no upscaling network, or of an architecture that spandrel does not know, raises ``IncompatibleModel``.
    """
    label = file.path.name
    state: dict[str, Tensor] = {}
    with open_addition(file.path) as (_, tensors):
        for name in tensors.keys():  # noqa: SIM118 - a TensorFile is no mapping
            state[name] = tensors.get(name).clone()  # not left mapped: the file may be cut short while it is used
            yield state[name].nbytes
    network = _built(state, label)
    if network.purpose not in ("SR", "Restoration") or (network.input_channels, network.output_channels) not in (
        (3, 3),
        (1, 1),
    ):
        raise IncompatibleModel(
            f"{label} is a {network.architecture.name} network, which does not turn a colour picture into a larger or "
            "cleaner one. Put upscaling networks into models/upscalers only."
        )
    network.model.requires_grad_(False).eval().to(compute.device, _precision(network, compute))
    return Upscaler(network, label)


def _built(state: Mapping[str, Tensor], label: str) -> Any:
    from spandrel import MAIN_REGISTRY, UnsupportedModelError  # forty architectures: seconds to import

    for candidate in _unwrapped(state):
        try:
            return MAIN_REGISTRY.load(candidate)
        except UnsupportedModelError:
            continue
        except (
            RuntimeError,
            LookupError,
            ValueError,
            TypeError,
            AttributeError,
            ArithmeticError,
            AssertionError,
        ) as error:
            raise UnreadableModel(
                f"{label} looks like an upscaling network, but its tensors do not fit together ({_first_line(error)}). "
                "Download it again."
            ) from error
    raise IncompatibleModel(f"{label} is not of an upscaling architecture that is known.")


def _unwrapped(state: Mapping[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """The tensors under the names that the architecture gave them: as they stand, then out of each wrapper."""
    for wrapper in (*_WRAPPERS, ""):
        inner = {name[len(wrapper) :]: tensor for name, tensor in state.items() if name.startswith(wrapper)}
        for prefix in _PREFIXES:
            if all(name.startswith(prefix) for name in inner):
                inner = {name[len(prefix) :]: tensor for name, tensor in inner.items()}
        if inner:
            yield inner


def _precision(network: Any, compute: Compute) -> torch.dtype:
    """Half precision where the device draws in it and the architecture bears it."""
    bears = {torch.float16: network.supports_half, torch.bfloat16: network.supports_bfloat16}
    return compute.network if bears.get(compute.network, True) else torch.float32


def _spans(length: int, tile: int) -> Iterator[tuple[int, int]]:
    """Where tiles begin and end, each at most ``tile`` long; the last one takes what is left."""
    return pairwise([*range(0, length, tile), length])


def _widened(span: tuple[int, int], length: int) -> tuple[int, int]:
    return max(span[0] - MARGIN, 0), min(span[1] + MARGIN, length)


def _weights(span: tuple[int, int], length: int, scale: int) -> Tensor:
    """How much the widened span's enlarged pixels count: 1 inside, 0 near its ends, those of neighbours adding up to 1."""
    begin, end = span
    first, last = _widened(span, length)
    place = torch.arange(first * scale, last * scale, dtype=torch.float64) + 0.5
    half = MARGIN * scale / 2
    weights = torch.ones_like(place)
    if begin > 0:
        weights = weights * ((place - begin * scale) / (2 * half) + 0.5).clamp(0, 1)
    if end < length:
        weights = weights * ((end * scale - place) / (2 * half) + 0.5).clamp(0, 1)
    return weights.float()


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:120]
