"""The icon sets are what the registry says they are, under the licence that was agreed to."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from PIL import Image

from webui.training.starter import icons
from webui.training.starter.icons import SPRITE_SIDE, IconSet, Sprites, fetch, render

ICONS = {
    "width": 10,
    "height": 10,
    "icons": {
        "half": {"body": '<rect x="5" width="5" height="10" fill="#ff0000"/>'},
        "nothing": {"body": "<g/>"},
    },
    "aliases": {"right": {"parent": "half"}},
}


def _archive(licence: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as files:
        for name, content in (("info", {"license": {"spdx": licence}}), ("icons", ICONS)):
            data = json.dumps(content).encode()
            member = tarfile.TarInfo(f"package/{name}.json")
            member.size = len(data)
            files.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bytes]]:
    """A registry on this machine: what it serves, by path."""
    pages: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(pages[self.path])

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(icons, "REGISTRY", url)
    archive = _archive("MIT")
    digest = base64.b64encode(hashlib.sha512(archive).digest()).decode()
    about = {"dist": {"tarball": f"{url}/set.tgz", "integrity": f"sha512-{digest}"}}
    pages["/@iconify-json%2Fset/1.0.0"] = json.dumps(about).encode()
    pages["/set.tgz"] = archive
    Thread(target=server.serve_forever, daemon=True).start()
    yield pages
    server.shutdown()
    server.server_close()


def test_a_set_is_fetched_once(registry: dict[str, bytes], tmp_path: Path) -> None:
    assert fetch(IconSet("set", "1.0.0", "MIT"), tmp_path) == ICONS
    registry.clear()
    assert fetch(IconSet("set", "1.0.0", "MIT"), tmp_path) == ICONS


def test_a_damaged_package_is_refused_and_not_kept(registry: dict[str, bytes], tmp_path: Path) -> None:
    registry["/set.tgz"] += b"!"
    with pytest.raises(ValueError, match="arrived damaged"):
        fetch(IconSet("set", "1.0.0", "MIT"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_another_licence_is_refused(registry: dict[str, bytes], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"is under MIT, not under Apache-2\.0"):
        fetch(IconSet("set", "1.0.0", "Apache-2.0"), tmp_path)


def test_an_icon_is_rendered_and_cut_to_what_is_drawn() -> None:
    sprite = render(ICONS, "half")
    assert sprite is not None
    assert sprite.size == (SPRITE_SIDE // 2, SPRITE_SIDE)
    assert sprite.getpixel((40, 80)) == (255, 0, 0, 255)


def test_aliases_are_followed_and_what_is_not_there_is_none() -> None:
    assert render(ICONS, "right") is not None
    assert render(ICONS, "nothing") is None
    assert render(ICONS, "left") is None


def test_sprites_are_kept_as_they_are(tmp_path: Path) -> None:
    picture = Image.new("RGBA", (3, 2), (1, 2, 3, 4))
    Sprites({("set", "a/b"): picture}).save(tmp_path / "sprites.npz")
    loaded = Sprites.load(tmp_path / "sprites.npz")
    assert loaded.of("set") == ("a/b",)
    assert loaded["set", "a/b"].tobytes() == picture.tobytes()
