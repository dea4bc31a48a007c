"""``lucid users``: make and change accounts, also while a server runs; it asks the same file.

A password is asked for at the terminal, or read from standard input, and never stands in a command line, where others see it.
"""

from __future__ import annotations

import argparse
import getpass
import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from webui.accounts.account import ROLES
from webui.errors import InvalidRequest
from webui.flags import Parser
from webui.settings import Settings

if TYPE_CHECKING:
    from webui.accounts.accounts import Accounts


def add_flags(parser: Parser) -> None:
    parser.add_argument("action", choices=sorted(ACTIONS), help="What to do: " + "; ".join(_meanings()) + ".")
    parser.add_argument("name", nargs="?", help="The account.")
    parser.add_argument("--admin", action="store_true", help="add: it is to be an administrator.")
    parser.add_argument("--role", choices=ROLES, help="role: what it is to be.")
    parser.add_argument("--label", default="", help="token: what it is for.")
    parser.add_argument(
        "--adopt", action="store_true", help="add: give it the jobs and pictures that were made without an account."
    )
    parser.add_argument("--password-stdin", action="store_true", help="Read the password from standard input.")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Raises ``InvalidRequest`` for what cannot be done."""
    from webui.runtime import accounts_of  # here and not above: --help waits for nothing

    if args.name is None and args.action != "list":
        raise InvalidRequest(f"Name the account: lucid users {args.action} NAME.", "name")
    accounts = accounts_of(settings)
    try:
        ACTIONS[args.action][1](accounts, args, settings)
    finally:
        accounts.close()
    return 0


def _list(accounts: Accounts, args: argparse.Namespace, settings: Settings) -> None:
    found = accounts.all()
    for account in found:
        print(f"{account.name}\t{account.role}")
    if not found:
        print("There are no accounts: whoever reaches the server may use it.")


def _add(accounts: Accounts, args: argparse.Namespace, settings: Settings) -> None:
    account = accounts.add(args.name, _password(args), "admin" if args.admin else "user")
    print(f"{account.name} may sign in, as {account.role}. From now on nobody gets in without an account.")
    if args.adopt:
        from webui.runtime import adopt_local

        print(f"{adopt_local(settings, account.name)} jobs that were made without an account are theirs now.")


def _remove(accounts: Accounts, args: argparse.Namespace, settings: Settings) -> None:
    accounts.remove(args.name)
    print(f"{args.name} is removed; the pictures stay in the outputs folder.")
    if not accounts.exist():
        print("That was the last account: whoever reaches the server may use it now.")


def _set_password(accounts: Accounts, args: argparse.Namespace, settings: Settings) -> None:
    accounts.set_password(args.name, _password(args))
    print(f"{args.name} has a new password, and is signed out everywhere.")


def _set_role(accounts: Accounts, args: argparse.Namespace, settings: Settings) -> None:
    if args.role is None:
        raise InvalidRequest("Say which: --role user or --role admin.", "role")
    accounts.set_role(args.name, args.role)
    print(f"{args.name} is {args.role} now.")


def _token(accounts: Accounts, args: argparse.Namespace, settings: Settings) -> None:
    token = accounts.make_token(args.name, args.label)
    print("A token for programs, shown this once:", file=sys.stderr)
    print(token)


def _password(args: argparse.Namespace) -> str:
    if args.password_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass(f"Password for {args.name}: ")
    if getpass.getpass("Again: ") != password:
        raise InvalidRequest("The two passwords differ. Nothing was changed.", "password")
    return password


# action -> what it does, the function
ACTIONS: Mapping[str, tuple[str, Callable[[Accounts, argparse.Namespace, Settings], None]]] = MappingProxyType(
    {
        "add": ("makes an account", _add),
        "list": ("shows all", _list),
        "password": ("sets another password", _set_password),
        "remove": ("ends it", _remove),
        "role": ("makes it user or admin", _set_role),
        "token": ("makes a token for programs", _token),
    }
)


def _meanings() -> list[str]:
    return [f"{action} {meaning}" for action, (meaning, _) in ACTIONS.items()]
