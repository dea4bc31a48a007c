from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from webui.domain.events import Saved
from webui.domain.request import GenerationRequest
from webui.jobs.database import Database
from webui.jobs.history import History
from webui.jobs.outputs import Outputs
from webui.jobs.queue import JobQueue

RequestOf = Callable[..., GenerationRequest]

PROMPTS = (
    "a red apple on a table",
    "Ein Äpfelchen, rot",
    "黒い猫と月",
    "100% wool_sock, (best:1.2)",
    "<lora:fine_detail:0.8> a cat",
)


@pytest.fixture
def made(open_queue: Callable[..., JobQueue], request_of: RequestOf, data: Path) -> JobQueue:
    """One picture for each prompt, an hour apart: anna's, and the last one bert's."""
    now = 0.0
    queue = open_queue(now=lambda: now)
    for number, prompt in enumerate(PROMPTS):
        now = number * 3600.0
        job = queue.submit(request_of(prompt=prompt, seed=number), "bert" if number == 4 else "anna")
        queue.take("cpu")
        queue.report(
            job.id,
            Saved(0, number, f"txt2img/{number}.png", f"{prompt}\nSteps: 3, Sampler: Euler a, Seed: {number}", 64, 64),
        )
        queue.finish(job.id, "done")
    return queue


@pytest.fixture(params=[True, False], ids=["FTS5", "LIKE"])
def history(request: pytest.FixtureRequest, data: Path, outputs: Outputs) -> Iterator[History]:
    history = History(data / "lucid.sqlite3", outputs, full_text=request.param)
    yield history
    history.close()


def _seeds(history: History, text: str = "", owner: str | None = None, **options: float) -> list[int]:
    return [picture.saved.seed for picture in history.search(owner, text, **options)]  # type: ignore[arg-type]


def test_newest_first_in_pages(made: JobQueue, history: History) -> None:
    assert _seeds(history) == [4, 3, 2, 1, 0]
    assert _seeds(history, limit=2) == [4, 3]
    assert _seeds(history, limit=2, offset=2) == [2, 1]
    assert history.count(None) == 5


def test_only_the_owners_own(made: JobQueue, history: History) -> None:
    assert _seeds(history, owner="anna") == [3, 2, 1, 0]
    assert _seeds(history, "cat", owner="anna") == []
    assert (history.count("bert"), history.count("nobody")) == (1, 0)
    assert history.made("bert", "txt2img/4.png") and not history.made("anna", "txt2img/4.png")


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("apple", [0]),
        ("APPLE table", [0]),
        ("table red", [0]),
        ("app", [0]),
        ("apple cat", []),
        ("猫", [2]),
        ("猫 月 euler", [2]),
        ("100%", [3]),
        ("wool_sock", [3]),
        ("(best:1.2)", [3]),
        ("lora:fine_detail", [4]),
        ('"', []),
        ("AND", []),
        ("Euler a", [4, 3, 2, 1, 0]),
    ],
)
def test_words_in_any_order_by_their_beginnings(made: JobQueue, history: History, text: str, seeds: list[int]) -> None:
    assert _seeds(history, text) == seeds
    assert history.count(None, text) == len(seeds)


def test_by_time(made: JobQueue, history: History) -> None:
    assert _seeds(history, since=3600.0, until=3 * 3600.0) == [2, 1]
    assert history.count("anna", "euler", since=7200.0) == 2


def test_a_picture_comes_with_the_request_that_draws_it_alone(
    queue: JobQueue, history: History, outputs: Outputs, request_of: RequestOf, picture_of: Callable[..., object]
) -> None:
    request = request_of(prompt="a cat", seed=30, batch_count=2)
    job = queue.submit(request, "anna", "txt2img")
    queue.take("cpu")
    paths = [outputs.save(picture_of(n), request.picture(n), "txt2img", "") for n in (0, 1)]  # type: ignore[arg-type]
    for index, path in enumerate(paths):
        queue.report(job.id, Saved(index, 30 + index, path, "a cat", 64, 64))
    second, first = history.search("anna")
    assert (first.request, second.request) == (request.picture(0), request.picture(1))
    assert (second.job, second.owner, second.kind, second.saved.path) == (job.id, "anna", "txt2img", paths[1])
    assert not first.missing

    outputs.resolve(paths[0]).unlink()
    second, first = history.search("anna")
    assert (first.missing, second.missing) == (True, False)


def test_a_request_of_another_version_leaves_the_rest_readable(made: JobQueue, history: History, data: Path) -> None:
    connection = sqlite3.connect(data / "lucid.sqlite3")
    with connection:
        connection.execute("UPDATE jobs SET request = '{\"warp_factor\": 9}'")
    connection.close()
    assert [(picture.request, picture.saved.seed) for picture in history.search("bert")] == [(None, 4)]


def test_what_was_stored_without_fts5_is_found_with_it(made: JobQueue, data: Path, outputs: Outputs) -> None:
    connection = sqlite3.connect(data / "lucid.sqlite3")
    with connection:  # as if it had never been there
        connection.execute("DROP TABLE picture_text")
        connection.execute("UPDATE pictures SET indexed = 0")
    connection.close()
    history = History(data / "lucid.sqlite3", outputs)
    assert _seeds(history, "apple") == [0]
    history.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(max_size=40)
    | st.lists(st.sampled_from(['"', "*", "NEAR", "%", "_", "\\", "\0", "^a", "-", "猫"])).map(" ".join)
)
def test_any_text_can_be_searched_for(made: JobQueue, history: History, text: str) -> None:
    assert history.count(None, text) == len(history.search(None, text))


def test_the_search_does_not_wait_for_a_writer(made: JobQueue, history: History, data: Path) -> None:
    assert history.count(None) == 5  # is open
    database = Database(data / "lucid.sqlite3")
    with database.transaction() as connection:
        connection.execute("DELETE FROM pictures")
        assert history.count(None) == 5
    database.close()
    assert history.count(None) == 0
