"""From a model file to a network in memory: read each tensor once, straight into the wanted precision and place."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from safetensors import SafetensorError, safe_open

from webui.engine.pickled_tensors import PickledTensors
from webui.errors import UnreadableModel
from webui.library.formats import PICKLE_SUFFIXES
from webui.library.open_clip_layout import stored_name
from webui.library.pickles import read_pickle

Module = TypeVar("Module", bound=torch.nn.Module)


class TensorFile(Protocol):
    """Tensors by name, read when asked for."""

    def keys(self) -> Sequence[str]: ...

    def get(self, name: str) -> torch.Tensor: ...


class SafetensorsFile:
    """One or several (sharded) memory-mapped safetensors files as one mapping from name to tensor."""

    def __init__(self, paths: Sequence[Path], stack: ExitStack) -> None:
        self._owner: dict[str, Any] = {}
        for path in paths:
            handle = stack.enter_context(safe_open(path, framework="pt", device="cpu"))
            self._owner.update(dict.fromkeys(handle.keys(), handle))

    def keys(self) -> Sequence[str]:
        return tuple(self._owner)

    def get(self, name: str) -> torch.Tensor:
        return self._owner[name].get_tensor(name)  # type: ignore[no-any-return]


def read_piece(tensors: TensorFile, name: str) -> torch.Tensor:
    """A tensor, or the piece of one that ``webui/library/open_clip_layout.py`` names so."""
    stored = tensors.get(stored_name(name))
    if name.endswith("]"):
        return stored.chunk(3)[int(name[-2])]
    return stored.T if stored_name(name) != name else stored


@contextmanager
def open_tensors(paths: Sequence[Path]) -> Iterator[TensorFile]:
    """The tensors of ``paths``, safetensors or one pickled checkpoint, of which nothing is unpickled.

    A file that cannot be read raises ``UnreadableModel``, one that must not be ``UnsafeModel``.
    """
    try:
        with ExitStack() as stack:
            if paths[0].suffix.lower() in PICKLE_SUFFIXES:
                pickled = read_pickle(paths[0]).state_dict
                yield PickledTensors(stack.enter_context(paths[0].open("rb")), pickled.tensors, paths[0].name)
            else:
                yield SafetensorsFile(paths, stack)
    except (SafetensorError, OSError) as error:
        names = ", ".join(path.name for path in paths)
        raise UnreadableModel(f"{names} cannot be read ({error}). Copy or download the file again.") from error


def assemble(
    module: Module,
    names: Mapping[str, str],
    tensors: TensorFile,
    *,
    device: torch.device,
    dtype: torch.dtype,
    label: str,
    channels_last: bool = False,
) -> Generator[int, None, Module]:
    """Yield the bytes of each tensor read; return ``module`` with these parameters.

    ``module`` was built on torch's meta device, so that no memory is filled only to be overwritten. ``names`` maps each of
    its own parameter names to the name in the file. Tensors are copied, never left mapped: a file that is cut short
    while a picture is drawn must not take the server down.

    ``channels_last`` lays convolution weights out as the kernels of CPUs and of newer GPUs like them best.

    A parameter that the file lacks, or that has another shape but for sides of 1, raises ``UnreadableModel`` naming it.
    """
    wanted = module.state_dict()
    present = set(tensors.keys())
    missing = [name for name in wanted if name not in names or stored_name(names[name]) not in present]
    if missing:
        raise UnreadableModel(
            f"{label} lacks {len(missing)} of its {len(wanted)} tensors, the first being "
            f'"{names.get(missing[0], missing[0])}". The file is incomplete or of another architecture.'
        )
    state: dict[str, torch.Tensor] = {}
    for name, expected in wanted.items():
        stored = read_piece(tensors, names[name])
        if _sides(stored) != _sides(expected):
            raise UnreadableModel(
                f'{label}: "{names[name]}" has shape {tuple(stored.shape)}, but {tuple(expected.shape)} is needed. '
                "The file is of another architecture."
            )
        # attention layers of the VAE are 1 x 1 convolutions in the original layout and matrices in diffusers'
        order = torch.channels_last if channels_last and expected.ndim == 4 else torch.preserve_format
        shaped = stored.reshape(expected.shape)
        state[name] = shaped.to(device=device, dtype=dtype, copy=True, memory_format=order)
        yield stored.numel() * stored.element_size()
    module.load_state_dict(state, strict=True, assign=True)
    return module.requires_grad_(False).eval()


def _sides(tensor: torch.Tensor) -> list[int]:
    return [side for side in tensor.shape if side != 1]


def byte_size(*modules: torch.nn.Module) -> int:
    """Bytes that the parameters and buffers of the networks take."""
    return sum(
        tensor.numel() * tensor.element_size()
        for module in modules
        for tensor in (*module.parameters(), *module.buffers())
    )
