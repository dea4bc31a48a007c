"""``lucid users``, as the command line runs it."""

from __future__ import annotations

import io
import sqlite3
from pathlib import Path

import pytest

from webui.cli import main
from webui.runtime import accounts_of
from webui.settings import Settings

PASSWORD = "correct horse battery"


def users(monkeypatch: pytest.MonkeyPatch, folder: Path, *words: str, password: str = PASSWORD) -> int:
    monkeypatch.setattr("sys.stdin", io.StringIO(password + "\n"))
    for name in ("models", "outputs"):
        (folder / name).mkdir(exist_ok=True)
    return main(["users", *words, "--password-stdin", "--data-dir", str(folder)])


def test_accounts_are_made_changed_and_removed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*words: str) -> str:
        assert users(monkeypatch, tmp_path, *words) == 0
        return capsys.readouterr().out

    assert "no accounts" in run("list")
    assert "anna may sign in, as admin" in run("add", "Anna", "--admin")
    run("add", "ben")
    run("role", "ben", "--role", "admin")
    assert run("list") == "anna\tadmin\nben\tadmin\n"
    token = run("token", "ben", "--label", "paint program").strip()
    accounts = accounts_of(Settings(data_dir=tmp_path))
    found = accounts.who(token)
    assert found is not None and found.name == "ben"
    run("remove", "ben")
    assert accounts.who(token) is None
    assert "last account" in run("remove", "anna")
    accounts.close()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("add",), "Name the account"),
        (("add", "local"), "Choose another name"),
        (("role", "ben", "--role", "user"), 'no account "ben"'),
        (("token", "ben"), 'no account "ben"'),
    ],
)
def test_what_cannot_be_done_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    sentence: str,
) -> None:
    assert users(monkeypatch, tmp_path, *words) == 2
    assert sentence in capsys.readouterr().err


def test_what_was_made_without_an_account_can_be_given_to_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from webui.domain.request import GenerationRequest
    from webui.jobs.queue import JobQueue

    queue = JobQueue(tmp_path / "var" / "lucid.sqlite3")
    queue.submit(GenerationRequest(prompt="a cat", seed=1), "local", "txt2img")
    queue.close()
    assert users(monkeypatch, tmp_path, "add", "anna", "--adopt") == 0
    assert "1 jobs" in capsys.readouterr().out
    rows = sqlite3.connect(tmp_path / "var" / "lucid.sqlite3")
    assert rows.execute("SELECT owner FROM jobs").fetchall() == [("anna",)]
    rows.close()
