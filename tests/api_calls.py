"""What tests of the API send and read."""

from __future__ import annotations

import base64
import io
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx2
from PIL import Image

PASSWORD = "correct horse battery"
SMALL: dict[str, Any] = {"width": 128, "height": 128, "steps": 2, "seed": 1, "cfg_scale": 2.5}
LONG: dict[str, Any] = {"width": 128, "height": 128, "steps": 1000, "seed": 1}  # minutes, unless it is stopped

Ask = Callable[..., httpx2.Client]


def pixels(encoded: str) -> bytes:
    with Image.open(io.BytesIO(base64.b64decode(encoded))) as picture:
        return picture.tobytes()


def base64_png(colour: str = "teal", size: tuple[int, int] = (128, 128)) -> str:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def eventually(happens: Callable[[], Any], seconds: float = 60.0) -> Any:
    """What ``happens`` gives once it is true. The bound is for a test that would otherwise never end."""
    end = time.monotonic() + seconds
    while not (found := happens()):
        assert time.monotonic() < end, "it never came"
        threading.Event().wait(0.01)
    return found
