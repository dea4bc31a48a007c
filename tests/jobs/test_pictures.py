"""What lies in the files: checked byte by byte, without the code that wrote it."""

from __future__ import annotations

import gzip
import io
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from webui.domain.infotext import parse
from webui.errors import InvalidSettings, StorageFailure, UnreadablePicture
from webui.jobs.pictures import FORMATS, decode_user_comment, encode, read_infotext, read_metadata

ROW = "Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 48x32, Model: majicMIX, Version: Lucid 0.1.0"
LATIN = f"a café\nNegative prompt: ugly\n{ROW}"
CHINESE = f'猫 and 😀, "quoted"\nNegative prompt: 丑\n{ROW}'


@pytest.fixture
def image() -> Image.Image:
    """48 x 32, every pixel another colour."""
    rows, columns = np.mgrid[0:32, 0:48]
    return Image.fromarray(np.stack([rows * 8, columns * 5, rows + columns], axis=2).astype(np.uint8), "RGB")


def png_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    chunks, at = [], 8
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        content = data[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", data, at + 8 + length)[0] == zlib.crc32(kind + content)
        chunks.append((kind, content))
        at += 12 + length
    return chunks


def exif_user_comment(exif: bytes) -> bytes:
    """The value of tag 0x9286 by the TIFF specification; its type must be 7, UNDEFINED."""
    assert exif[:4] == b"MM\0*"

    def entries(at: int) -> dict[int, tuple[int, int, int]]:
        (count,) = struct.unpack_from(">H", exif, at)
        found = (struct.unpack_from(">HHII", exif, at + 2 + 12 * i) for i in range(count))
        return {tag: (kind, length, value) for tag, kind, length, value in found}

    (start,) = struct.unpack_from(">I", exif, 4)
    kind, length, at = entries(entries(start)[0x8769][2])[0x9286]
    assert kind == 7
    return exif[at : at + length]


def jpeg_exif(data: bytes) -> bytes:
    at = 2
    while data[at + 1] != 0xE1:
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    content = data[at + 4 : at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")]
    assert content.startswith(b"Exif\0\0")
    return content[6:]


def webp_exif(data: bytes) -> bytes:
    assert data[:4] == b"RIFF" and data[8:12] == b"WEBP"
    at = 12
    while at < len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        if kind == b"EXIF":
            return data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2
    raise AssertionError("no EXIF chunk")


def test_a_png_holds_latin_text_as_text_chunk(image: Image.Image) -> None:
    chunks = png_chunks(encode(image, LATIN, "png", 90))
    assert [content for kind, content in chunks if kind == b"tEXt"] == [b"parameters\0" + LATIN.encode("latin-1")]
    assert not [kind for kind, _ in chunks if kind in (b"iTXt", b"zTXt")]


def test_a_png_holds_other_text_as_uncompressed_itxt_chunk(image: Image.Image) -> None:
    chunks = png_chunks(encode(image, CHINESE, "png", 90))
    assert [content for kind, content in chunks if kind == b"iTXt"] == [b"parameters\0\0\0\0\0" + CHINESE.encode()]
    assert not [kind for kind, _ in chunks if kind in (b"tEXt", b"zTXt")]


@pytest.mark.parametrize(("format", "exif"), [("jpeg", jpeg_exif), ("webp", webp_exif)])
def test_jpeg_and_webp_hold_utf_16_in_the_user_comment(image: Image.Image, format: str, exif: object) -> None:
    assert callable(exif)
    comment = exif_user_comment(exif(encode(image, "a 猫", format, 90)))
    assert comment == bytes.fromhex("55 4E 49 43 4F 44 45 00 00 61 00 20 73 2B")


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("infotext", [LATIN, CHINESE, "", "half \ud800 pair"])
def test_pillow_reads_it_back(image: Image.Image, format: str, infotext: str, tmp_path: Path) -> None:
    path = tmp_path / f"picture{FORMATS[format].suffix}"
    path.write_bytes(encode(image, infotext, format, 90))
    with Image.open(path) as read:
        assert read.get_format_mimetype() == FORMATS[format].media_type
        assert read.size == image.size
        comment = read.getexif().get_ifd(0x8769).get(0x9286, b"")
        stored = read.info.get("parameters", "") if format == "png" else comment[8:].decode("utf-16-be")
        error = np.abs(np.asarray(read.convert("RGB"), int) - np.asarray(image, int)).mean()
    assert stored == infotext.replace("\ud800", "?")
    assert error == 0 if format == "png" else error < 8
    assert list(read_metadata(path).values()) == ([stored] if stored else [])
    assert read_metadata(path) == read_metadata(path.read_bytes())
    assert read_infotext(path) == (parse(stored) if "Steps" in stored or (stored and format == "png") else None)


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from(sorted(FORMATS)))
def test_any_text_survives(text: str, format: str) -> None:
    stored = read_metadata(encode(Image.new("RGB", (8, 8)), f"{text}\n{ROW}", format, 50))
    assert list(stored.values()) == [f"{text}\n{ROW}"]


def test_the_same_picture_gives_the_same_bytes(image: Image.Image) -> None:
    for format in FORMATS:
        assert encode(image, CHINESE, format, 80) == encode(image, CHINESE, format, 80)


def test_quality(image: Image.Image) -> None:
    for format in ("jpeg", "webp"):
        assert len(encode(image, "", format, 20)) < len(encode(image, "", format, 95))


def test_transparency(image: Image.Image) -> None:
    image.putalpha(128)
    for format, mode in (("png", "RGBA"), ("jpeg", "RGB"), ("webp", "RGBA")):
        with Image.open(io.BytesIO(encode(image, LATIN, format, 90))) as read:
            assert read.mode == mode


def test_what_a_format_cannot_hold_is_said(image: Image.Image) -> None:
    with pytest.raises(StorageFailure, match="png"):
        encode(image, "x" * 40_000, "jpeg", 90)  # EXIF ends at 64 KiB there
    assert read_metadata(encode(image, "x" * 40_000, "webp", 90)) == {"UserComment": "x" * 40_000}
    with pytest.raises(StorageFailure, match="16383"):
        encode(Image.new("L", (16384, 1)), "", "webp", 90)
    with pytest.raises(StorageFailure, match="65535"):
        encode(Image.new("L", (1, 65536)), "", "jpeg", 90)
    with pytest.raises(InvalidSettings, match='Did you mean "jpeg"'):
        encode(image, "", "jpg", 90)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"UNICODE\0" + "a 猫".encode("utf-16-be"), "a 猫"),
        (b"UNICODE\0" + "Steps: 20".encode("utf-16-le"), "Steps: 20"),
        (b"UNICODE\0\xff\xfe" + "猫".encode("utf-16-le"), "猫"),
        (b"UNICODE\0\xfe\xff" + "猫".encode("utf-16-be"), "猫"),
        (b"UNICODE\0" + "ab".encode("utf-16-be") + b"\0", "ab"),
        (b"ASCII\0\0\0plain", "plain"),
        (b"\0\0\0\0\0\0\0\0" + "ä".encode(), "ä"),
        (b"no code at all", "no code at all"),
        (b"bad \xff\xfe bytes", "bad  bytes"),
        (b"", ""),
    ],
)
def test_user_comments_of_other_programs(raw: bytes, text: str) -> None:
    assert decode_user_comment(raw) == text


def saved(image: Image.Image, format: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def test_comments_of_gif_and_jpeg_and_xmp(image: Image.Image) -> None:
    gif = read_infotext(saved(image, "GIF", comment=LATIN.encode()))
    assert gif == parse(LATIN)
    assert read_metadata(saved(image, "JPEG", comment=b"Created with GIMP")) == {"comment": "Created with GIMP"}
    xmp = b'<exif:UserComment><rdf:li>{"c": "a hill", "uc": "", "steps": 4, "seed": 1}</rdf:li></exif:UserComment>'
    drawn = read_infotext(saved(image, "JPEG", xmp=xmp))
    assert drawn is not None and (drawn.source, drawn.prompt) == ("Draw Things", "a hill")


def test_comfyui_in_webp(image: Image.Image) -> None:
    graph = {"1": {"class_type": "KSampler", "inputs": {"steps": 7, "seed": 3, "latent_image": ["2", 0]}}}
    exif = Image.Exif()
    exif[0x0110], exif[0x010F] = f"prompt:{json.dumps(graph)}", "workflow:{}"
    read = read_infotext(saved(image, "WEBP", exif=exif))
    assert read is not None and read.source == "ComfyUI" and read.fields["Steps"] == "7"


def test_text_behind_the_pixels(image: Image.Image) -> None:
    data = encode(image, "", "png", 90)
    content = b"tEXtparameters\0" + LATIN.encode("latin-1")
    chunk = struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))
    assert read_infotext(data[:-12] + chunk + data[-12:]) == parse(LATIN)


def test_novelai_takes_its_size_from_the_picture(image: Image.Image) -> None:
    chunks = PngImagePlugin.PngInfo()
    chunks.add_text("Software", "NovelAI")
    chunks.add_text("Description", "a cat")
    chunks.add_text("Comment", '{"steps": 28, "sampler": "k_euler", "seed": 3, "scale": 11.0, "uc": "dog"}')
    read = read_infotext(saved(image, "PNG", pnginfo=chunks))
    assert read is not None and read.source == "NovelAI"
    assert (read.fields["Size"], read.fields["Clip skip"], read.fields["ENSD"]) == ("48x32", "2", "31337")


def hide(image: Image.Image, name: bytes, data: bytes) -> Image.Image:
    """Stealth pnginfo, written bit by bit down the columns."""
    message = name + (len(data) * 8).to_bytes(4, "big") + data
    bits = iter([byte >> shift & 1 for byte in message for shift in range(7, -1, -1)])
    picture = image.convert("RGBA" if b"png" in name else "RGB")
    pixels = picture.load()
    assert pixels is not None
    for x in range(picture.width):
        for y in range(picture.height):
            pixel = list(pixels[x, y])  # type: ignore[arg-type]
            for channel in (3,) if b"png" in name else (0, 1, 2):
                pixel[channel] = pixel[channel] & ~1 | next(bits, 0)
            pixels[x, y] = tuple(pixel)
    assert next(bits, None) is None
    return picture


@pytest.mark.parametrize("name", [b"stealth_pnginfo", b"stealth_pngcomp", b"stealth_rgbinfo", b"stealth_rgbcomp"])
@pytest.mark.parametrize("lossless", ["PNG", "WEBP"])
def test_stealth_pnginfo(image: Image.Image, name: bytes, lossless: str) -> None:
    data = CHINESE.encode()
    hidden = hide(image, name, gzip.compress(data) if name.endswith(b"comp") else data)
    options = {"lossless": True, "exact": True} if lossless == "WEBP" else {}
    assert read_infotext(saved(hidden, lossless, **options)) == parse(CHINESE)


def test_stealth_pnginfo_of_novelai(image: Image.Image) -> None:
    chunks = {"Software": "NovelAI", "Description": "a cat", "Comment": '{"steps": 28, "seed": 3, "uc": ""}', "Time": 3}
    read = read_infotext(saved(hide(image, b"stealth_pngcomp", gzip.compress(json.dumps(chunks).encode())), "PNG"))
    assert read is not None and (read.source, read.prompt) == ("NovelAI", "a cat")


@pytest.mark.parametrize("data", [b"no gzip", gzip.compress(bytes(2**25)), gzip.compress(LATIN.encode())[:40]])
def test_stealth_pnginfo_that_is_broken_or_a_bomb(image: Image.Image, data: bytes) -> None:
    large = image.resize((512, 600))
    assert read_infotext(saved(hide(large, b"stealth_pngcomp", data), "PNG")) is None


def test_a_length_beyond_the_picture_is_no_harm(image: Image.Image) -> None:
    data = bytearray(LATIN.encode())
    hidden = hide(image, b"stealth_pnginfo", bytes(data))
    pixels = hidden.load()
    assert pixels is not None
    for bit in range(120, 152):  # its length: all ones
        x, y = divmod(bit, hidden.height)
        pixels[x, y] = (*pixels[x, y][:3], pixels[x, y][3] | 1)  # type: ignore[index]
    read = read_metadata(saved(hidden, "PNG"))["parameters"]
    assert read.startswith(LATIN)


def compressed_text(size: int) -> bytes:
    """A PNG whose text unpacks to ``size`` bytes."""
    chunks = PngImagePlugin.PngInfo()
    chunks.add_text("parameters", "x" * size, zip=True)
    return saved(Image.new("RGB", (8, 8)), "PNG", pnginfo=chunks)


def test_bombs_are_refused() -> None:
    assert len(read_metadata(compressed_text(1_000_000))["parameters"]) == 1_000_000
    with pytest.raises(UnreadablePicture):
        read_metadata(compressed_text(2_000_000))
    small = encode(Image.new("RGB", (8, 8)), LATIN, "png", 90)
    header = b"IHDR" + struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    huge = small[:12] + header + struct.pack(">I", zlib.crc32(header)) + small[33:]
    with pytest.raises(UnreadablePicture, match="too large"):
        read_metadata(huge)


def test_a_picture_cut_short_shows_what_stands_before_its_pixels(image: Image.Image) -> None:
    data = encode(image, LATIN, "png", 90)
    assert read_infotext(data[: data.index(b"IDAT") + 20]) == parse(LATIN)
    assert read_metadata(encode(image, "", "png", 90)[:100]) == {}


def test_what_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "notes.png").write_text("no picture")
    with pytest.raises(UnreadablePicture, match=r"notes\.png"):
        read_metadata(tmp_path / "notes.png")
    with pytest.raises(UnreadablePicture, match=r"There is no file missing\.png"):
        read_infotext(tmp_path / "missing.png")
    with pytest.raises(UnreadablePicture):
        read_infotext(tmp_path)
    broken_avif = b"\0\0\0\x20ftypavif\0\0\0\0avifmif1miafMA1B" + b"\0\0\0\x08mdat"
    for data in (broken_avif, b"", b"\x89PNG\r\n\x1a\n", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"):
        with pytest.raises(UnreadablePicture):
            read_metadata(data)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow warns of EXIF that is broken, which is the point here
@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(FORMATS)), st.data())
def test_damaged_files_are_read_or_refused(format: str, data: st.DataObject) -> None:
    whole = bytearray(encode(Image.new("RGB", (16, 16), (200, 30, 40)), CHINESE, format, 60))
    for _ in range(data.draw(st.integers(0, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    try:
        found = read_metadata(damaged)
    except UnreadablePicture as error:
        assert "The file" in str(error)
    else:
        assert all(isinstance(value, str) for value in found.values())
