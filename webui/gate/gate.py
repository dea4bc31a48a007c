"""``Gate``: an ASGI middleware around the whole server. What it does not let through, nothing behind it ever sees.

In this order, for every request and websocket:

1. *Host*. Without accounts, a page of a stranger could have its own name point to this computer and then read everything
   (DNS rebinding). So names are answered to only if they are this computer's, or in the setting ``trusted_hosts``.
2. *Origin*. A browser says which page makes it send something. Only our own page may, and those in ``cors_origins``; else any
   page that somebody visits could put jobs into the queue of a server that trusts the browser.
3. *Size*. A body larger than the setting ``max_upload_mb`` is not read to its end.
4. *Account*. Where there are accounts, everything but ``PUBLIC`` wants one. The handlers ask ``asker.account_of``.
"""

from __future__ import annotations

import ipaddress
import json
import socket
from collections.abc import Iterable
from functools import cached_property
from urllib.parse import quote, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from webui.accounts.accounts import Accounts
from webui.accounts.asker import find_account, remember
from webui.errors import StorageFailure, TooManyRequests

PUBLIC = ("/login", "/health")  # all that is answered without an account
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_FOR_PROGRAMS = ("/sdapi/", "/internal/", "/api/", "/v1/", "/queue/", "/metrics", "/docs", "/openapi.json")


class Gate:
    """``origins`` are other pages that may use the server, such as ``https://example.org``; ``hosts`` further names of it."""

    def __init__(
        self,
        app: ASGIApp,
        accounts: Accounts,
        *,
        hosts: Iterable[str] = (),
        origins: Iterable[str] = (),
        max_body: int = 64 * 2**20,
    ) -> None:
        self._app = app
        self._accounts = accounts
        self._more_hosts = frozenset(host.casefold() for host in hosts)
        self._origins = frozenset(origin.rstrip("/").casefold() for origin in origins)
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = await run_in_threadpool(self._refusal, scope, headers)
        if refusal is not None:
            await self._refuse(refusal, scope, receive, send)
            return
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
            return
        body, answer = _BoundedBody(receive, self._max_body), _SafeAnswer(send)
        try:
            await self._app(scope, body, answer)
        except ClientDisconnect:
            if not body.is_too_large:
                raise
        if body.is_too_large and not answer.has_begun:
            await self._too_large()(scope, receive, send)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        """What to answer instead of letting the request in; None lets it in. Remembers whose it is."""
        try:
            has_accounts = self._accounts.exist()
            if not has_accounts and not self._is_own_name(headers.get("host", "")):
                return _sentence(
                    403,
                    f'This server does not answer to the name "{headers.get("host", "")}". Use its address, or add the '
                    "name to the setting trusted_hosts.",
                )
            if not self._is_own_page(scope, headers):
                return _sentence(
                    403,
                    f"A page of {headers['origin']} may not use this server. The setting cors_origins allows pages.",
                )
            if int(headers.get("content-length") or 0) > self._max_body:
                return self._too_large()
            account = None
            if has_accounts:
                address = (scope.get("client") or ("unknown",))[0]
                account = find_account(self._accounts, headers, address)
                if account is None and path_of(scope) not in PUBLIC:
                    return self._who_are_you(scope, headers)
            remember(scope, account)
        except TooManyRequests as error:
            return _sentence(429, str(error), {"Retry-After": str(error.seconds)})
        except StorageFailure as error:  # who cannot be told from others gets nothing
            return _sentence(503, str(error))
        except ValueError:
            return _sentence(400, "The header Content-Length is no number.")
        return None

    def _who_are_you(self, scope: Scope, headers: Headers) -> Response:
        path = path_of(scope)
        if scope["type"] == "http" and scope["method"] == "GET" and "text/html" in headers.get("accept", ""):
            query = scope.get("query_string", b"").decode("latin-1")
            return RedirectResponse(f"{root_of(scope)}/login?next={quote(path + ('?' + query if query else ''))}", 303)
        for_programs = path.startswith(_FOR_PROGRAMS)  # elsewhere a browser would ask for a password by itself
        return _sentence(
            401,
            "Sign in first: this server has accounts. Programs send a name and password (HTTP Basic) or a token (Bearer).",
            {"WWW-Authenticate": 'Basic realm="Lucid", charset="UTF-8"'} if for_programs else {},
        )

    def _too_large(self) -> Response:
        return _sentence(413, f"More than {self._max_body // 2**20} MB were sent. Send a smaller file.")

    @cached_property
    def _own_names(self) -> frozenset[str]:
        name = socket.gethostname().casefold()
        return frozenset({"localhost", name, name.partition(".")[0], f"{name.partition('.')[0]}.local"})

    def _is_own_name(self, host: str) -> bool:
        name = (urlsplit(f"//{host}").hostname or "").casefold()
        try:
            ipaddress.ip_address(name.partition("%")[0])
        except ValueError:
            return name in self._own_names or name in self._more_hosts
        return True  # an address is no name that somebody could point elsewhere

    def _is_own_page(self, scope: Scope, headers: Headers) -> bool:
        origin = headers.get("origin")
        if origin is None or (scope["type"] == "http" and scope["method"] in SAFE_METHODS):
            return True
        asked_at = {headers.get("host", "").casefold(), headers.get("x-forwarded-host", "").casefold()} - {""}
        return urlsplit(origin).netloc.casefold() in asked_at or origin.casefold() in self._origins

    async def _refuse(self, answer: Response, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": "not allowed"})
        else:
            await answer(scope, receive, send)


class _BoundedBody:
    """Stops handing out a body that turns out larger than it may be, whatever its header said."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._left = limit

    @property
    def is_too_large(self) -> bool:
        return self._left < 0

    async def __call__(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
        return {"type": "http.disconnect"} if self.is_too_large else message


class _SafeAnswer:
    """Adds the headers that every answer has."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.has_begun = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.has_begun = True
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
        await self._send(message)


def path_of(scope: Scope) -> str:
    """The path within this server, without the prefix that a reverse proxy put before it."""
    path: str = scope["path"]
    return path.removeprefix(root_of(scope)) or "/"


def root_of(scope: Scope) -> str:
    return str(scope.get("root_path", "")).rstrip("/")


def _sentence(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    """As A1111's clients read an error: ``detail`` holds the sentence."""
    return Response(json.dumps({"detail": text}), status, headers, media_type="application/json")
