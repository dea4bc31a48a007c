"""Gradio's own client, unchanged, at a real server."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from live_server import Server, end, serve

from webui.jobs.pictures import read_infotext


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = serve(tmp_path_factory.mktemp("data"))
    yield server
    end(server)


def test_gradio_s_client_draws_and_is_told_what_is_wrong(server: Server, tmp_path: Path) -> None:
    client = Client(server.address, verbose=False, download_files=str(tmp_path))
    told = client.predict("a red circle", parameters={"steps": 2, "seed": 7, "batch_size": 2}, api_name="/txt2img")
    assert told["state"] == "done"
    assert [(picture["seed"], picture["width"]) for picture in told["pictures"]] == [("7", 128), ("8", 128)]
    with urllib.request.urlopen(f"{server.address}/{told['pictures'][0]['address']}") as answer:
        found = read_infotext(answer.read())
    assert found is not None and found.prompt == "a red circle"
    for wrong, sentence in (
        ({"step": 2}, 'no parameter "step". Did you mean "steps"'),
        ({"steps": 0}, "must be between 1 and 1000"),
        ({"sampler": "Eular"}, 'Did you mean "Euler"'),
        ({"checkpoint": "lucid-startr"}, 'Did you mean "lucid-starter"'),
    ):
        with pytest.raises(AppError, match=sentence):
            client.predict("a red circle", parameters=wrong, api_name="/txt2img")
    client.close()
