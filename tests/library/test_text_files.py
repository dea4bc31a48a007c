"""A folder of text files, as it is now."""

import os
import time
from pathlib import Path

import pytest

from webui.library.text_files import LARGEST, TextFiles


def write(path: Path, text: str, age: float = 60.0) -> None:
    """A file that was last changed ``age`` seconds ago, and so was its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    then = time.time() - age
    os.utime(path, (then, then))
    os.utime(path.parent, (then, then))


def test_files_are_called_by_their_place(tmp_path):
    write(tmp_path / "colour.txt", "red")
    write(tmp_path / "animals" / "Cat.TXT", "siamese")
    write(tmp_path / "animals" / "notes.md", "no")
    write(tmp_path / ".hidden" / "no.txt", "no")
    files = TextFiles(tmp_path)
    assert dict(files) == {"animals/Cat": "siamese", "colour": "red"}
    assert list(TextFiles(tmp_path, (".md", ".txt"))) == ["animals/Cat.TXT", "animals/notes.md", "colour.txt"]
    assert "animals/notes" not in files
    with pytest.raises(KeyError):
        files["nothing"]


def test_no_folder_is_no_files_until_there_is_one(tmp_path):
    files = TextFiles(tmp_path / "wildcards")
    assert dict(files) == {}
    write(tmp_path / "wildcards" / "a.txt", "b")
    assert dict(files) == {"a": "b"}


@pytest.mark.parametrize("age", [0.0, 60.0])
def test_changes_are_seen_however_quickly_they_come(tmp_path, age):
    files = TextFiles(tmp_path)
    for number in range(5):
        write(tmp_path / "same.txt", str(number), age + 5 - number)
        write(tmp_path / "deep" / f"{number}.txt", "x", age + 5 - number)
        assert files["same"] == str(number)
        assert len(files) == number + 2
    (tmp_path / "same.txt").unlink()
    assert "same" not in files


def test_a_file_is_read_once_while_it_stays(tmp_path):
    write(tmp_path / "a.txt", "red")
    files = TextFiles(tmp_path)
    assert files["a"] is files["a"]


def test_other_encodings_and_huge_files_do_no_harm(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfred\n\xff\xfe")
    (tmp_path / "huge.txt").write_bytes(b"x" * (LARGEST + 10))
    files = TextFiles(tmp_path)
    assert files["a"] == "red\n\ufffd\ufffd"
    assert len(files["huge"]) == LARGEST


def test_links_out_of_the_folder_and_around_in_it_are_not_followed(tmp_path):
    write(tmp_path / "secret.txt", "secret")
    folder = tmp_path / "wildcards"
    write(folder / "a.txt", "b")
    (folder / "stolen.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "up").symlink_to(tmp_path)
    (folder / "round").symlink_to(folder)
    assert dict(TextFiles(folder)) == {"a": "b"}
