"""The page as a server gives it: complete, offline, and nothing besides."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from looping import in_a_loop
from PIL import Image
from starlette.testclient import TestClient

from webui import server
from webui.domain.request import PARAMETERS
from webui.jobs.job import JobSnapshot
from webui.jobs.pictures import read_infotext
from webui.runtime import Runtime
from webui.server import guarded
from webui.settings import Settings
from webui.tabs import page
from webui.tabs.streaming import picture


def application(runtime: Runtime) -> Any:
    """As it is served, behind the gate."""
    return guarded(server.application(runtime), runtime.accounts, runtime.settings)


@pytest.fixture(scope="module")
def client(runtime: Runtime) -> Iterator[TestClient]:
    with TestClient(in_a_loop(lambda: application(runtime)), base_url="http://127.0.0.1") as client:
        yield client


def test_a_picture_is_served_as_it_lies_on_disk(client: TestClient, runtime: Runtime, drawn: JobSnapshot) -> None:
    address = picture(drawn.pictures[0])["address"]
    answer = client.get(f"/{address}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/png"
    assert answer.content == runtime.outputs.resolve(drawn.pictures[0].path).read_bytes()
    assert read_infotext(answer.content) is not None
    again = client.get(f"/{address}", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_a_thumbnail_is_small(client: TestClient, drawn: JobSnapshot) -> None:
    address = picture(drawn.pictures[0])["address"]
    for side, size in (("160", (128, 136)), ("1000000", None), ("-1", None), ("x", None)):
        answer = client.get(f"/{address}?side={side}")
        assert answer.headers["content-type"] == ("image/webp" if size else "image/png")
        with Image.open(io.BytesIO(answer.content)) as image:
            assert image.size == (128, 136)


def test_nothing_else_can_be_had(client: TestClient, runtime: Runtime, drawn: JobSnapshot) -> None:
    made = runtime.outputs.resolve(drawn.pictures[0].path)
    stray = made.with_name("stray.png")  # in the outputs folder, but made by nobody here
    stray.write_bytes(made.read_bytes())
    made.with_name("secret.txt").write_text("secret")
    database = runtime.settings.var_dir / "lucid.sqlite3"
    paths = [
        f"/pictures/{stray.relative_to(runtime.settings.outputs_dir).as_posix()}",
        f"/pictures/{made.with_name('secret.txt').relative_to(runtime.settings.outputs_dir).as_posix()}",
        "/pictures/../var/lucid.sqlite3",
        "/pictures/%2e%2e/var/lucid.sqlite3",
        "/pictures/..%2fvar%2flucid.sqlite3",
        f"/pictures/{database}",
        f"/pictures/%2f{str(database).lstrip('/')}",
        "/pictures/",
        "/pictures/%00.png",
        f"/gradio_api/file={database}",
        f"/gradio_api/file={made}",
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/file=http://127.0.0.1:1/",
        "/gradio_api/proxy=http://127.0.0.1:1/",
    ]
    for path in paths:
        answer = client.get(path)
        assert answer.status_code in (403, 404), path
        assert b"secret" not in answer.content
    assert client.post("/gradio_api/upload", files={"files": b"anything"}).status_code == 404


def test_the_page_asks_no_other_server_and_tells_nothing_of_the_disk(client: TestClient, runtime: Runtime) -> None:
    html = client.get("/").text
    loaded = re.findall(r"""(?:src|href)=["'](https?:)?//([^/"']+)""", html)
    assert loaded == []
    for folder in (runtime.settings.data_dir, runtime.settings.models_dir):
        assert str(folder) not in html


def test_programs_find_one_endpoint_and_none_of_the_page_s_own_events(client: TestClient) -> None:
    told = client.get("/gradio_api/info").json()
    assert (list(told["named_endpoints"]), told["unnamed_endpoints"]) == (["/txt2img"], {})


def test_every_script_is_loaded_and_every_function_of_ours_exists(runtime: Runtime) -> None:
    assets = Path(page.__file__).parent / "assets"
    head = page.mount_options(runtime)["head"]
    assert all(path.read_text() in head for path in [*assets.glob("*.js"), *assets.glob("*.css")])
    config = json.dumps(in_a_loop(lambda: page.build(runtime)).get_config_file(), default=str)
    called = set(re.findall(r"lucid\.(\w+)\(", config)) - {"send"}
    assert {"results", "numberField", "notes"} <= called
    assert all(f"lucid.{name} = " in head for name in called)


def test_every_parameter_can_be_set(runtime: Runtime) -> None:
    components = in_a_loop(lambda: page.build(runtime)).get_config_file()["components"]
    # the ids of a tab's fields begin with its name, except in txt2img
    there = {(component["props"].get("elem_id") or "").split("-")[-1] for component in components}
    handed_in = {"init_image", "mask", "batch_pictures"}  # by the picture editor and the list of pictures
    assert {name for name in PARAMETERS if "hash" not in name} - handed_in <= there  # hashes follow from the files


def test_it_is_built_without_a_single_model(tmp_path: Path) -> None:
    runtime = Runtime(Settings(data_dir=tmp_path))
    try:
        assert in_a_loop(lambda: page.build(runtime)).get_config_file()["components"]
    finally:
        runtime.close()


def test_the_page_does_not_load_torch() -> None:
    code = "import sys, webui.tabs.page; sys.exit('torch' in sys.modules or 'diffusers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
