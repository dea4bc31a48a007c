"""Starting and stopping: ``python app.py`` as a person runs it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from webui.errors import InvalidSettings
from webui.server import has_screen, is_loopback, open_port, url

ROOT = Path(__file__).resolve().parent.parent


@contextmanager
def server(data_dir: Path, *flags: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """``python app.py`` on any free port, and the address that it prints."""
    command = [sys.executable, "app.py", "--port", "0", "--no-browser", "--data-dir", str(data_dir), *flags]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LUCID_")}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout
            line = process.stdout.readline()
            assert line.startswith("Lucid answers on "), process.communicate()
            yield process, line.split()[-1]
        finally:
            process.kill()


def stopped(process: subprocess.Popen[str], with_signal: signal.Signals) -> None:
    process.send_signal(with_signal)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert errors.splitlines() == ["Stopped. Jobs that were waiting or running go on at the next start."]


def test_the_page_answers_from_this_computer_alone_until_it_is_terminated(tmp_path: Path) -> None:
    with server(tmp_path, "--models-dir", str(ROOT / "models")) as (process, address):
        assert address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(address) as answer:
            page = answer.read().decode()
        assert "Lucid" in page
        for host in ("fonts.googleapis.com", "fonts.gstatic.com", "cdnjs.cloudflare.com"):
            assert host not in page, "an offline browser would wait for it"
        stopped(process, signal.SIGTERM)


def test_it_starts_without_a_model_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    with server(tmp_path) as (process, address):
        with urllib.request.urlopen(address) as answer:
            assert answer.status == 200
        assert {"models", "outputs", "var"} <= {path.name for path in tmp_path.iterdir()}
        stopped(process, signal.SIGINT)


def test_a_port_that_is_taken_or_not_ours_is_a_sentence() -> None:
    with open_port("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(InvalidSettings, match=rf"Port {port} of 127\.0\.0\.1 is in use.* --port {port + 1}"):
            open_port("127.0.0.1", port)
    with pytest.raises(InvalidSettings, match=r"Cannot listen on 192\.0\.2\.1"):
        open_port("192.0.2.1", 7860)  # an address of documentation, so never of this computer
    with pytest.raises(InvalidSettings, match='host "no such host" is not known'):
        open_port("no such host", 7860)


def test_an_early_browser_waits_instead_of_being_refused() -> None:
    with open_port("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        accepted.close()


@pytest.mark.parametrize(
    ("host", "ours", "shown"),
    [
        ("127.0.0.1", True, "http://127.0.0.1:1"),
        ("localhost", True, "http://localhost:1"),
        ("::1", True, "http://[::1]:1"),
        ("127.1.2.3", True, "http://127.1.2.3:1"),
        ("0.0.0.0", False, "http://127.0.0.1:1"),
        ("::", False, "http://[::1]:1"),
        ("192.168.0.7", False, "http://192.168.0.7:1"),
        ("studio.lan", False, "http://studio.lan:1"),
    ],
)
def test_who_can_reach_an_address(host: str, ours: bool, shown: str) -> None:
    assert is_loopback(host) is ours
    assert url(host, 1) == shown


def test_a_browser_is_opened_only_where_it_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION"):
        monkeypatch.delenv(name, raising=False)
    assert not has_screen()
    monkeypatch.setenv("DISPLAY", ":0")
    assert has_screen()
    monkeypatch.setenv("SSH_CONNECTION", "10.0.0.1 1 10.0.0.2 22")
    assert not has_screen()
