"""Conversions that run in the background, one after another, and how far each is."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from webui.errors import WebUIError
from webui.library.convert import convert, converted_path


@dataclass(frozen=True)
class Conversion:
    """``fraction`` 0 ... 1; ``name`` is the new file's once it is there, ``error`` the sentence that says why it never will."""

    fraction: float = 0.0
    name: str = ""
    error: str = ""

    @property
    def is_over(self) -> bool:
        return bool(self.name or self.error)


class Conversions:
    """``when_there`` is called with each new file, in a thread of its own."""

    def __init__(self, when_there: Callable[[Path], None]) -> None:
        self._when_there = when_there
        self._states: dict[Path, Conversion] = {}
        self._starting = Lock()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="converter")
        self._closing = False

    def start(self, path: Path) -> Conversion:
        """Convert it when those before it are done. Raises ``NotAllowed`` where there is nothing to convert."""
        with self._starting:
            state = self._states.get(path)
            if state is None or state.is_over:
                converted_path(path)
                self._states[path] = Conversion()
                self._thread.submit(self._run, path)
            return self._states[path]

    def state(self, path: Path) -> Conversion | None:
        return self._states.get(path)

    def close(self) -> None:
        """Stop; what is half written is removed."""
        self._closing = True
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _run(self, path: Path) -> None:
        try:
            target = converted_path(path)
            running = convert(path)
            for fraction in running:
                self._states[path] = Conversion(min(fraction, 0.999))
                if self._closing:
                    running.close()  # type: ignore[attr-defined]  # a generator
                    return
            self._when_there(target)
            self._states[path] = Conversion(1.0, name=target.name)
        except WebUIError as error:
            self._states[path] = Conversion(error=str(error))
        except BaseException:
            self._states[path] = Conversion(error="Internal error while converting, see the log.")
            raise
