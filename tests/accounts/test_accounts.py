"""Accounts: what is stored, who gets in, and what ends with what."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from webui.accounts.account import Account
from webui.accounts.accounts import SESSION_SECONDS, Accounts
from webui.accounts.attempts import FREE_TRIES, LONGEST_WAIT, Attempts
from webui.errors import InvalidRequest, NotAllowed, TooManyRequests

PASSWORD = "correct horse battery"


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def accounts(tmp_path: Path, clock: Clock) -> Iterator[Accounts]:
    opened = Accounts(tmp_path / "var" / "accounts.sqlite3", clock)
    yield opened
    opened.close()


def test_nobody_is_known_and_no_file_is_made_until_there_is_an_account(accounts: Accounts, tmp_path: Path) -> None:
    assert not accounts.exist()
    assert not (tmp_path / "var").exists()
    accounts.add("Anna", PASSWORD, "admin")
    assert accounts.exist()
    assert accounts.all() == [Account("anna", "admin")]


def test_a_name_and_its_password_get_in_and_nothing_else_does(accounts: Accounts) -> None:
    anna = accounts.add("anna", PASSWORD)
    assert accounts.check_password(" ANNA", PASSWORD, "10.0.0.1") == anna
    for name, password in (("anna", PASSWORD + " "), ("anna", ""), ("ben", PASSWORD), ("", ""), ("anna' --", PASSWORD)):
        with pytest.raises(NotAllowed, match=r"The name or the password is wrong\."):
            accounts.check_password(name, password, f"10.0.0.{len(name + password)}")
    assert accounts.check_basic("anna", "wrong", "10.0.1.1") is None
    assert (
        accounts.check_basic("anna", PASSWORD, "10.0.1.1") == accounts.check_basic("anna", PASSWORD, "10.0.1.1") == anna
    )


def test_what_was_right_once_does_not_outlive_a_new_password(accounts: Accounts) -> None:
    accounts.add("anna", PASSWORD)
    assert accounts.check_basic("anna", PASSWORD, "10.0.0.1") is not None
    accounts.set_password("anna", "another long one")
    assert accounts.check_basic("anna", PASSWORD, "10.0.0.1") is None


@pytest.mark.parametrize(
    ("name", "password", "sentence"),
    [
        ("", PASSWORD, "cannot be the name of an account"),
        ("a b", PASSWORD, "cannot be the name of an account"),
        ("../x", PASSWORD, "cannot be the name of an account"),
        ("a" * 33, PASSWORD, "cannot be the name of an account"),
        ("local", PASSWORD, "stands for what was made without an account"),
        ("anna", "short", "at least 10 characters"),
        ("anna", "x" * 1025, "at most 1024"),
        ("anna", "anna123456", "hardly more than the name"),
    ],
)
def test_what_cannot_be_an_account_is_a_sentence(accounts: Accounts, name: str, password: str, sentence: str) -> None:
    with pytest.raises(InvalidRequest, match=sentence):
        accounts.add(name, password)
    assert not accounts.exist()


def test_a_name_is_taken_once_and_a_wrong_one_gets_near_matches(accounts: Accounts) -> None:
    accounts.add("anna", PASSWORD)
    with pytest.raises(InvalidRequest, match='an account "anna" already'):
        accounts.add("Anna", PASSWORD)
    with pytest.raises(InvalidRequest, match=r'no account "ana"\. Did you mean "anna"'):
        accounts.set_role("ana", "admin")


def test_the_file_holds_no_secret(accounts: Accounts, tmp_path: Path) -> None:
    anna = accounts.add("anna", PASSWORD)
    session, token = accounts.open_session(anna, "Firefox"), accounts.make_token("anna", "paint program")
    accounts.close()
    stored = b"".join(path.read_bytes() for path in (tmp_path / "var").iterdir())
    for secret in (PASSWORD, session, token, token.removeprefix("lucid_")):
        assert secret.encode() not in stored
    rows = sqlite3.connect(tmp_path / "var" / "accounts.sqlite3")
    assert rows.execute("SELECT password FROM accounts").fetchone()[0].startswith("$argon2id$")
    hashes = {row[0] for row in rows.execute("SELECT hash FROM keys")}
    assert hashes == {hashlib.sha256(key.encode()).hexdigest() for key in (session, token)}
    rows.close()


def test_a_session_ends_after_its_time_at_sign_out_and_with_a_new_password(accounts: Accounts, clock: Clock) -> None:
    anna = accounts.add("anna", PASSWORD)
    token = accounts.make_token("anna", "paint program")
    old = accounts.open_session(anna, "Firefox")
    assert accounts.who(old) == anna
    clock.now += SESSION_SECONDS + 1
    assert accounts.who(old) is None
    left, other = accounts.open_session(anna, "Firefox"), accounts.open_session(anna, "Chrome")
    accounts.close_session(left)
    assert (accounts.who(left), accounts.who(other)) == (None, anna)
    accounts.set_password("anna", "another long one")
    assert accounts.who(other) is None
    assert accounts.who(token) == anna, "a token lasts until it is removed"


def test_keys_are_listed_and_removed_one_by_one_only_by_their_owner(accounts: Accounts) -> None:
    accounts.add("anna", PASSWORD)
    accounts.add("ben", PASSWORD)
    token = accounts.make_token("anna", "paint program")
    (key,) = accounts.keys("anna")
    assert (key.kind, key.label) == ("token", "paint program")
    with pytest.raises(InvalidRequest, match='"ben" has no session or token'):
        accounts.remove_key("ben", key.id)
    assert accounts.who(token) is not None
    accounts.remove_key("anna", key.id)
    assert accounts.who(token) is None


def test_an_account_that_is_removed_takes_its_keys_along(accounts: Accounts) -> None:
    anna = accounts.add("anna", PASSWORD)
    keys = [accounts.open_session(anna, "Firefox"), accounts.make_token("anna", "x")]
    accounts.remove("anna")
    assert [accounts.who(key) for key in keys] == [None, None]
    assert not accounts.exist()


def test_a_running_server_sees_at_once_what_the_command_line_changes(accounts: Accounts, tmp_path: Path) -> None:
    assert not accounts.exist()
    other = Accounts(tmp_path / "var" / "accounts.sqlite3")
    other.add("anna", PASSWORD)
    assert accounts.exist()
    other.set_role("anna", "admin")
    other.close()
    assert accounts.find("anna").is_admin


def test_guessing_has_to_wait_longer_and_longer_and_others_do_not(accounts: Accounts, clock: Clock) -> None:
    accounts.add("anna", PASSWORD)
    for _ in range(FREE_TRIES + 1):
        with pytest.raises(NotAllowed):
            accounts.check_password("anna", "wrong", "10.0.0.1")
    with pytest.raises(TooManyRequests, match=r"Try again in 2 s") as waiting:
        accounts.check_password("anna", PASSWORD, "10.0.0.1")
    assert waiting.value.seconds == 2
    assert accounts.check_password("anna", PASSWORD, "10.0.0.2").name == "anna"
    clock.now += 3
    assert accounts.check_password("anna", PASSWORD, "10.0.0.1").name == "anna"


def test_the_wait_has_an_end_and_the_memory_too(clock: Clock) -> None:
    attempts = Attempts(clock)
    for _ in range(100):
        attempts.failed("10.0.0.1")
    with pytest.raises(TooManyRequests) as waiting:
        attempts.check("10.0.0.1")
    assert waiting.value.seconds == LONGEST_WAIT
    for number in range(10_000):
        attempts.failed(str(number))
    attempts.check("10.0.0.1")  # forgotten: ten thousand others came after it
