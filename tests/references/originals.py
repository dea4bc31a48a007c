"""What our samplers are held to: k-diffusion as published on PyPI, run with the random numbers of A1111's web UI."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from references.sigma_tables import SD1, LCMLevels, levels
from torch import Tensor

from webui.engine.philox import PhiloxGenerator

PACKAGES = ("k-diffusion==0.1.1.post1", "torchsde==0.2.6", "trampoline==0.1.2", "scipy", "tqdm")

Denoiser = Callable[[Tensor, Tensor], Tensor]
"""(x, σ of each picture) -> the clean latent."""


def load(folder: Path) -> tuple[ModuleType, ModuleType]:
    """``k_diffusion.sampling`` and ``k_diffusion.external``, installed in a folder of their own.

    Without their dependencies, some of which do not build and none of which sampling needs: what is imported at the top
    and never called is given an empty module.
    """
    if not (folder / "k_diffusion").is_dir():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), *PACKAGES]
        subprocess.run(command, check=True)
    sys.path.append(str(folder))
    package = ModuleType("k_diffusion")  # its own __init__ imports training code too
    package.__path__ = [str(folder / "k_diffusion")]
    sys.modules["k_diffusion"] = package
    stubs = {name: ModuleType(name) for name in ("torchdiffeq", "torchvision", "torchvision.transforms")}
    stubs["torchdiffeq"].odeint = stubs["torchvision.transforms"].functional = None  # type: ignore[attr-defined]
    stubs = {name: stub for name, stub in stubs.items() if name not in sys.modules}
    sys.modules.update(stubs)
    originals = import_module("k_diffusion.sampling"), import_module("k_diffusion.external")
    for name in stubs:  # others look whether torchvision is there
        del sys.modules[name]
    return originals


@dataclass(frozen=True)
class Original:
    """A row of A1111's table. ``schedule``: what Automatic means; None for one that knows only the two ends."""

    function: str
    schedule: str = "Uniform"
    brownian: bool = False
    discards_penultimate: bool = False
    takes_ends: bool = False
    eta: bool = True
    more: tuple[tuple[str, Any], ...] = ()


ORIGINALS = {
    "DPM++ 2M": Original("sample_dpmpp_2m", "Karras", eta=False),
    "DPM++ SDE": Original("sample_dpmpp_sde", "Karras", brownian=True),
    "DPM++ 2M SDE": Original("sample_dpmpp_2m_sde", "Exponential", brownian=True),
    "DPM++ 2M SDE Heun": Original("sample_dpmpp_2m_sde", "Exponential", brownian=True, more=(("solver_type", "heun"),)),
    "DPM++ 2S a": Original("sample_dpmpp_2s_ancestral", "Karras"),
    "DPM++ 3M SDE": Original("sample_dpmpp_3m_sde", "Exponential", brownian=True, discards_penultimate=True),
    "Euler a": Original("sample_euler_ancestral"),
    "Euler": Original("sample_euler", eta=False),
    "LMS": Original("sample_lms", eta=False),
    "Heun": Original("sample_heun", eta=False),
    "DPM2": Original("sample_dpm_2", "Karras", discards_penultimate=True, eta=False),
    "DPM2 a": Original("sample_dpm_2_ancestral", "Karras", discards_penultimate=True),
    "DPM fast": Original("sample_dpm_fast", takes_ends=True),
    "DPM adaptive": Original("sample_dpm_adaptive", takes_ends=True),
    # not in k-diffusion: transcribed below
    "Restart": Original("restart", "Karras", eta=False),
    "LCM": Original("lcm", eta=False),
}


class Streams:
    """The random numbers of each picture: its first noise, then what samplers add."""

    def __init__(self, seeds: Sequence[int], shape: tuple[int, int, int], dtype: torch.dtype = torch.float64) -> None:
        self.seeds, self.shape, self.dtype = list(seeds), shape, dtype
        self.streams = [PhiloxGenerator(seed) for seed in seeds]

    def draw(self, *ignored: Any) -> Tensor:
        return torch.stack([torch.from_numpy(stream.randn(self.shape)) for stream in self.streams]).to(self.dtype)


@contextmanager
def random_numbers_of(streams: Streams) -> Iterator[None]:
    """In here ``randn_like`` goes on with the pictures' streams, and torchsde's tree draws from the same generator.

    Tensors that are made of Python numbers have the precision of the streams.
    """

    def node(size: tuple[int, ...], dtype: torch.dtype, device: object, seed: int) -> Tensor:
        return torch.from_numpy(PhiloxGenerator(int(seed)).randn(size)).to(dtype)

    with patch("torch.randn_like", streams.draw), patch("torchsde._brownian.brownian_interval._randn", node):
        torch.set_default_dtype(streams.dtype)
        try:
            yield
        finally:
            torch.set_default_dtype(torch.float32)


def visited(sampler: str, schedule: str, steps: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The levels of a run by A1111's rules, the end included."""
    original = ORIGINALS[sampler]
    model = LCMLevels() if sampler == "LCM" else SD1
    return levels(schedule, steps, model, discard_penultimate=original.discards_penultimate)


def run(
    sampling: ModuleType,
    sampler: str,
    denoiser: Denoiser,
    whole: Tensor,
    streams: Streams,
    *,
    skip: int = 0,
    init: Tensor | None = None,
    **options: Any,
) -> Tensor:
    """The original's result on the levels ``whole[skip:]``, from noise or, with ``init``, from a latent with noise on it."""
    original = ORIGINALS[sampler]
    sigmas = whole[skip:]
    x = streams.draw() * sigmas[0]
    if init is not None:
        x = x + init
    options = dict(original.more) | options
    if original.eta:
        options = {"eta": 1.0} | options  # A1111 hands its own default to all, also where k-diffusion's is 0
    if original.function == "restart":
        return restart(denoiser, x, sigmas.tolist(), streams)
    if original.function == "lcm":
        return lcm(denoiser, x, sigmas.tolist(), streams)
    with random_numbers_of(streams):
        if original.brownian:
            options["noise_sampler"] = brownian_noise(sampling, x, whole, streams.seeds)
        function = getattr(sampling, original.function)
        if original.takes_ends:
            lowest = sigmas[-2] if skip else SD1.sigmas[0]
            options |= {"n": len(sigmas) - 1} if sampler == "DPM fast" else {}
            return function(denoiser, x, float(lowest), float(sigmas[0]), disable=True, **options)  # type: ignore[no-any-return]
        return function(denoiser, x, sigmas, disable=True, **options)  # type: ignore[no-any-return]


def brownian_noise(sampling: ModuleType, x: Tensor, whole: Tensor, seeds: list[int]) -> Callable[[Any, Any], Tensor]:
    """Increments of a path per picture over the whole schedule, also when only a part of it is run.

    A path is so rough that the last digit of a level in float32 shows in the noise, so levels are rounded to what A1111 has.
    """
    ends = whole[whole > 0].min().float(), whole.max().float()
    tree = sampling.BrownianTreeNoiseSampler(x, *ends, seed=seeds)
    return lambda sigma, sigma_next: tree(sigma.float(), sigma_next.float())


def restart(denoiser: Denoiser, x: Tensor, sigmas: list[float], streams: Streams) -> Tensor:
    """Restart sampling (Xu et al., arXiv 2306.14878) with Heun's method, along :func:`restart_path`."""
    path = restart_path(sigmas)
    arrived = path[0][0]
    for start, end in path:
        if start > arrived:
            x = x + streams.draw() * (start**2 - arrived**2) ** 0.5
        slope = (x - denoiser(x, x.new_full((len(x),), start))) / start
        there = x + slope * (end - start)
        if end > 0:
            slope_there = (there - denoiser(there, x.new_full((len(x),), end))) / end
            there = x + (slope + slope_there) / 2 * (end - start)
        x, arrived = there, end
    return x


def restart_path(sigmas: Sequence[float]) -> list[tuple[float, float]]:
    """(from, to) of every step, by A1111's plan; one that begins above where the last one ended begins with noise.

    Fewer than 20 steps are those of the schedule. From 20 steps on 9 of them, and from 36 on two times a quarter of them,
    are spent on going from the level nearest to 2 to the one nearest to 0.1 again, on levels by Karras; what is left is
    Karras from end to end, whatever the schedule.
    """
    steps = len(sigmas) - 1
    again, times = (steps // 4, 2) if steps >= 36 else (9, 1) if steps >= 20 else (0, 0)
    if not times:
        return list(pairwise(sigmas))
    main = [*_karras(sigmas[0], sigmas[-2], steps - again * times), 0.0]
    bottom, top = (int(np.abs(np.array(main) - wanted).argmin()) for wanted in (0.1, 2.0))
    path = list(pairwise(main))
    if top < bottom:
        path[bottom:bottom] = list(pairwise(_karras(main[top], main[bottom], again + 1))) * times
    return path


def _karras(high: float, low: float, n: int) -> list[float]:
    return (np.linspace(high ** (1 / 7), low ** (1 / 7), n) ** 7).tolist()  # type: ignore[no-any-return]


def lcm(denoiser: Denoiser, x: Tensor, sigmas: list[float], streams: Streams) -> Tensor:
    """Multistep consistency sampling (Luo et al., arXiv 2310.04378, algorithm 3): to the clean latent, and noise on it.

    The consistency function keeps a little of its input where there is hardly noise: c_skip(t) with σ_data = 0.5 and
    timesteps scaled by 10. Told to the network is the nearest of the 50 timesteps.
    """
    trained = LCMLevels()
    for sigma, end in pairwise(sigmas):
        denoised = denoiser(x, x.new_full((len(x),), sigma))
        t = 10.0 * (19 + 20 * int(np.abs(np.log(trained.sigmas) - np.log(sigma)).argmin()))
        x = denoised * t / (t**2 + 0.25) ** 0.5 + x * 0.25 / (t**2 + 0.25)
        if end > 0:
            x = x + streams.draw() * end
    return x
