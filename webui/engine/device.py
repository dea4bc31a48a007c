"""Which device computes, and in which precision.

The choices are pure functions of what was asked for and of the hardware found, so that they are tested without it.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

import torch

from webui.errors import InvalidSettings, did_you_mean

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Hardware:
    """What this machine offers. ``cuda`` holds the compute capability of each CUDA or ROCm device."""

    cuda: tuple[tuple[int, int], ...] = ()
    mps: bool = False
    xpu: int = 0
    xformers: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        cuda = tuple(f"cuda:{index}" for index in range(len(self.cuda)))
        xpu = tuple(f"xpu:{index}" for index in range(self.xpu))
        return (*cuda, *xpu, *(("mps",) if self.mps else ()), "cpu")


@dataclass(frozen=True)
class Compute:
    """Where and how a worker computes.

    ``network`` is the precision of text encoder and U-Net, ``vae`` that of the VAE. The sampler's state is always
    float32. ``pictures_per_call`` is how many pictures of a batch share one call of the network; None is all of them.
    ``float8``: the U-Net's weights are stored in 8 bits (``lending.py``). ``attention`` is "sdpa" or "xformers".
    """

    device: torch.device
    network: torch.dtype
    vae: torch.dtype
    pictures_per_call: int | None
    float8: bool = False
    attention: str = "sdpa"

    def vae_for(self, family: str) -> torch.dtype:
        """SDXL's VAE overflows in float16, so it never computes in that, whatever was asked for."""
        return torch.float32 if family.startswith("sdxl") and self.vae == torch.float16 else self.vae


def find_hardware() -> Hardware:
    cuda = tuple(torch.cuda.get_device_capability(index) for index in range(torch.cuda.device_count()))
    xpu = torch.xpu.device_count() if hasattr(torch, "xpu") else 0
    xformers = importlib.util.find_spec("xformers") is not None
    return Hardware(cuda=cuda, mps=torch.backends.mps.is_available(), xpu=xpu, xformers=xformers)


def choose_compute(
    device: str, dtype: str, hardware: Hardware, *, float8: bool = False, attention: str = "auto"
) -> Compute:
    """``device`` is "auto" or a torch name, ``dtype`` "auto" or a torch name; ``InvalidSettings`` if it is not there.

    ``float8`` and ``attention`` ("auto", "sdpa", "xformers") as in :class:`Compute`. "auto" is PyTorch's own
    scaled_dot_product_attention, which has had the same kernels since 2.0; xformers works on CUDA only.

    * A CPU computes in float32 whatever the file holds: half precision is some 75 times slower there. It takes one
      picture a call: sharing gains little, and the kernels' rounding then cannot depend on the batch, so that a picture
      is the same to the last bit alone and in a batch.
    * CUDA: float16, as A1111; the VAE in bfloat16 where the card has it (compute capability 8), else in float32, because
      some VAE files overflow in float16.
    * MPS and XPU: float16, the VAE in float32.
    """
    names = hardware.names
    name = names[0] if device == "auto" else {"cuda": "cuda:0", "xpu": "xpu:0"}.get(device, device)
    if name not in names:
        raise InvalidSettings(f'device: there is no "{device}" on this machine. {did_you_mean(device, names)}')
    if dtype != "auto" and dtype not in _DTYPES:
        raise InvalidSettings(f'dtype: "{dtype}" is not known. {did_you_mean(dtype, ["auto", *_DTYPES])}')
    torch_device = torch.device(name)
    if torch_device.type == "cpu":
        network = vae = torch.float32
    else:
        has_bfloat16 = torch_device.type == "cuda" and hardware.cuda[torch_device.index] >= (8, 0)
        network, vae = torch.float16, torch.bfloat16 if has_bfloat16 else torch.float32
    if dtype != "auto":
        network = vae = _DTYPES[dtype]
    if attention == "xformers" and not (hardware.xformers and torch_device.type == "cuda"):
        why = "works on CUDA only" if hardware.xformers else "is not installed (pip install xformers)"
        raise InvalidSettings(f"attention: xformers {why}. Choose sdpa, which is as fast.")
    together = 1 if torch_device.type == "cpu" else None
    return Compute(torch_device, network, vae, together, float8, "xformers" if attention == "xformers" else "sdpa")


def use_threads(count: int) -> None:
    """How many CPU threads one operation may use, for the whole process; 0 leaves it to torch."""
    if count:
        torch.set_num_threads(count)


def free_device_memory(device: torch.device) -> int:
    """Bytes that are free on a card; 0 for what computes in RAM."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type == "xpu":
        return int(torch.xpu.mem_get_info(device)[0])
    return 0


def release_unused_memory(device: torch.device) -> None:
    """Give what torch's allocator keeps in reserve back to the device."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
    elif device.type == "xpu":
        torch.xpu.empty_cache()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch ran out of memory. A CPU allocation fails with a plain RuntimeError, hence the look at its text."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and ("not enough memory" in text or "can't allocate memory" in text)
