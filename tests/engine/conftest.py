"""Model files for the engine: tiny ones of our own making, and the starter."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny import write_tiny_checkpoint, write_tiny_vae

from webui.engine.device import Hardware, choose_compute
from webui.engine.model_manager import ModelManager, Selection
from webui.library.index import Library

CPU = choose_compute("cpu", "auto", Hardware())


@pytest.fixture(scope="session")
def tiny_library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """Two tiny checkpoints, "a" (epsilon) and "b" (v), and a tiny VAE file."""
    folder = tmp_path_factory.mktemp("models")
    write_tiny_checkpoint(folder / "a.safetensors", seed=1)
    write_tiny_checkpoint(folder / "b.safetensors", seed=2, prediction_type="v_prediction")
    (folder / "vae").mkdir()
    write_tiny_vae(folder / "vae" / "other.safetensors", seed=3)
    library = Library({"checkpoint": (folder,), "vae": (folder / "vae",)}, folder / "hashes.sqlite3")
    library.rescan()
    return library


@pytest.fixture
def models() -> ModelManager:
    return ModelManager(CPU, budget=2**33)


@pytest.fixture(scope="session")
def starter_models(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ModelManager, Selection]]:
    """The starter in memory, for tests that ask about meaning."""
    library = Library({"checkpoint": (starter.parent,)}, tmp_path_factory.mktemp("hashes") / "hashes.sqlite3")
    library.rescan()
    yield ModelManager(CPU, budget=2**33), Selection(library.find("checkpoint", "lucid-starter"))
