"""Tiny real components, and the starter checkpoint. Nothing is downloaded."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"  # a test that reaches for the network should fail, not wait
# tiny networks gain nothing from a second thread, and lose much when other tests' servers want the core
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def starter() -> Path:
    """The checkpoint that ships."""
    return ROOT / "models" / "checkpoints" / "lucid-starter.safetensors"


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One tiny checkpoint file for the whole session; tests must not change it."""
    from tiny import write_tiny_checkpoint  # loads torch, which most tests do without

    return write_tiny_checkpoint(tmp_path_factory.mktemp("checkpoint") / "tiny.safetensors")
