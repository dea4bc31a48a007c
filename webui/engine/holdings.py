"""What is in memory: on the device, and aside in RAM where the device has a memory of its own.

Both have a budget in bytes. The least recently used goes first: from the device into RAM, from which it comes back without
its file being read, and from RAM for good. What is pinned is never let go of, however large.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from webui.engine.device import release_unused_memory
from webui.engine.lending import lend_every_layer
from webui.engine.memory import Budgets
from webui.engine.patches import Patches
from webui.engine.weights import byte_size

Key = tuple[str, int, int]
RAM = torch.device("cpu")


@dataclass
class Part:
    """One network. ``lends``: it stays in RAM and lends the device its layers (``lending.py``)."""

    network: nn.Module
    size: int
    on_device: bool
    lends: bool = False


@dataclass
class Held:
    """What was made of a file: networks, which can be put aside, and ``fixed`` bytes on the device of what cannot.

    ``patches``: what a checkpoint's weights carry; kept here so that nothing outlives the checkpoint that knows it.
    """

    value: Any
    parts: tuple[Part, ...]
    fixed: int
    when_aside: Callable[[], None] = lambda: None
    patches: Patches | None = None

    @property
    def on_device(self) -> int:
        return self.fixed + sum(part.size for part in self.parts if part.on_device)

    @property
    def aside(self) -> int:
        return sum(part.size for part in self.parts if not part.on_device)


def part_of(network: nn.Module, *, on_device: bool) -> Part:
    return Part(network, byte_size(network), on_device)


class Holdings:
    """Belongs to one thread."""

    def __init__(self, device: torch.device, budgets: Budgets) -> None:
        self.device = device
        self.budgets = budgets
        self._held: OrderedDict[Key, Held] = OrderedDict()
        self._pinned: frozenset[Key] = frozenset()

    def __contains__(self, key: Key) -> bool:
        return key in self._held

    def __getitem__(self, key: Key) -> Any:
        return self._held[key].value

    def entry(self, key: Key) -> Held:
        return self._held[key]

    @property
    def on_device(self) -> int:
        return sum(held.on_device for held in self._held.values())

    @property
    def aside(self) -> int:
        return sum(held.aside for held in self._held.values())

    def pin(self, keys: frozenset[Key]) -> None:
        """These are in use from now on, and no others."""
        self._pinned = keys

    def put(self, key: Key, held: Held) -> None:
        self._held[key] = held
        self.make_room()

    def touch(self, key: Key) -> None:
        """It is the one used last."""
        self._held.move_to_end(key)

    def forget(self, key: Key) -> None:
        del self._held[key]

    def make_room(self, needed: int = 0) -> None:
        """Put aside or let go of what is not in use until ``needed`` bytes more fit the budget, as far as that goes."""
        for key, held in self._unpinned():
            if self.on_device + needed <= self.budgets.device:
                break
            if held.on_device:
                self._clear(key, held)
        self._make_room_aside()

    def free_unused(self, *, aside: bool) -> None:
        """Nothing that is not pinned stays on the device; with ``aside`` it may wait in RAM."""
        for key, held in self._unpinned():
            if not aside:
                self.forget(key)
            elif held.on_device:
                self._clear(key, held)
        release_unused_memory(self.device)

    def pinned_parts(self) -> list[Part]:
        return [part for key in self._held if key in self._pinned for part in self._held[key].parts]

    def bring(self, network: nn.Module, *, alone: bool) -> None:
        """A pinned network is on the device afterwards; ``alone``: every other that can be moved is not."""
        parts = self.pinned_parts()
        wanted = next((part for part in parts if part.network is network), None)
        if wanted is None or wanted.lends or wanted.on_device:
            return
        if alone:
            for part in parts:
                self._move(part, on_device=False)
        self.make_room(wanted.size)
        self._move(wanted, on_device=True)

    def put_pinned_aside(self) -> None:
        """Every network that is in use waits in RAM for its turn."""
        for part in self.pinned_parts():
            self._move(part, on_device=False)
        release_unused_memory(self.device)

    def lend(self, part: Part) -> None:
        """From now on the network stays in RAM, and its layers visit the device one by one."""
        self._move(part, on_device=False)
        lend_every_layer(part.network, self.device)
        part.lends = True

    def _unpinned(self) -> Iterator[tuple[Key, Held]]:
        """The least recently used first."""
        return iter([(key, held) for key, held in self._held.items() if key not in self._pinned])

    def _clear(self, key: Key, held: Held) -> None:
        """Off the device: into RAM if it can be moved and fits there beside what is in use, else for good."""
        size = held.on_device + held.aside
        in_use = sum(other.aside for other_key, other in self._held.items() if other_key in self._pinned)
        if held.fixed or not held.parts or in_use + size > self.budgets.ram:
            self.forget(key)
        else:
            for part in held.parts:
                self._move(part, on_device=False)
            held.when_aside()
            self._make_room_aside(keep=key)
        release_unused_memory(self.device)

    def _make_room_aside(self, keep: Key | None = None) -> None:
        for key, held in self._unpinned():
            if self.aside <= self.budgets.ram:
                return
            if held.aside and key != keep:
                self.forget(key)

    def _move(self, part: Part, *, on_device: bool) -> None:
        if part.on_device != on_device and not part.lends:
            part.network.to(self.device if on_device else RAM)
            part.on_device = on_device
