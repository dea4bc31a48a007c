from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from PIL import Image

from webui.domain.request import GenerationRequest
from webui.errors import InvalidSettings, NotAllowed, StorageFailure
from webui.jobs.outputs import Outputs
from webui.jobs.pictures import read_metadata

RequestOf = Callable[..., GenerationRequest]
PictureOf = Callable[[int], Image.Image]

ROOT = Path(__file__).parents[2]

# A process that saves pictures to the folder argv[1] and says when. Without hard links if argv[2] is "no-links": the
# system call fails as it does on FAT. With argv[2] "limit" no file may grow beyond 4 KiB until the first failure.
SAVER = """
import errno, os, sys
from PIL import Image
from webui.domain.request import GenerationRequest
from webui.errors import StorageFailure
from webui.jobs.outputs import Outputs

from pathlib import Path
folder, mode = Path(sys.argv[1]), sys.argv[2]

def refuse_links(event, arguments):
    if event == "os.link":
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

def set_largest_file(size):
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

if mode == "no-links":
    sys.addaudithook(refuse_links)
if mode == "limit":
    set_largest_file(4096)
outputs = Outputs(folder, filename_pattern="[seed]", folder_pattern="")
picture = Image.frombytes("RGB", (64, 64), os.urandom(64 * 64 * 3))
for seed in range(20):
    try:
        print(outputs.save(picture, GenerationRequest(seed=seed % 2), "txt2img", ""))
    except StorageFailure as error:
        print(error)
        set_largest_file(-1)
"""


def _run_savers(folder: Path, *modes: str) -> list[list[str]]:
    savers = [
        subprocess.Popen(
            [sys.executable, "-c", SAVER, str(folder), mode],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        for mode in modes
    ]
    told = [saver.communicate()[0].splitlines() for saver in savers]
    assert [saver.returncode for saver in savers] == [0] * len(modes)
    return told


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def _is_whole(path: Path) -> bool:
    with Image.open(path) as image:
        image.load()
        return image.size == (64, 64)


def test_pictures_are_numbered_within_their_folder(data: Path, picture_of: PictureOf, request_of: RequestOf) -> None:
    when = datetime(2025, 3, 9)
    outputs = Outputs(data, now=lambda: when)
    folder = data / "txt2img" / "2025-03-09"
    assert outputs.save(picture_of(1), request_of(seed=1), "txt2img", "") == "txt2img/2025-03-09/00000-1.png"
    assert outputs.save(picture_of(2), request_of(seed=2), "txt2img", "") == "txt2img/2025-03-09/00001-2.png"
    assert outputs.save(picture_of(2), request_of(seed=2), "img2img", "") == "img2img/2025-03-09/00000-2.png"
    (folder / "00041-5.png").write_bytes(b"from an earlier program")
    (folder / "notes 99999.txt").write_text("no picture of ours")
    later = Outputs(data, now=lambda: when)
    assert later.save(picture_of(3), request_of(seed=3), "txt2img", "") == "txt2img/2025-03-09/00042-3.png"


@pytest.mark.parametrize(("format", "suffix"), [("png", ".png"), ("jpeg", ".jpg"), ("webp", ".webp")])
def test_every_format_holds_the_infotext(
    data: Path, picture_of: PictureOf, request_of: RequestOf, format: str, suffix: str
) -> None:
    outputs = Outputs(data, format=format)
    path = outputs.resolve(
        outputs.save(picture_of(1), request_of(), "txt2img", "猫\nSteps: 20, Sampler: Euler, Seed: 1")
    )
    assert path.suffix == suffix and _is_whole(path)
    assert "猫\nSteps: 20, Sampler: Euler, Seed: 1" in read_metadata(path).values()


def test_an_infotext_too_long_for_jpeg_makes_it_a_png(data: Path, picture_of: PictureOf, request_of: RequestOf) -> None:
    with Outputs(data, format="jpeg").saving(picture_of(1), request_of(), "txt2img", "long " * 20_000) as kept:
        assert kept.path.endswith(".png") and kept.notice.startswith("Saved as PNG")


def test_nothing_is_overwritten_when_a_pattern_gives_the_same_name(
    data: Path, picture_of: PictureOf, request_of: RequestOf
) -> None:
    outputs = Outputs(data, filename_pattern="[seed]", folder_pattern="")
    paths = [outputs.save(picture_of(seed), request_of(seed=5), "txt2img", "") for seed in range(3)]
    assert paths == ["5.png", "5-1.png", "5-2.png"]


@pytest.mark.parametrize("modes", [("links", "links", "links"), ("no-links", "no-links", "no-links")])
def test_processes_that_save_to_one_folder_never_overwrite_each_other(tmp_path: Path, modes: tuple[str, ...]) -> None:
    told = _run_savers(tmp_path, *modes)
    paths = [path for paths in told for path in paths]
    assert len(set(paths)) == 60
    assert sorted(_names(tmp_path)) == sorted(paths), "no temporary file and no reservation is left"
    assert all(_is_whole(tmp_path / path) for path in paths)


def test_threads_share_the_numbers(data: Path, picture_of: PictureOf, request_of: RequestOf) -> None:
    outputs = Outputs(data, filename_pattern="[number]", folder_pattern="")
    paths: list[str] = []

    def save() -> None:
        for seed in range(10):
            paths.append(outputs.save(picture_of(seed), request_of(), "txt2img", ""))

    threads = [threading.Thread(target=save) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(paths) == [f"{number:05}.png" for number in range(40)]


def test_a_disk_without_room_leaves_no_half_picture_and_passes(tmp_path: Path) -> None:
    (told,) = _run_savers(tmp_path, "limit")
    assert str(tmp_path) in told[0] and "File too large" in told[0] and "ulimit" in told[0]
    assert len(told) == 20 and sorted(_names(tmp_path)) == sorted(told[1:])
    assert all(_is_whole(tmp_path / path) for path in told[1:])


def test_a_file_in_the_place_of_a_folder_is_a_sentence(
    data: Path, picture_of: PictureOf, request_of: RequestOf
) -> None:
    data.mkdir()
    (data / "txt2img").write_text("in the way")
    with pytest.raises(StorageFailure, match=r"txt2img.*move it away"):
        Outputs(data).save(picture_of(1), request_of(), "txt2img", "")
    (data / "txt2img").unlink()
    assert Outputs(data).save(picture_of(1), request_of(), "txt2img", "").endswith("00000-1.png")


def test_a_name_is_cut_to_what_the_file_system_takes(data: Path, picture_of: PictureOf, request_of: RequestOf) -> None:
    outputs = Outputs(data, filename_pattern="[owner][owner][owner][prompt]-[seed]", folder_pattern="[prompt]")
    with outputs.saving(picture_of(1), request_of(prompt="猫" * 200), "txt2img", "", owner="é" * 100) as kept:
        assert outputs.holds(kept.path)
        assert kept.path.endswith("-1.png")


def test_only_what_lies_in_the_folder_is_resolved(data: Path, picture_of: PictureOf, request_of: RequestOf) -> None:
    outputs = Outputs(data / "outputs")
    path = outputs.save(picture_of(1), request_of(), "txt2img", "")
    assert outputs.resolve(path).is_file() and outputs.holds(path)
    (data / "secret.png").write_bytes(b"")
    (data / "outputs" / "link.png").symlink_to(data / "secret.png")
    for outside in (
        "../secret.png",
        "txt2img/../../secret.png",
        str(data / "secret.png"),
        "..\\secret.png",
        "C:\\secret.png",
        "C:secret.png",
        "\\\\server\\share\\x.png",
        "link.png",
        "a\0b",
    ):
        with pytest.raises(NotAllowed, match="does not lie in the outputs folder"):
            outputs.resolve(outside)
        assert not outputs.holds(outside)
    assert not outputs.holds("txt2img"), "a folder is no picture"


def test_a_linked_subfolder_that_leads_out_is_refused(data: Path, picture_of: PictureOf, request_of: RequestOf) -> None:
    elsewhere = data / "elsewhere"
    elsewhere.mkdir(parents=True)
    (data / "outputs").mkdir()
    (data / "outputs" / "txt2img").symlink_to(elsewhere)
    with pytest.raises(StorageFailure, match="leads out"):
        Outputs(data / "outputs", folder_pattern="[kind]").save(picture_of(1), request_of(), "txt2img", "")


def test_the_whole_folder_may_be_a_link(data: Path, picture_of: PictureOf, request_of: RequestOf) -> None:
    (data / "big disk").mkdir(parents=True)
    (data / "outputs").symlink_to(data / "big disk")
    outputs = Outputs(data / "outputs")
    assert outputs.holds(outputs.save(picture_of(1), request_of(), "txt2img", ""))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"format": "jpg2000"}, "picture_format"),
        ({"filename_pattern": "[sed]"}, "filename_pattern"),
        ({"folder_pattern": "../.."}, "folder_pattern"),
    ],
)
def test_settings_that_cannot_be_used_are_refused_at_once(data: Path, options: dict[str, str], sentence: str) -> None:
    with pytest.raises(InvalidSettings, match=sentence):
        Outputs(data, **options)  # type: ignore[arg-type]


def test_leftovers_of_living_processes_and_files_of_others_stay(
    data: Path, picture_of: PictureOf, request_of: RequestOf
) -> None:
    outputs = Outputs(data, folder_pattern="")
    (data).mkdir()
    for name in ("mine.tmp", ".hidden", ".lucid-notes"):
        (data / name).write_text("of the user")
    with outputs.saving(picture_of(1), request_of(), "txt2img", "", job="00ff", index=0) as kept:
        before = _names(data)
        assert Outputs(data).remove_leftovers(lambda job, index: True) == 0
        assert _names(data) == before
    assert _names(data) == {"mine.tmp", ".hidden", ".lucid-notes", kept.path}
