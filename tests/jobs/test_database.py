from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from webui.errors import StorageFailure
from webui.jobs.database import MIGRATIONS, Database

NEXT = (
    *MIGRATIONS,
    ("ALTER TABLE jobs ADD COLUMN priority INTEGER NOT NULL DEFAULT 0", "UPDATE jobs SET priority = 5"),
)
ADD_JOB = (
    "INSERT INTO jobs (id, owner, kind, request, state, instance, created) "
    "VALUES ('a', 'anna', 'txt2img', '{}', 'done', '', 0)"
)


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "lucid.sqlite3"
    database = Database(path)
    with database.transaction() as connection:
        connection.execute(ADD_JOB)
    database.close()
    return path


def test_an_older_schema_is_migrated_and_the_old_file_kept(path: Path) -> None:
    database = Database(path, migrations=NEXT)
    with database.reading() as connection:
        assert connection.execute("SELECT id, priority FROM jobs").fetchall()[0][:] == ("a", 5)
    database.close()
    copy = sqlite3.connect(path.with_name("lucid.sqlite3.schema-2"))
    assert copy.execute("SELECT id FROM jobs").fetchall() == [("a",)]
    assert copy.execute("PRAGMA user_version").fetchone() == (2,)
    copy.close()


def test_a_migration_that_fails_changes_nothing(path: Path) -> None:
    database = Database(path, migrations=(*NEXT, ("CREATE TABLE surprise (x)", "no SQL at all")))
    with pytest.raises(StorageFailure), database.reading():
        pass
    database = Database(path)
    with database.reading() as connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master")]
        assert "surprise" not in tables
    database.close()


def test_a_newer_schema_is_refused_with_a_sentence(path: Path) -> None:
    newer = Database(path, migrations=NEXT)
    with newer.reading():
        pass
    newer.close()
    with pytest.raises(StorageFailure, match=r"newer Lucid.*Update Lucid"), Database(path).reading():
        pass


def test_an_error_in_a_transaction_undoes_all_of_it(path: Path) -> None:
    database = Database(path)
    with pytest.raises(KeyError), database.transaction() as connection:
        connection.execute("DELETE FROM jobs")
        raise KeyError("a bug")
    with database.reading() as connection:
        assert connection.execute("SELECT count(*) FROM jobs").fetchone()[0] == 1
    database.close()
    with pytest.raises(StorageFailure, match="shutting down"), database.reading():
        pass
