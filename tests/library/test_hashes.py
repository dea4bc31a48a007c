from __future__ import annotations

import hashlib
import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from webui.errors import UnreadableModel
from webui.library.hashes import HashCache, legacy_hash

CONTENT = bytes(range(256)) * 10_000  # more than one chunk


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    path.write_bytes(CONTENT)
    return path


def replace_content(path: Path, content: bytes) -> None:
    """Other content of the same size and time: only who remembers will still give the old hash."""
    times = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_is_the_sha256_of_the_file(model: Path, tmp_path: Path) -> None:
    assert HashCache(tmp_path / "hashes.sqlite3").sha256(model) == hashlib.sha256(CONTENT).hexdigest()


def test_is_remembered_also_by_another_process(model: Path, tmp_path: Path) -> None:
    digest = HashCache(tmp_path / "var" / "hashes.sqlite3").sha256(model)
    replace_content(model, CONTENT[::-1])
    status = model.stat()
    cache = HashCache(tmp_path / "var" / "hashes.sqlite3")
    assert cache.sha256(model) == digest
    assert cache.known(model, status.st_mtime_ns, status.st_size) == digest
    assert cache.paths(digest[:10].upper()) == {(str(model), status.st_mtime_ns, status.st_size)}


def test_a_changed_file_is_hashed_again(model: Path, tmp_path: Path) -> None:
    cache = HashCache(tmp_path / "hashes.sqlite3")
    cache.sha256(model)
    replace_content(model, b"longer" + CONTENT)
    assert cache.sha256(model) == hashlib.sha256(b"longer" + CONTENT).hexdigest()
    replace_content(model, b"LONGER" + CONTENT)
    os.utime(model, ns=(0, 1))
    assert cache.sha256(model) == hashlib.sha256(b"LONGER" + CONTENT).hexdigest()
    assert cache.known(model, 1, model.stat().st_size + 1) == ""


def test_a_locked_database_costs_only_the_memory(model: Path, tmp_path: Path) -> None:
    cache = HashCache(tmp_path / "hashes.sqlite3")
    cache.paths("0" * 10)  # makes the file
    with closing(sqlite3.connect(tmp_path / "hashes.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert cache.sha256(model) == hashlib.sha256(CONTENT).hexdigest()
    assert cache.known(model, model.stat().st_mtime_ns, len(CONTENT)) == ""


def test_a_damaged_database_costs_only_the_memory(model: Path, tmp_path: Path) -> None:
    database = tmp_path / "hashes.sqlite3"
    database.write_bytes(b"this is no database" * 1000)
    assert HashCache(database).sha256(model) == hashlib.sha256(CONTENT).hexdigest()
    assert database.read_bytes() == b"this is no database" * 1000


@pytest.mark.parametrize("place", ["model.safetensors/hashes.sqlite3", "a folder"])
def test_a_database_that_cannot_be_made_costs_only_the_memory(model: Path, tmp_path: Path, place: str) -> None:
    (tmp_path / "a folder").mkdir()
    assert HashCache(tmp_path / place).sha256(model) == hashlib.sha256(CONTENT).hexdigest()


def test_several_threads(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.safetensors" for number in range(8)]
    for number, path in enumerate(paths):
        path.write_bytes(bytes([number]) * 1000)
    cache = HashCache(tmp_path / "hashes.sqlite3")
    with ThreadPoolExecutor(8) as pool:
        digests = list(pool.map(cache.sha256, paths * 4))
    assert digests == [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths] * 4


def test_a_missing_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UnreadableModel, match=r"gone\.safetensors cannot be read"):
        HashCache(tmp_path / "hashes.sqlite3").sha256(tmp_path / "gone.safetensors")
    with pytest.raises(UnreadableModel, match=r"gone\.safetensors cannot be read"):
        legacy_hash(tmp_path / "gone.safetensors")


def test_the_hash_of_2022(model: Path) -> None:
    assert legacy_hash(model) == hashlib.sha256(CONTENT[0x100000:0x110000]).hexdigest()[:8]
