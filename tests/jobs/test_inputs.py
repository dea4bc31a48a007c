"""Input pictures: any file becomes what the engine wants, or is refused with a sentence; nobody sees another's."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from webui.errors import UnreadablePicture
from webui.jobs.inputs import MOST_BYTES, MOST_PIXELS, InputPictures


def filed(picture: Image.Image, format: str = "PNG", **more: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, format, **more)
    return file.getvalue()


def gradient(mode: str = "RGB", size: tuple[int, int] = (40, 24)) -> Image.Image:
    y, x = np.mgrid[: size[1], : size[0]]
    channels = [x * 255 // max(1, size[0] - 1), y * 255 // max(1, size[1] - 1), (x + y) % 256]
    return Image.fromarray(np.stack(channels, -1).astype(np.uint8)).convert(mode)


@pytest.fixture
def inputs(tmp_path: Path) -> InputPictures:
    return InputPictures(tmp_path / "inputs")


@pytest.mark.parametrize(
    ("data", "mode"),
    [
        pytest.param(filed(gradient()), "RGB", id="PNG"),
        pytest.param(filed(gradient("L")), "RGB", id="grey"),
        pytest.param(filed(gradient("1")), "RGB", id="black and white"),
        pytest.param(filed(gradient("P")), "RGB", id="palette"),
        pytest.param(filed(gradient("CMYK"), "JPEG"), "RGB", id="CMYK JPEG"),
        pytest.param(filed(gradient(), "WEBP", lossless=True), "RGB", id="WebP"),
        pytest.param(filed(gradient("RGBA")), "RGB", id="alpha without a transparent place"),
        pytest.param(filed(gradient(size=(1, 1))), "RGB", id="one pixel"),
        pytest.param(filed(gradient(size=(20_000, 3))), "RGB", id="20,000 pixels wide"),
        pytest.param(
            filed(gradient(), "GIF", save_all=True, append_images=[gradient("L")] * 3), "RGB", id="animated GIF"
        ),
        pytest.param(filed(gradient(), "TIFF"), "RGB", id="TIFF"),
        pytest.param(filed(gradient(), "BMP"), "RGB", id="BMP"),
    ],
)
def test_pictures_of_many_kinds_are_taken(inputs: InputPictures, data: bytes, mode: str) -> None:
    kept = inputs.open(inputs.add(data, "ann"), "ann")
    assert kept.mode == mode
    with Image.open(io.BytesIO(data)) as given:
        expected = np.asarray(given.convert("RGB"), int)
    assert kept.size == expected.shape[1::-1]
    assert np.abs(np.asarray(kept.convert("RGB"), int) - expected).max() <= 1


def test_16_bits_are_brought_to_8_and_not_cut_off(inputs: InputPictures) -> None:
    deep = np.linspace(0, 65535, 64 * 4).reshape(4, 64).astype(np.uint16)
    kept = inputs.open(inputs.add(filed(Image.fromarray(deep)), "ann"), "ann")
    assert np.array_equal(np.asarray(kept)[..., 0], deep // 257)


def test_a_picture_lies_as_its_exif_says(inputs: InputPictures) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    kept = inputs.open(inputs.add(filed(gradient(), "PNG", exif=exif), "ann"), "ann")
    assert kept.size == (24, 40)
    assert np.array_equal(np.asarray(kept), np.rot90(np.asarray(gradient()), -1))


def test_transparency_is_kept_and_what_is_written_in_the_file_is_not(inputs: InputPictures) -> None:
    picture = gradient("RGBA")
    picture.putpixel((3, 4), (9, 8, 7, 100))
    exif = Image.Exif()
    exif[0x010F] = "where I live"
    id = inputs.add(filed(picture, "PNG", exif=exif), "ann")
    assert inputs.open(id, "ann").getpixel((3, 4)) == (9, 8, 7, 100)
    assert b"where I live" not in inputs.path(id, "ann").read_bytes()


def bomb(side: int) -> bytes:
    """A PNG of a few bytes that claims to be side x side pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(9999))) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        pytest.param(b"", "broken or of another kind", id="empty"),
        pytest.param(b"GIF89a", "broken or of another kind", id="a beginning"),
        pytest.param(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "of another kind", id="SVG"),
        pytest.param(filed(gradient(size=(300, 300)))[:-90], "cut off", id="truncated PNG"),
        pytest.param(filed(gradient(size=(300, 300)), "JPEG")[:1500], "cut off", id="truncated JPEG"),
        pytest.param(bomb(8200), "at most 67 million", id="too many pixels"),
        pytest.param(bomb(20_000), "too large to be opened", id="20,000 x 20,000 pixels"),
        pytest.param(bytes(MOST_BYTES + 1), "larger than 64 MB", id="too large a file"),
    ],
)
def test_what_cannot_be_used_is_refused(inputs: InputPictures, data: bytes, sentence: str) -> None:
    with pytest.raises(UnreadablePicture, match=sentence):
        inputs.add(data, "ann")
    assert not list(inputs.folder.glob("*/*"))


def test_the_same_picture_is_kept_once_in_whatever_file_it_comes(inputs: InputPictures) -> None:
    ids = {inputs.add(data, "ann") for data in (filed(gradient()), filed(gradient(), "BMP"))}
    assert len(ids) == 1
    assert len(list(inputs.folder.glob("*/*"))) == 1
    assert inputs.add(filed(gradient("L")), "ann") not in ids
    assert inputs.add(filed(gradient(size=(24, 40))), "ann") not in ids


def test_owners_do_not_see_each_others(inputs: InputPictures) -> None:
    id = inputs.add(filed(gradient()), "ann")
    assert inputs.holds(id, "ann") and not inputs.holds(id, "bob")
    with pytest.raises(UnreadablePicture, match="not here"):
        inputs.open(id, "bob")


@pytest.mark.parametrize("id", ["", "0" * 32, "../../secret", "0" * 31 + "/", "0" * 33, "\0" * 32, "A" * 32])
def test_an_id_that_there_is_none_of(inputs: InputPictures, id: str) -> None:
    assert not inputs.holds(id, "ann")
    with pytest.raises(UnreadablePicture, match="hand it in again"):
        inputs.path(id, "ann")


def test_a_broken_file_is_told(inputs: InputPictures) -> None:
    id = inputs.add(filed(gradient()), "ann")
    inputs.path(id, "ann").write_bytes(b"no picture")
    with pytest.raises(UnreadablePicture, match="broken"):
        inputs.open(id, "ann")


def test_what_nobody_asks_for_goes_and_what_is_needed_stays(tmp_path: Path) -> None:
    time = [1000.0]
    inputs = InputPictures(tmp_path, keep_seconds=100, now=lambda: time[0])
    ids = [inputs.add(filed(gradient(size=(width, 8))), "ann") for width in (8, 16, 24)]
    leftover = inputs.path(ids[0], "ann").with_name(".0123.part")
    leftover.write_bytes(b"of a program that died")
    os.utime(leftover, (900, 900))
    time[0] = 1090
    inputs.open(ids[1], "ann")
    time[0] = 1110
    assert inputs.clean(needed=ids[:1]) == 2
    assert [inputs.holds(id, "ann") for id in ids] == [True, True, False]
    assert not leftover.exists()


def test_pictures_can_be_handed_over(inputs: InputPictures) -> None:
    ids = [inputs.add(filed(gradient(size=(width, 8))), "local") for width in (8, 16)]
    inputs.add(filed(gradient(size=(8, 8))), "ann")
    inputs.give("local", "ann")
    assert all(inputs.holds(id, "ann") for id in ids)
    assert not inputs.holds(ids[1], "local")


def test_the_bound_is_reached_by_no_ordinary_photograph() -> None:
    assert MOST_PIXELS > 50_000_000
