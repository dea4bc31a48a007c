"""Who asks: read once at the gate, carried in the request's state, and asked for by whatever handles it."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any

from starlette.datastructures import Headers

from webui.accounts.account import Account
from webui.accounts.accounts import Accounts

SESSION_COOKIE = "lucid_session"
_ACCOUNT = "lucid.account"


def session_key(headers: Headers) -> str | None:
    """What the browser's cookie holds."""
    try:
        cookies = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return None
    return cookies[SESSION_COOKIE].value if SESSION_COOKIE in cookies else None


def find_account(accounts: Accounts, headers: Headers, address: str) -> Account | None:
    """By the browser's session, a token ("Authorization: Bearer ..."), or name and password (HTTP Basic, as A1111's API).

    A token may also stand in the place of a Basic password, for programs that know only that. None: nobody that we know.
    Raises ``TooManyRequests`` when the address has guessed too often.
    """
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return accounts.who(credentials.strip())
    if scheme.lower() == "basic":
        name, password = _name_and_password(credentials)
        return accounts.who(password) or accounts.check_basic(name, password, address)
    key = session_key(headers)
    return accounts.who(key) if key else None


def _name_and_password(credentials: str) -> tuple[str, str]:
    try:
        name, _, password = base64.b64decode(credentials.strip(), validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return name, password


def remember(scope: Any, account: Account | None) -> None:
    scope.setdefault("state", {})[_ACCOUNT] = account


def account_of(scope: Mapping[str, Any]) -> Account | None:
    """The account that asks; None where there are no accounts. Raises ``KeyError`` for what did not pass the gate."""
    account: Account | None = scope["state"][_ACCOUNT]
    return account
