"""An account as the rest of the program sees it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from webui.errors import InvalidRequest

ROLES = ("user", "admin")
SHORTEST_PASSWORD = 10  # characters; NIST SP 800-63B asks for 8 and no rules about kinds of characters
LONGEST_PASSWORD = 1024
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")
_RESERVED = ("local",)  # whose everything is that was made without accounts


@dataclass(frozen=True)
class Account:
    """``name`` is also the owner of the jobs and pictures of this account."""

    name: str
    role: str = "user"

    @property
    def is_admin(self) -> bool:
        return self.role == "admin"


def checked_name(text: str) -> str:
    """The name in small letters, or ``InvalidRequest``.

    >>> checked_name(" Anna ")
    'anna'
    """
    name = text.strip().lower()
    if not _NAME.fullmatch(name):
        raise InvalidRequest(
            f'"{text}" cannot be the name of an account: up to 32 letters a to z, digits, ".", "_" and "-", '
            "beginning with a letter or a digit.",
            "name",
        )
    if name in _RESERVED:
        raise InvalidRequest(f'"{name}" stands for what was made without an account. Choose another name.', "name")
    return name


def checked_password(password: str, name: str) -> str:
    """The password, or ``InvalidRequest`` where it is too short, too long, or the name itself."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise InvalidRequest(
            f"A password has at least {SHORTEST_PASSWORD} characters, and at most {LONGEST_PASSWORD}. Three or four "
            "words in a row are easy to remember.",
            "password",
        )
    if name in password.lower() and len(password) < len(name) + SHORTEST_PASSWORD:
        raise InvalidRequest("The password is hardly more than the name. Choose another one.", "password")
    return password


def checked_role(role: str) -> str:
    if role not in ROLES:
        raise InvalidRequest(f'There is no role "{role}": an account is a {" or an ".join(ROLES)}.', "role")
    return role
