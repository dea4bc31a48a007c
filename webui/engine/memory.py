"""How much memory models may fill, and what to do when a card cannot hold all that a picture needs.

Pure functions of what was asked for and of the sizes found, so that they are tested without a card.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

WHOLE, BY_NETWORK, BY_LAYER = "off", "model", "sequential"

LEAST_FOR_PICTURES = 2_000_000_000  # bytes of a card that models leave to the states of a picture
SHARE_FOR_PICTURES = 4  # and at least one part in so many


@dataclass(frozen=True)
class Budgets:
    """In bytes: what models may fill of the device's memory, and of RAM beside it.

    ``ram`` is 0 where the device computes in RAM itself, so that nothing is gained by moving a model there.
    """

    device: int
    ram: int = 0


def choose_budgets(
    kind: str, *, ram_total: int, device_free: int = 0, device_asked: int = 0, ram_asked: int = 0, workers: int = 1
) -> Budgets:
    """``kind`` is torch's device type. What was asked for (in bytes) is taken; 0 is automatic.

    Automatic: of RAM one half, shared by the workers; of what is free on a card all but a quarter, at least 2 GB, which the
    states of a picture need, but never less than half. CPUs and Apple's chips have one memory.
    """
    ram = ram_asked or ram_total // 2 // max(workers, 1)
    if kind in ("cpu", "mps"):
        return Budgets(ram)
    kept = max(LEAST_FOR_PICTURES, device_free // SHARE_FOR_PICTURES)
    return Budgets(device_asked or max(device_free - kept, device_free // 2), ram)


def choose_low_memory(asked: str, sizes: Iterable[int], budgets: Budgets) -> str:
    """How the networks of one selection, of these ``sizes`` in bytes, share a device.

    * "off": all of them stay on it
    * "model": one at a time; text encoders, U-Net and VAE move in when their turn comes, and wait in RAM
    * "sequential": networks too large even alone wait in RAM, and lend the device one layer at a time

    "auto" takes the first that fits the budget. Where RAM is all there is, nothing is to be moved.
    """
    if not budgets.ram:
        return WHOLE
    if asked != "auto":
        return asked
    known = list(sizes)
    if sum(known) <= budgets.device:
        return WHOLE
    return BY_NETWORK if max(known) <= budgets.device else BY_LAYER
