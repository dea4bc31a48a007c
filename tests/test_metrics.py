"""What Prometheus reads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from webui.domain.request import GenerationRequest
from webui.metrics import lines
from webui.runtime import Runtime
from webui.settings import Settings


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    (tmp_path / "models").mkdir()
    runtime = Runtime(Settings(data_dir=tmp_path, open_browser=False))
    yield runtime
    runtime.close()


def read(runtime: Runtime) -> dict[str, float]:
    text = "".join(lines(runtime))
    for name in re.findall(r"^([a-z_]+)", text, re.MULTILINE):
        assert f"# HELP {name} " in text and f"# TYPE {name} " in text
    return {key: float(value) for key, value in re.findall(r"^([a-z_]+(?:{.*?})?) (\S+)$", text, re.MULTILINE)}


def test_jobs_are_counted_where_they_are(runtime: Runtime) -> None:
    assert read(runtime)["lucid_jobs_waiting"] == 0
    jobs = [runtime.queue.submit(GenerationRequest(prompt="secret prompt", seed=1), "anna") for _ in range(3)]
    jobs[0].stop()
    runtime.queue.take("cpu")
    told = read(runtime)
    assert (told["lucid_jobs_waiting"], told["lucid_jobs_running"]) == (1, 1)
    assert told['lucid_jobs_ended_total{state="stopped"}'] == 1
    assert told["process_resident_memory_bytes"] > 10**7
    assert "secret" not in "".join(lines(runtime)) and "anna" not in "".join(lines(runtime))
