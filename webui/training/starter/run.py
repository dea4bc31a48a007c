"""What every training run needs: two processes that share the work, a schedule, a log, and a place to go on from.

Two cores are used by two processes of one thread each that average their gradients: 36 pictures a second where one
process of two threads manages 25, because small tensors leave a second thread waiting.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.multiprocessing.spawn import spawn


def in_processes(work: Callable[..., None], processes: int, *arguments: Any) -> None:
    """Run ``work(rank, *arguments)`` in so many processes; returns when all are done, raises what one of them raised."""
    if processes == 1:
        _join(0, 1, 0, work, arguments)
        return
    port = 20000 + os.getpid() % 20000
    spawn(_join, (processes, port, work, arguments), nprocs=processes, join=True)


def _join(rank: int, processes: int, port: int, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    if processes > 1:
        dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=processes)
    try:
        work(rank, *arguments)
    finally:
        if processes > 1:
            dist.destroy_process_group()


def processes() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def average_gradients(parameters: Sequence[Tensor]) -> None:
    """Replace every gradient by its mean over the processes. One flat message: many small ones cost more than the sum."""
    if processes() == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    dist.all_reduce(flat)
    flat /= processes()
    parts = flat.split([gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))


def same_weights(tensors: Iterable[Tensor]) -> None:
    """Give every process the weights of the first."""
    if processes() > 1:
        for tensor in tensors:
            dist.broadcast(tensor.detach(), 0)


def cosine(step: int, steps: int, warm_up: int = 100, floor: float = 0.02) -> float:
    """The factor of the learning rate: a short rise, then half a cosine down to ``floor``."""
    progress = min(1.0, step / steps)
    return min(1.0, (step + 1) / warm_up) * ((1 - floor) * 0.5 * (1 + math.cos(math.pi * progress)) + floor)


class Average:
    """Exponential moving average of the weights (EMA): what is sampled from and shipped.

    Its memory grows with the run, so that it is no average of the random start.
    """

    def __init__(self, parameters: Sequence[Tensor], limit: float = 0.9985) -> None:
        self.parameters = list(parameters)
        self.limit = limit
        self.values = [p.detach().clone() for p in self.parameters]

    @torch.no_grad()
    def update(self, step: int) -> None:
        keep = min(self.limit, (1 + step) / (20 + step))
        torch._foreach_lerp_(self.values, [p.detach() for p in self.parameters], 1 - keep)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the weights and their average; call it again to go on training."""
        for parameter, value in zip(self.parameters, self.values, strict=True):
            kept = parameter.detach().clone()
            parameter.copy_(value)
            value.copy_(kept)


class Log:
    """``log.jsonl`` beside the weights: a line of figures now and then, also printed. Only the first process writes."""

    def __init__(self, folder: Path, rank: int, seconds: float = 60) -> None:
        self.path, self.rank, self.seconds = folder / "log.jsonl", rank, seconds
        self.last = self.start = time.monotonic()

    def is_due(self) -> bool:
        return self.rank == 0 and time.monotonic() - self.last >= self.seconds

    def write(self, **figures: Any) -> None:
        self.last = time.monotonic()
        line = json.dumps({"seconds": round(self.last - self.start), **figures})
        print(line, flush=True)
        with self.path.open("a") as file:
            file.write(line + "\n")


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Whole or not at all: a run that is cut off while saving goes on from the state before."""
    temporary = path.with_suffix(".part")
    torch.save(state, temporary)
    temporary.replace(path)


def load_state(path: Path) -> dict[str, Any] | None:
    """What ``save_state`` wrote, or None at the very start."""
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, weights_only=True)
    return state
