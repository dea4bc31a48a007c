"""Pictures handed in over HTTP, and what becomes of requests that name them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from webui.domain.request import GenerationRequest
from webui.errors import InvalidRequest
from webui.gate.gate import Gate
from webui.runtime import Runtime
from webui.settings import Settings
from webui.tabs.pictures import routes


def filed(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


RED = filed(Image.new("RGB", (24, 16), "red"))
GLASS = filed(Image.new("RGBA", (8, 8), (0, 255, 0, 90)))


@pytest.fixture
def resting(tmp_path: Path, starter: Path) -> Iterator[Runtime]:
    """A runtime that draws nothing, so that jobs wait."""
    runtime = Runtime(Settings(data_dir=tmp_path, models_dir=starter.parent.parent))
    yield runtime
    runtime.close()


@pytest.fixture
def client(resting: Runtime) -> TestClient:
    return TestClient(Gate(Starlette(routes=routes(resting)), resting.accounts), base_url="http://127.0.0.1")


def test_a_picture_is_handed_in_and_given_back(client: TestClient) -> None:
    answer = client.post("/lucid/inputs", content=RED)
    assert answer.status_code == 200
    told = answer.json()
    assert (told["width"], told["height"], told["has_alpha"]) == (24, 16, False)
    back = client.get(f"/lucid/inputs/{told['id']}")
    assert back.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(back.content)).getpixel((5, 5)) == (255, 0, 0)
    assert client.post("/lucid/inputs", content=GLASS).json()["has_alpha"] is True


@pytest.mark.parametrize(
    ("content", "status", "sentence"),
    [(b"no picture", 415, "of another kind"), (b"", 415, "of another kind"), (RED[:50], 415, "broken")],
)
def test_what_is_no_picture_is_refused(client: TestClient, content: bytes, status: int, sentence: str) -> None:
    answer = client.post("/lucid/inputs", content=content)
    assert answer.status_code == status
    assert sentence in answer.json()["error"]


def test_a_body_without_end_is_not_read_to_its_end(client: TestClient, resting: Runtime) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while sent < 4096:
            sent += 1
            yield RED

    resting.inputs.most_bytes = 10_000
    answer = client.post("/lucid/inputs", content=endless())
    assert answer.status_code == 413
    assert "larger than" in answer.json()["error"]


@pytest.mark.parametrize("id", ["0" * 32, "x", "..%2f..%2fconfig.yaml"])
def test_there_is_nothing_else_to_be_had(client: TestClient, id: str) -> None:
    assert client.get(f"/lucid/inputs/{id}").status_code == 404


def test_a_request_names_only_pictures_of_its_owner(resting: Runtime) -> None:
    id = resting.add_input(RED, "ann")
    request = GenerationRequest(init_image=id, width=64, height=64)
    with pytest.raises(InvalidRequest, match=r"picture to start from is not here.*Choose it again") as refused:
        resting.generate(request, "bob", "img2img")
    assert refused.value.field == "init_image"
    with pytest.raises(InvalidRequest, match="mask is not here") as refused:
        resting.generate(replace(request, mask="f" * 32), "ann", "img2img")
    assert refused.value.field == "mask"
    with pytest.raises(InvalidRequest, match="needs a picture to lie on"):
        resting.generate(GenerationRequest(mask=id), "ann", "img2img")
    assert resting.generate(request, "ann", "img2img").snapshot().request.init_image == id


def test_a_waiting_job_keeps_its_picture_over_a_restart(tmp_path: Path, starter: Path) -> None:
    settings = Settings(data_dir=tmp_path, models_dir=starter.parent.parent, keep_input_days=0)
    before = Runtime(settings)
    needed, forgotten = before.add_input(RED, "ann"), before.add_input(GLASS, "ann")
    job = before.generate(GenerationRequest(init_image=needed, width=64, height=64), "ann", "img2img")
    before.close()
    after = Runtime(settings)
    try:
        after.clean_inputs()
        assert after.job(job.id, "ann").snapshot().request.init_image == needed
        assert after.inputs.open(needed, "ann").size == (24, 16)
        assert not after.inputs.holds(forgotten, "ann")
    finally:
        after.close()
