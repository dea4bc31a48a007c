"""Server-sent events of one job. The stream may break at any time: whoever asks again gets the state as it is then."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.requests import Request

from webui.api.waiting import changes
from webui.jobs.job import Job, JobSnapshot

_EVERY = 0.2  # seconds between two events at least
_HEARTBEAT = 15.0  # seconds; proxies close what says nothing for a minute


async def as_events(
    request: Request, job: Job, described: Callable[[JobSnapshot], dict[str, Any]], *, previews: bool
) -> AsyncIterator[bytes]:
    """``event: state`` and ``event: preview``, each with JSON; a comment where nothing happens for long."""
    shown = 0
    yield b"retry: 2000\n\n"
    async for snapshot in changes(request, job, _EVERY, _HEARTBEAT):
        if snapshot is None:
            yield b": nothing new\n\n"
            continue
        yield _event("state", described(snapshot))
        if previews and snapshot.preview_number != shown and (preview := job.preview()):
            shown = snapshot.preview_number
            encoded = base64.b64encode(preview).decode("ascii")
            yield _event("preview", {"number": shown, "jpeg": encoded})


def _event(name: str, content: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(content)}\n\n".encode("ascii")
