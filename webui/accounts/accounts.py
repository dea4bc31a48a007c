"""``Accounts``: names and hashed passwords, sessions, tokens, in an SQLite file that the command line shares with a running server.

Nothing secret is stored: of passwords only Argon2id hashes (RFC 9106, through argon2-cffi), of session keys and tokens
only SHA-256 hashes, which suffice for 256 random bits. Each question asks the file anew, so that an account that is added,
changed or removed by ``lucid users`` counts at once.
"""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from webui.accounts.account import Account, checked_name, checked_password, checked_role
from webui.accounts.attempts import Attempts
from webui.errors import InvalidRequest, NotAllowed, did_you_mean
from webui.jobs.database import Database

SESSION_SECONDS = 30 * 86400
TOKEN_PREFIX = "lucid_"  # so that a token that leaks is recognised by who finds it
_PROVEN_KEPT = 1000
_SEEN_EVERY = 300  # seconds between two notes of when a session or token was last used

_MIGRATIONS = (
    (
        """
        CREATE TABLE accounts (
            name     TEXT PRIMARY KEY,
            role     TEXT NOT NULL CHECK (role IN ('user', 'admin')),
            password TEXT NOT NULL,              -- Argon2id, with its parameters and salt
            created  REAL NOT NULL               -- unix seconds
        )
        """,
        """
        CREATE TABLE keys (
            hash     TEXT PRIMARY KEY,           -- SHA-256 of the key
            account  TEXT NOT NULL REFERENCES accounts (name) ON DELETE CASCADE,
            kind     TEXT NOT NULL CHECK (kind IN ('session', 'token')),
            label    TEXT NOT NULL,              -- what the owner calls a token; the browser of a session
            created  REAL NOT NULL,
            seen     REAL NOT NULL,
            expires  REAL                        -- NULL: never
        )
        """,
        "CREATE INDEX keys_by_account ON keys (account)",
    ),
)


@dataclass(frozen=True)
class Key:
    """A session or a token, without its secret. ``id`` names it to its owner; times are unix seconds."""

    id: str
    kind: str
    label: str
    created: float
    seen: float


class Accounts:
    """``clock`` gives unix seconds. May be used from any thread."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._database = Database(path, full_text=False, migrations=_MIGRATIONS, name="account database")
        self._clock = clock
        self._hasher = PasswordHasher()
        self._attempts = Attempts(clock)
        # verified where there is no such account, so that an unknown name takes as long as a wrong password
        self._nobody = self._hasher.hash(secrets.token_hex())
        self._lock = threading.Lock()
        self._secret = secrets.token_bytes(32)
        self._proven: set[bytes] = set()

    def close(self) -> None:
        self._database.close()

    # accounts

    def exist(self) -> bool:
        """Whether there is any account. From the first on nobody gets in without one."""
        if not self._path.exists():
            return False
        with self._database.reading() as connection:
            return connection.execute("SELECT 1 FROM accounts LIMIT 1").fetchone() is not None

    def all(self) -> list[Account]:
        with self._database.reading() as connection:
            rows = connection.execute("SELECT name, role FROM accounts ORDER BY name").fetchall()
        return [Account(row["name"], row["role"]) for row in rows]

    def find(self, name: str) -> Account:
        """Raises ``InvalidRequest`` with near matches."""
        accounts = {account.name: account for account in self.all()}
        if name.strip().lower() not in accounts:
            raise InvalidRequest(f'There is no account "{name}". {did_you_mean(name, accounts)}', "name")
        return accounts[name.strip().lower()]

    def add(self, name: str, password: str, role: str = "user") -> Account:
        account = Account(checked_name(name), checked_role(role))
        hashed = self._hasher.hash(checked_password(password, account.name))
        with self._database.transaction() as connection:
            taken = connection.execute("SELECT 1 FROM accounts WHERE name = ?", (account.name,)).fetchone()
            if taken:
                raise InvalidRequest(f'There is an account "{account.name}" already.', "name")
            connection.execute(
                "INSERT INTO accounts (name, role, password, created) VALUES (?, ?, ?, ?)",
                (account.name, account.role, hashed, self._clock()),
            )
        return account

    def remove(self, name: str) -> None:
        """Its sessions and tokens end with it; its pictures stay."""
        account = self.find(name)
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM accounts WHERE name = ?", (account.name,))

    def set_role(self, name: str, role: str) -> None:
        account = self.find(name)
        with self._database.transaction() as connection:
            connection.execute("UPDATE accounts SET role = ? WHERE name = ?", (checked_role(role), account.name))

    def set_password(self, name: str, password: str) -> None:
        """Ends all sessions of the account, as the old password may have been known to somebody. Tokens stay."""
        account = self.find(name)
        hashed = self._hasher.hash(checked_password(password, account.name))
        with self._database.transaction() as connection:
            connection.execute("UPDATE accounts SET password = ? WHERE name = ?", (hashed, account.name))
            connection.execute("DELETE FROM keys WHERE account = ? AND kind = 'session'", (account.name,))

    # proving who one is

    def check_password(self, name: str, password: str, address: str) -> Account:
        """The account of a name and its password, or ``NotAllowed``.

        Wrong tries from one ``address`` (an IP address) make it wait longer and longer.
        """
        self._attempts.check(address)
        account, known = self._stored(name.strip().lower())
        try:
            self._hasher.verify(known, password[: 4 * 1024])
        except (VerificationError, InvalidHashError):
            account = None
        if account is None:
            self._attempts.failed(address)
            raise NotAllowed("The name or the password is wrong.")
        self._attempts.succeeded(address)
        if self._hasher.check_needs_rehash(known):
            with self._database.transaction() as connection:
                connection.execute(
                    "UPDATE accounts SET password = ? WHERE name = ?", (self._hasher.hash(password), account.name)
                )
        return account

    def check_basic(self, name: str, password: str, address: str) -> Account | None:
        """``check_password`` for programs that send both with every request. None instead of ``NotAllowed``.

        Argon2 takes tens of milliseconds on purpose, so what was right is remembered, hashed with a key of this process, for as
        long as the stored hash stays the same.
        """
        account, known = self._stored(name.strip().lower())
        proof = hashlib.blake2b(f"{name}\0{password}\0{known}".encode(), key=self._secret, digest_size=32).digest()
        with self._lock:
            if account is not None and proof in self._proven:
                return account
        try:
            account = self.check_password(name, password, address)
        except NotAllowed:
            return None
        with self._lock:
            if len(self._proven) >= _PROVEN_KEPT:
                self._proven.clear()
            self._proven.add(proof)
        return account

    def _stored(self, name: str) -> tuple[Account | None, str]:
        with self._database.reading() as connection:
            row = connection.execute("SELECT name, role, password FROM accounts WHERE name = ?", (name,)).fetchone()
        return (None, self._nobody) if row is None else (Account(row["name"], row["role"]), row["password"])

    def who(self, key: str) -> Account | None:
        """Whose session key or token this is; None if it is nobody's (any more)."""
        now = self._clock()
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT name, role, hash, seen FROM keys JOIN accounts ON name = account "
                "WHERE hash = ? AND (expires IS NULL OR expires > ?)",
                (_hash(key), now),
            ).fetchone()
        if row is None:
            return None
        if now - row["seen"] > _SEEN_EVERY:
            with self._database.transaction() as connection:
                connection.execute("UPDATE keys SET seen = ? WHERE hash = ?", (now, row["hash"]))
        return Account(row["name"], row["role"])

    # sessions and tokens

    def open_session(self, account: Account, browser: str) -> str:
        """A key for the browser's cookie; it ends after 30 days."""
        key = secrets.token_urlsafe(32)
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM keys WHERE expires <= ?", (self._clock(),))
            self._insert(connection, key, account.name, "session", browser, self._clock() + SESSION_SECONDS)
        return key

    def close_session(self, key: str) -> None:
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM keys WHERE hash = ? AND kind = 'session'", (_hash(key),))

    def make_token(self, name: str, label: str) -> str:
        """A token for a program, told this once. It lasts until it is removed."""
        account = self.find(name)
        key = TOKEN_PREFIX + secrets.token_urlsafe(32)
        with self._database.transaction() as connection:
            self._insert(connection, key, account.name, "token", label.strip() or "token", None)
        return key

    def keys(self, name: str) -> list[Key]:
        """The sessions and tokens of an account, the newest first."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT hash, kind, label, created, seen FROM keys WHERE account = ? "
                "AND (expires IS NULL OR expires > ?) ORDER BY created DESC",
                (name, self._clock()),
            ).fetchall()
        return [Key(row["hash"][:16], row["kind"], row["label"], row["created"], row["seen"]) for row in rows]

    def remove_key(self, name: str, key_id: str) -> None:
        """Raises ``InvalidRequest`` if the account has no such session or token."""
        with self._database.transaction() as connection:
            gone = connection.execute(
                "DELETE FROM keys WHERE account = ? AND substr(hash, 1, 16) = ?", (name, key_id)
            ).rowcount
        if not gone:
            raise InvalidRequest(f'"{name}" has no session or token "{key_id}".', "key")

    def _insert(
        self, connection: sqlite3.Connection, key: str, account: str, kind: str, label: str, expires: float | None
    ) -> None:
        now = self._clock()
        connection.execute(
            "INSERT INTO keys (hash, account, kind, label, created, seen, expires) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (_hash(key), account, kind, label[:200], now, now, expires),
        )


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
