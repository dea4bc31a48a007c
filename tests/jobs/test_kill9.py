"""``kill -9`` in the middle of a job and of a write: nothing lost, nothing twice, nothing half-written."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

SERVER = Path(__file__).with_name("killed_server.py")
ROOT = Path(__file__).parents[2]


class Server:
    def __init__(self, data: Path, jobs: int, place: str = "") -> None:
        command = [sys.executable, str(SERVER), str(data), str(jobs), place]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.submitted: list[str] = []

    def read(self) -> str:
        """The next line; "" once it has ended."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        if line.startswith("submitted "):
            self.submitted.append(line.removeprefix("submitted "))
        return line

    def read_until(self, wanted: str) -> None:
        while (line := self.read()) != wanted:
            assert line, f"ended before {wanted!r}"

    def kill(self) -> None:
        self.process.kill()  # SIGKILL
        self.end()

    def end(self) -> int:
        """Read what it said to the last, and wait until it has gone."""
        assert self.process.stdout is not None
        while not self.process.stdout.closed and self.read():
            pass
        self.process.stdout.close()
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait()


StartServer = Callable[..., Server]


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    started: list[Server] = []

    def start(jobs: int, place: str = "") -> Server:
        started.append(Server(tmp_path, jobs, place))
        return started[-1]

    yield start
    for server in started:
        server.kill()


def _finish(start_server: StartServer) -> None:
    server = start_server(0)
    server.read_until("idle")
    assert server.end() == 0


def _expect_all_done_once(data: Path, submitted: list[str]) -> None:
    database = sqlite3.connect(data / "var" / "lucid.sqlite3")
    assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    states = dict(database.execute("SELECT id, state FROM jobs"))
    pictures = database.execute("SELECT job, number, seed, path FROM pictures").fetchall()
    database.close()
    assert set(submitted) <= set(states), "a job whose submission was confirmed is never lost"
    assert set(states.values()) == {"done"}
    assert sorted((job, number) for job, number, _, _ in pictures) == sorted(
        (job, n) for job in states for n in range(4)
    )
    paths = [path for _, _, _, path in pictures]
    assert sorted(paths) == sorted(file.name for file in (data / "outputs").iterdir()), "no file twice, none left over"
    for _, _, seed, path in pictures:
        with Image.open(data / "outputs" / path) as image:
            assert image.tobytes() == random.Random(seed).randbytes(64 * 64 * 3)
    assert not (data / "rescued").exists()


@pytest.mark.parametrize(
    ("place", "pictures"),
    [
        ("temporary file made", 1),
        ("before the name", 1),
        ("before the folder is synced", 2),  # the second has its name, but no row yet
        ("before the temporary name goes", 2),
        ("noted", 1),
    ],
)
def test_killed_in_the_middle_of_saving(start_server: StartServer, tmp_path: Path, place: str, pictures: int) -> None:
    server = start_server(2, place)
    server.read_until("there")
    server.kill()
    visible = [file for file in (tmp_path / "outputs").iterdir() if not file.name.startswith(".")]
    assert len(visible) == pictures
    for file in visible:
        with Image.open(file) as image:
            image.load()
    _finish(start_server)
    _expect_all_done_once(tmp_path, server.submitted)


def test_killed_at_random_moments(start_server: StartServer, tmp_path: Path) -> None:
    chance = random.Random(1)
    submitted: list[str] = []
    for _ in range(8):
        server = start_server(3)
        for _ in range(chance.randrange(60)):
            if server.read() == "idle":
                break
        server.kill()
        submitted += server.submitted
    _finish(start_server)
    _expect_all_done_once(tmp_path, submitted)
