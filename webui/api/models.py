"""Which model files there are, in A1111's terms. Names and hashes, never where they lie."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from webui.api.answers import Answer, ApiRoute
from webui.api.options import title_of
from webui.api.parts import Parts
from webui.runtime import Runtime


def router(parts: Parts) -> APIRouter:
    runtime = parts.runtime
    routes = APIRouter(route_class=ApiRoute, tags=["A1111: models"])

    def usable(kind: str) -> list[Any]:
        return [file for file in runtime.library.files(kind) if not file.problem]

    @routes.get("/sdapi/v1/sd-models", response_class=Answer)
    def sd_models() -> Response:
        """``hash`` and ``sha256`` are null until a picture was drawn with the checkpoint."""
        return Answer([_checkpoint(runtime, file) for file in usable("checkpoint")])

    @routes.get("/sdapi/v1/sd-vae", response_class=Answer)
    @routes.get("/sdapi/v1/sd-modules", response_class=Answer, summary="As Forge calls them")
    def sd_vae() -> Response:
        return Answer([{"model_name": file.path.name, "filename": file.path.name} for file in usable("vae")])

    @routes.get("/sdapi/v1/hypernetworks", response_class=Answer)
    def hypernetworks() -> Response:
        return Answer([{"name": file.name, "path": file.path.name} for file in usable("hypernetwork")])

    @routes.get("/sdapi/v1/loras", response_class=Answer)
    def loras() -> Response:
        return Answer([_lora(file) for file in usable("lora")])

    @routes.get("/sdapi/v1/embeddings", response_class=Answer)
    def embeddings() -> Response:
        """``skipped`` are those that cannot be read; whether one fits a checkpoint is told when it is drawn with."""
        files = runtime.library.files("embedding")
        return Answer(
            {
                "loaded": {file.name: _embedding(file) for file in files if not file.problem},
                "skipped": {file.name: _embedding(file) for file in files if file.problem},
            }
        )

    async def refresh(request: Request) -> Response:
        """Look at the model folders again."""
        await run_in_threadpool(runtime.rescan)
        return Answer(None)

    for name in ("refresh-checkpoints", "refresh-vae", "refresh-loras", "refresh-embeddings"):
        routes.post(f"/sdapi/v1/{name}", response_class=Answer, name=name, operation_id=name)(refresh)

    return routes


def _checkpoint(runtime: Runtime, file: Any) -> dict[str, Any]:
    sha256 = runtime.library.known_hash(file)
    return {
        "title": title_of(runtime, file),
        "model_name": file.name.replace("/", "_").replace("\\", "_"),
        "hash": sha256[:10] or None,
        "sha256": sha256 or None,
        "filename": file.path.name,
        "config": None,
    }


def _lora(file: Any) -> dict[str, Any]:
    """``metadata`` is what the file tells people."""
    about = {key: value for key, value in file.about.items() if isinstance(value, str | int | float | list | dict)}
    return {"name": file.name, "alias": about.get("alias") or file.name, "path": file.path.name, "metadata": about}


def _embedding(file: Any) -> dict[str, Any]:
    said = file.configs.get("embedding", {})
    return {
        "step": said.get("step") or None,
        "sd_checkpoint": None,
        "sd_checkpoint_name": said.get("checkpoint") or None,
        "shape": max(said.get("widths", {}).values(), default=0),
        "vectors": said.get("vectors", 0),
    }
