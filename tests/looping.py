"""Gradio makes an event loop of its own, and never closes it, where none is running."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def in_a_loop(make: Callable[[], T]) -> T:
    """Run ``make`` while a loop runs, in a thread of its own: the journeys' browser keeps a loop running in this one."""

    async def run() -> T:
        return make()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(run())).result()
