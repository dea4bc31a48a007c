"""How often somebody may guess: wrong passwords from one address make it wait longer and longer."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from webui.errors import TooManyRequests

FREE_TRIES = 5
LONGEST_WAIT = 900  # seconds
_REMEMBERED = 10_000  # addresses; the longest unused is forgotten first


class Attempts:
    """After five wrong tries an address waits 2 s, then 4, 8 ... up to a quarter of an hour; a right one forgets them."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._wrong: OrderedDict[str, tuple[int, float]] = OrderedDict()  # address -> tries, when it may try again

    def check(self, address: str) -> None:
        """Raises ``TooManyRequests`` while the address has to wait."""
        with self._lock:
            _, again = self._wrong.get(address, (0, 0.0))
        wait = again - self._clock()
        if wait > 0:
            raise TooManyRequests(
                f"There were too many wrong passwords from {address}. Try again in {wait:.0f} s.", max(1, round(wait))
            )

    def failed(self, address: str) -> None:
        with self._lock:
            tries = self._wrong.pop(address, (0, 0.0))[0] + 1
            over = tries - FREE_TRIES
            wait = min(LONGEST_WAIT, 2 ** min(over, 20)) if over > 0 else 0
            self._wrong[address] = (tries, self._clock() + wait)
            while len(self._wrong) > _REMEMBERED:
                self._wrong.popitem(last=False)

    def succeeded(self, address: str) -> None:
        with self._lock:
            self._wrong.pop(address, None)
