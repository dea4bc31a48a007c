"""The pictures of the outputs folder over HTTP, by their path within it, and small versions of them.

Gradio would copy each picture into its own cache and serve it by its absolute path. Here a picture stays the one file that
it is, its address tells nothing about the server's disk, and nothing but pictures of the asker can be had.
"""

from __future__ import annotations

import io
from urllib.parse import quote

from PIL import Image
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from webui.errors import WebUIError
from webui.runtime import Runtime
from webui.tabs.components import owner_of

FOLDER = "pictures"
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
_THUMBNAIL_SIDES = (160, 320)


def picture_address(path: str) -> str:
    """Where a browser finds the picture, relative to the page (which may live under a sub-path)."""
    return f"{FOLDER}/{quote(path)}"


def routes(runtime: Runtime) -> list[Route]:
    """The one route, for the page's application."""

    def picture(request: Request) -> Response:
        path = request.path_params["path"]
        if not path.lower().endswith(SUFFIXES):
            return _missing()
        try:
            if not runtime.history.made(owner_of(None), path):
                return _missing()
            file = runtime.outputs.resolve(path)
            facts = file.stat()
        except (WebUIError, OSError):
            return _missing()
        # Asked again each time and mostly answered "the same": a name can come back after its file was deleted.
        tag = f'"{facts.st_mtime_ns:x}-{facts.st_size:x}"'
        headers = {"Cache-Control": "private, no-cache", "ETag": tag}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        side = request.query_params.get("side", "")
        if side.isdigit() and int(side) in _THUMBNAIL_SIDES:
            return Response(thumbnail(file.read_bytes(), int(side)), media_type="image/webp", headers=headers)
        return FileResponse(file, headers=headers)

    return [Route(f"/{FOLDER}/{{path:path}}", picture, methods=["GET", "HEAD"])]


def thumbnail(data: bytes, side: int) -> bytes:
    """A WebP of at most ``side`` pixels a side; a smaller picture keeps its size."""
    with Image.open(io.BytesIO(data)) as image:
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
        out = io.BytesIO()
        image.convert("RGB").save(out, "WEBP", quality=82)
    return out.getvalue()


def _missing() -> Response:
    return Response("There is no such picture.", status_code=404, media_type="text/plain")


class OnlyOwnFiles:
    """Refuses what Gradio would serve or fetch besides the page: files by path, other servers' files, uploads.

    Nothing here needs them. ``/gradio_api/file=http://...`` would make this server fetch an address for anybody.
    """

    _REFUSED = ("/gradio_api/file=", "/gradio_api/file/", "/gradio_api/proxy=", "/gradio_api/upload")

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and any(part in scope["path"] for part in self._REFUSED):
            await _missing()(scope, receive, send)
        else:
            await self._app(scope, receive, send)
