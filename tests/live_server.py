"""``python app.py`` as a process, for tests that ask it over the network."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Server:
    address: str
    data_dir: Path
    process: subprocess.Popen[str]

    @property
    def port(self) -> int:
        return int(self.address.rsplit(":", 1)[1])


def serve(data_dir: Path, *flags: str, port: int = 0) -> Server:
    """Start ``python app.py`` and wait until it answers."""
    command = [sys.executable, "app.py", "--no-browser", "--port", str(port), "--data-dir", str(data_dir)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LUCID_")}
    with (data_dir / "server.log").open("a") as log:
        process = subprocess.Popen(
            [*command, "--models-dir", str(ROOT / "models"), *flags],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("Lucid answers on "), (data_dir / "server.log").read_text()
    return Server(line.split()[-1], data_dir, process)


def end(server: Server) -> None:
    server.process.kill()
    server.process.communicate()
