"""What the routes share: the Runtime, and what the API keeps about its callers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from webui.accounts.asker import account_of
from webui.api.options import CallerOptions
from webui.api.submitted import Submitted
from webui.runtime import LOCAL_OWNER, Runtime


@dataclass(frozen=True)
class Parts:
    """Held by every route."""

    runtime: Runtime
    options: CallerOptions
    submitted: Submitted


def parts_of(runtime: Runtime) -> Parts:
    return Parts(runtime, CallerOptions(runtime, runtime.settings.var_dir / "api-options"), Submitted(runtime))


def owner_of(request: Request) -> str:
    """Whose jobs the caller sees: the account's, or where there are no accounts those of everybody at this server."""
    account = account_of(request.scope)
    return LOCAL_OWNER if account is None else account.name


def is_admin(request: Request) -> bool:
    """Where there are no accounts, everybody may do everything."""
    account = account_of(request.scope)
    return account is None or account.is_admin


def json_body(schema: Mapping[str, Any], example: Any = None) -> dict[str, Any]:
    """What OpenAPI is told of a body that the route reads itself."""
    content: dict[str, Any] = {"schema": dict(schema)}
    if example is not None:
        content["example"] = example
    return {"requestBody": {"content": {"application/json": content}}}
