"""What the History and PNG Info tabs are told."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from webui.jobs.job import JobSnapshot
from webui.runtime import Runtime
from webui.tabs.history import found
from webui.tabs.png_info import described


def test_the_newest_come_first_and_words_find_them(runtime: Runtime, drawn: JobSnapshot) -> None:
    told = found(runtime, "local", "fish beach", 0)
    assert [picture["seed"] for picture in told["pictures"]] == [str(2**60 + 1), str(2**60)]
    assert told["more"] is False
    assert not any(picture["missing"] for picture in told["pictures"])
    assert found(runtime, "local", "fish beach", 1)["pictures"] == told["pictures"][1:]
    assert found(runtime, "local", "no such words", 0)["pictures"] == []
    assert found(runtime, "somebody", "", 0)["pictures"] == []


def test_a_picture_of_ours_tells_its_infotext(runtime: Runtime, drawn: JobSnapshot) -> None:
    saved = drawn.pictures[0]
    told = described(runtime, runtime.outputs.resolve(saved.path).read_bytes())
    assert told == {"infotext": saved.infotext, "source": "Made with Lucid."}


def test_a_picture_that_says_nothing_and_a_file_that_is_none(runtime: Runtime, tmp_path: Path) -> None:
    plain = io.BytesIO()
    Image.new("RGB", (8, 8)).save(plain, "PNG")
    assert described(runtime, plain.getvalue()) == {
        "infotext": "",
        "source": "This picture does not say how it was made.",
    }
    for data in (b"", b"GIF89a", plain.getvalue()[:30]):
        assert "cannot be read" in described(runtime, data)["error"]
