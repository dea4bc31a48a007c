"""/openapi.json, and /docs: the same for people, as a page that asks nobody else for scripts."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from functools import cache
from importlib import resources
from string import Template
from typing import Any

from fastapi import APIRouter
from fastapi.openapi.utils import get_openapi
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from webui import __version__
from webui.api.answers import Answer

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
_ABOUT = (
    "Three ways in: A1111's API for programs that know it, /api/v1 for jobs that are watched, and OpenAI's way of asking for "
    "pictures. Where the server has accounts, send a name and password (HTTP Basic) or a token (Bearer) with every request."
)


def router(described: Sequence[Any]) -> APIRouter:
    """``described`` are the routes that the description tells of."""
    routes = APIRouter()

    @cache
    def description() -> dict[str, Any]:
        told = get_openapi(title="Lucid", version=__version__, description=_ABOUT, routes=described)
        told.setdefault("components", {})["securitySchemes"] = {
            "password": {"type": "http", "scheme": "basic"},
            "token": {"type": "http", "scheme": "bearer"},
        }
        told["security"] = [{}, {"password": []}, {"token": []}]
        return told

    @routes.get("/openapi.json", include_in_schema=False)
    def openapi(request: Request) -> Response:
        root = request.scope.get("root_path", "")
        return Answer({**description(), **({"servers": [{"url": root}]} if root else {})})

    @routes.get("/docs", include_in_schema=False)
    def docs() -> Response:
        return HTMLResponse(page(description()), headers={"Content-Security-Policy": _POLICY})

    return routes


def page(description: dict[str, Any]) -> str:
    """The description as HTML."""
    by_tag: dict[str, list[str]] = {}
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            for tag in operation.get("tags", ["Others"]):
                by_tag.setdefault(tag, []).append(_operation(method, path, operation))
    parts = [f"<h2>{html.escape(tag)}</h2>\n" + "\n".join(rows) for tag, rows in by_tag.items()]
    template = resources.files("webui.api").joinpath("assets").joinpath("docs.html").read_text(encoding="utf-8")
    return Template(template).substitute(
        version=html.escape(str(description["info"]["version"])), about=html.escape(_ABOUT), routes="\n".join(parts)
    )


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    body = operation.get("requestBody", {}).get("content", {})
    rows, example = "", ""
    for content in body.values():
        properties = content.get("schema", {}).get("properties", {})
        rows = "".join(_row(name, schema) for name, schema in properties.items())
        if "example" in content:
            example = f"<pre>{html.escape(json.dumps(content['example'], indent=2))}</pre>"
    rows = "".join(_row(one["name"], one.get("schema", {})) for one in operation.get("parameters", ())) + rows
    table = f"<table><tr><th>field<th>kind<th>default<th>what it is</tr>{rows}</table>" if rows else ""
    text = html.escape(operation.get("description", ""))
    return (
        f"<details><summary><b class={method}>{method.upper()}</b> <code>{html.escape(path)}</code> "
        f"{html.escape(operation.get('summary', ''))}</summary><p>{text}</p>{example}{table}</details>"
    )


def _row(name: str, schema: dict[str, Any]) -> str:
    kind = schema.get("type", "") or " or ".join(one.get("type", "") for one in schema.get("anyOf", ()))
    if "minimum" in schema and "maximum" in schema:
        low, high = (int(end) if end == int(end) else end for end in (schema["minimum"], schema["maximum"]))
        kind += f", {low} to {high}"
    if "enum" in schema:
        kind += f": {', '.join(map(str, schema['enum']))}"
    default = json.dumps(schema["default"]) if "default" in schema else ""
    told = schema.get("description", "")
    return f"<tr><td><code>{html.escape(name)}</code><td>{html.escape(kind)}<td>{html.escape(default)}<td>{html.escape(told)}</tr>"
