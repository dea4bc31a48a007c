"""Pictures over HTTP: those of the outputs folder, by their path within it, small versions of them, and input pictures.

Gradio would copy each picture into its own cache and serve it by its absolute path. Here a picture stays the one file that
it is, its address tells nothing about the server's disk, and nothing but pictures of the asker can be had.

Input pictures (what img2img starts from, and masks) are handed in as the bytes of a picture file, and answered with the id
that a request can name.
"""

from __future__ import annotations

import asyncio
import io
from typing import Any
from urllib.parse import quote

from PIL import Image
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from webui.errors import UnreadablePicture, WebUIError
from webui.runtime import Runtime
from webui.tabs.components import owner_of

FOLDER = "pictures"
INPUTS = "/lucid/inputs"
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
_THUMBNAIL_SIDES = (160, 320)
_DECODED_AT_ONCE = 2


def picture_address(path: str) -> str:
    """Where a browser finds the picture, relative to the page (which may live under a sub-path)."""
    return f"{FOLDER}/{quote(path)}"


def routes(runtime: Runtime) -> list[Route]:
    """For the page's application."""

    def picture(request: Request) -> Response:
        path = request.path_params["path"]
        if not path.lower().endswith(SUFFIXES):
            return _missing()
        try:
            if not runtime.history.made(owner_of(request), path):
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

    def keep(data: bytes, owner: str) -> dict[str, Any]:
        id = runtime.add_input(data, owner)
        with Image.open(runtime.inputs.path(id, owner)) as kept:
            return {"id": id, "width": kept.width, "height": kept.height, "has_alpha": kept.mode == "RGBA"}

    async def hand_in(request: Request) -> Response:
        owner, data, most = owner_of(request), bytearray(), runtime.inputs.most_bytes
        try:
            async for part in request.stream():
                data += part
                if len(data) > most:  # the rest is not even read
                    return _refused(f"The file is larger than {most // 2**20} MB. Choose a smaller one.", 413)
        except ClientDisconnect:
            return Response(status_code=400)
        try:
            async with decoding:  # a picture of a few bytes can unpack to 256 MB: not too many of them at once
                return JSONResponse(await run_in_threadpool(keep, bytes(data), owner))
        except UnreadablePicture as error:
            return _refused(str(error), 415)
        except WebUIError as error:
            return _refused(str(error), 507)

    def input_picture(request: Request) -> Response:
        try:
            file = runtime.inputs.path(request.path_params["id"], owner_of(request))
        except WebUIError:
            return _missing()
        # the id is made of the pixels, so what it names never changes
        return FileResponse(
            file, media_type="image/png", headers={"Cache-Control": "private, max-age=31536000, immutable"}
        )

    decoding = asyncio.Semaphore(_DECODED_AT_ONCE)
    return [
        Route(f"/{FOLDER}/{{path:path}}", picture, methods=["GET", "HEAD"]),
        Route(INPUTS, hand_in, methods=["POST"]),
        Route(f"{INPUTS}/{{id}}", input_picture, methods=["GET", "HEAD"]),
    ]


def thumbnail(data: bytes, side: int) -> bytes:
    """A WebP of at most ``side`` pixels a side; a smaller picture keeps its size."""
    with Image.open(io.BytesIO(data)) as image:
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
        out = io.BytesIO()
        image.convert("RGB").save(out, "WEBP", quality=82)
    return out.getvalue()


def _refused(sentence: str, status: int) -> Response:
    return JSONResponse({"error": sentence}, status_code=status)


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
