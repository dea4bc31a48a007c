"""The pages of the gate: signing in, and one's own account (password, tokens, sessions). Plain HTML, without a script.

They work before anything else does, and show nothing of the server but its name.
"""

from __future__ import annotations

import html
import time
from collections.abc import Callable, Mapping
from importlib import resources
from string import Template
from typing import Any
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from webui.accounts.account import Account
from webui.accounts.accounts import SESSION_SECONDS, Accounts, Key
from webui.accounts.asker import SESSION_COOKIE, account_of, session_key
from webui.errors import InvalidRequest, NotAllowed, TooManyRequests, WebUIError
from webui.gate.gate import root_of

_LONGEST_FORM = 16 * 1024  # bytes
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
_HEADERS = {"Cache-Control": "no-store", "Content-Security-Policy": _POLICY}


def routes(accounts: Accounts) -> list[Route]:
    """/login, /logout, /account and /health."""

    def login(request: Request, form: Mapping[str, str]) -> Response:
        goal = local_path(request.query_params.get("next", form.get("next", "/")))
        if not accounts.exist():
            return RedirectResponse(root_of(request.scope) + goal, 303)
        if request.method != "POST":
            return _login_page(request, goal)
        name = form.get("name", "")
        try:
            account = accounts.check_password(name, form.get("password", ""), _address(request))
        except (NotAllowed, TooManyRequests) as error:
            return _login_page(request, goal, name, str(error), 429 if isinstance(error, TooManyRequests) else 403)
        answer = RedirectResponse(root_of(request.scope) + goal, 303)
        answer.set_cookie(
            SESSION_COOKIE,
            accounts.open_session(account, request.headers.get("user-agent", "a browser")),
            max_age=SESSION_SECONDS,
            path=root_of(request.scope) + "/",
            httponly=True,
            samesite="lax",
            secure=request.url.scheme == "https",
        )
        return answer

    def logout(request: Request, form: Mapping[str, str]) -> Response:
        key = session_key(request.headers)
        if key:
            accounts.close_session(key)
        answer = RedirectResponse(f"{root_of(request.scope)}/login", 303)
        answer.delete_cookie(SESSION_COOKIE, path=root_of(request.scope) + "/")
        return answer

    def account_page(request: Request, form: Mapping[str, str]) -> Response:
        account = account_of(request.scope)
        if account is None:
            return RedirectResponse(root_of(request.scope) + "/", 303)
        if request.method != "POST":
            return _account_page(request, accounts, account)
        try:
            said, token = _change(accounts, account, form, _address(request))
        except WebUIError as error:
            return _account_page(request, accounts, account, wrong=str(error), status=400)
        return _account_page(request, accounts, account, said=said, token=token)

    def me(request: Request, form: Mapping[str, str]) -> Response:
        account = account_of(request.scope)
        return JSONResponse(account and {"name": account.name, "role": account.role}, headers=_HEADERS)

    def health(request: Request, form: Mapping[str, str]) -> Response:
        return JSONResponse({"status": "ok"}, headers=_HEADERS)

    return [
        Route("/login", _with_form(login), methods=["GET", "POST"]),
        Route("/logout", _with_form(logout), methods=["POST"]),
        Route("/account", _with_form(account_page), methods=["GET", "POST"]),
        Route("/account/me", _with_form(me)),
        Route("/health", _with_form(health)),
    ]


def _change(accounts: Accounts, account: Account, form: Mapping[str, str], address: str) -> tuple[str, str]:
    """Do what a form of the account page asks for. Returns what to say, and the token that was made."""
    wish = form.get("do", "")
    if wish == "password":
        accounts.check_password(account.name, form.get("old", ""), address)
        if form.get("new", "") != form.get("again", ""):
            raise InvalidRequest("The two new passwords differ.", "again")
        accounts.set_password(account.name, form.get("new", ""))
        return "The password is changed, and you are signed out everywhere. Sign in with the new one.", ""
    if wish == "token":
        return "", accounts.make_token(account.name, form.get("label", ""))
    if wish == "remove":
        accounts.remove_key(account.name, form.get("key", ""))
        return "It is removed.", ""
    raise InvalidRequest(f'There is nothing called "{wish}" to do here.', "do")


def local_path(text: str) -> str:
    """Where to go after signing in: a path of this server, never another one's.

    >>> local_path("/?a=1"), local_path("//evil.example"), local_path("https://evil.example"), local_path("/\\\\evil.example")
    ('/?a=1', '/', '/', '/')
    """
    is_local = text.startswith("/") and not text.startswith("//") and "\\" not in text and text.isprintable()
    return text if is_local else "/"


def _login_page(request: Request, goal: str, name: str = "", wrong: str = "", status: int = 200) -> Response:
    return _page("login.html", status, request, name=name, goal=goal, wrong=wrong)


def _account_page(
    request: Request,
    accounts: Accounts,
    account: Account,
    said: str = "",
    wrong: str = "",
    token: str = "",
    status: int = 200,
) -> Response:
    keys = "".join(_key_row(key) for key in accounts.keys(account.name))
    role = "an administrator" if account.is_admin else "a user"
    return _page(
        "account.html",
        status,
        request,
        name=account.name,
        role=role,
        said=said,
        wrong=wrong,
        token=token,
        rows=_Raw(keys),
    )


def _key_row(key: Key) -> str:
    def day(moment: float) -> str:
        return time.strftime("%Y-%m-%d", time.localtime(moment))

    kind = "token" if key.kind == "token" else "signed in"
    return (
        f"<tr><td>{kind}</td><td>{html.escape(key.label)}</td><td>{day(key.created)}</td><td>{day(key.seen)}</td>"
        f'<td><button name="key" value="{key.id}" aria-label="Remove {html.escape(key.label)}">Remove</button></td></tr>'
    )


class _Raw(str):
    """HTML already."""


def _page(template: str, status: int, request: Request, **values: str) -> HTMLResponse:
    folder = resources.files("webui.gate").joinpath("assets")
    shown = {key: value if isinstance(value, _Raw) else html.escape(value) for key, value in values.items()}
    shown |= {f"{key}_hidden": "" if value else "hidden" for key, value in values.items()}
    style = folder.joinpath("gate.css").read_text(encoding="utf-8")
    text = Template(folder.joinpath(template).read_text(encoding="utf-8"))
    return HTMLResponse(text.substitute(shown, style=style, root=root_of(request.scope)), status, _HEADERS)


def _address(request: Request) -> str:
    return request.client.host if request.client else "unknown"


def _with_form(handler: Callable[[Request, Mapping[str, str]], Response]) -> Any:
    """An endpoint that reads the form, a small one, and does its work in a thread: hashing a password takes a while."""

    async def endpoint(request: Request) -> Response:
        body = b""
        if request.method == "POST":
            async for part in request.stream():
                body += part
                if len(body) > _LONGEST_FORM:
                    return Response("The form is too long.", 413, media_type="text/plain")
        form = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=20))
        return await run_in_threadpool(handler, request, form)

    return endpoint
