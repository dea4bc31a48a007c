"""What to do when a stage of drawing fails for want of memory or of precision: try again more modestly, and say so."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from webui.domain.events import Notice
from webui.engine.device import is_out_of_memory
from webui.engine.model_manager import ModelManager
from webui.errors import NumericalFailure, OutOfMemory

Event = TypeVar("Event")
Result = TypeVar("Result")


class Widened(Protocol):
    """Networks that can compute in full precision for a while."""

    @property
    def is_float32(self) -> bool: ...
    def in_float32(self) -> AbstractContextManager[None]: ...


@dataclass(frozen=True)
class Way(Generic[Event, Result]):
    """One way to do a stage. ``told`` is what the user hears when it has to be taken."""

    told: str
    run: Callable[[], Generator[Event, None, Result]]


def with_recovery(
    ways: Sequence[Way[Event, Result]], model: Widened, models: ModelManager, stage: str
) -> Generator[Event | Notice, None, Result]:
    """Run the first of ``ways``; each next one needs less memory.

    Out of memory: let go of every other model and try the same way again, then the next ways in turn; after the last,
    ``OutOfMemory``. Not a number: once more in float32, then ``NumericalFailure``. A retry begins the stage anew, so
    its result is the same as if it had been run that way at once.
    """
    place, freed, in_float32 = 0, False, False
    while True:
        try:
            with model.in_float32() if in_float32 else nullcontext():
                return (yield from ways[place].run())
        except NumericalFailure as error:
            if in_float32 or model.is_float32:
                raise NumericalFailure(
                    f"{error} This happened in full precision too, while {stage}, so there is no picture to keep. The "
                    "checkpoint or VAE file may be damaged: try another VAE, or download the file again."
                ) from None
            in_float32, told = True, f"{error} Repeated in full precision (float32), which is slower."
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if not freed:
                freed, told = True, "Out of memory: let go of models that are not in use, and try again."
            elif place + 1 < len(ways):
                place += 1
                told = f"Out of memory: {ways[place].told}"
            else:
                raise OutOfMemory(
                    f"Out of memory on {models.compute.device} while {stage}, although everything that saves memory was "
                    "tried. Choose a smaller width, height or batch size, or close other programs."
                ) from None
        # here, and not above, the failed attempt's tensors are no longer held by its exception
        models.free_unused()
        yield Notice(told)
