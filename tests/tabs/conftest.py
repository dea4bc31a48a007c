"""A runtime that has drawn, for what the page tells of jobs and pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from webui.domain.request import GenerationRequest
from webui.jobs.job import JobSnapshot
from webui.runtime import Runtime
from webui.settings import Settings

PROMPT = 'a blue <b>"fish"</b>, on a beach'


@pytest.fixture(scope="session")
def runtime(tmp_path_factory: pytest.TempPathFactory, starter: Path) -> Iterator[Runtime]:
    """Started, with the starter as its only checkpoint."""
    data_dir = tmp_path_factory.mktemp("data")
    runtime = Runtime(Settings(data_dir=data_dir, models_dir=starter.parent.parent, open_browser=False, threads=1))
    runtime.start()
    yield runtime
    runtime.close()


@pytest.fixture(scope="session")
def drawn(runtime: Runtime) -> JobSnapshot:
    """A finished job of two pictures."""
    request = GenerationRequest(prompt=PROMPT, width=128, height=136, steps=2, cfg_scale=2.5, seed=2**60, batch_size=2)
    snapshot = runtime.generate(request).wait()
    assert snapshot.state == "done", snapshot.error
    return snapshot
