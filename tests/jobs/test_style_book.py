"""Styles of the server and of its users."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from webui.domain.chosen_prompts import PROMPTS
from webui.domain.request import GenerationRequest
from webui.domain.styles import Style, read_yaml
from webui.errors import InvalidRequest, StorageFailure
from webui.jobs.style_book import MOST_STYLES, StyleBook


@pytest.fixture
def book(tmp_path: Path) -> StyleBook:
    shared = tmp_path / "styles"
    shared.mkdir()
    (shared / "styles.csv").write_text(
        '\ufeffname,prompt,negative_prompt\nFilm,"film still of {prompt}, grain",cartoon\n# a comment,x,y\n',
        encoding="utf-8",
    )
    (shared / "ours.yaml").write_text("Sharp: sharp focus\nFilm: another of that name\n", encoding="utf-8")
    return StyleBook(shared, tmp_path / "var" / "styles")


def names(book: StyleBook, owner: str) -> list[tuple[str, bool]]:
    return [(known.style.name, known.own) for known in book.styles(owner)]


def test_everybody_has_the_servers_and_their_own(book):
    assert names(book, "anna") == [("Sharp", False), ("Film", False)]
    book.save("anna", Style("Dark", "at night"))
    assert names(book, "anna") == [("Dark", True), ("Sharp", False), ("Film", False)]
    assert names(book, "bob") == [("Sharp", False), ("Film", False)]


def test_styles_go_into_the_prompts_and_out_again(book):
    book.save("anna", Style("Dark", "at night", "sun"))
    prompt, negative, missing = book.applied("anna", "a fox", "blurry", ["dark", "Nope", "Sharp"])
    assert (prompt, negative, missing) == ("a fox, at night, sharp focus", "blurry, sun", ("Nope",))
    assert book.recognised("anna", prompt, negative) == ("a fox", "blurry", ("Dark", "Sharp"))
    assert book.recognised("bob", "a fox, at night", "sun")[2] == ()
    assert book.missing("anna", ["Drak", "Sharp"]) == (
        'There is no style "Drak", so it is left out. Did you mean "Dark"?',
    )


def test_an_own_style_goes_before_the_servers_until_it_is_deleted(book):
    book.save("anna", Style("Film", "my film"))
    assert book.named("anna", ["Film"])[0] == (Style("Film", "my film"),)
    book.save("anna", Style("Film", "my other film"))
    assert names(book, "anna") == [("Film", True), ("Sharp", False)]
    book.delete("anna", "Film")
    assert book.named("anna", ["Film"])[0][0].prompt == "another of that name"
    for name, why in (("Film", "is the server's"), ("Nope", "is not there")):
        with pytest.raises(InvalidRequest, match=why):
            book.delete("anna", name)


@pytest.mark.parametrize(
    ("style", "why"),
    [
        (Style(" ", "x"), "needs a name"),
        (Style("n" * 300, "x"), "needs a name"),
        (Style("# n", "x"), "begin with #"),
        (Style("n", " ", "\n"), "says nothing"),
        (Style("n", "x" * 30_000), "has more"),
    ],
)
def test_what_is_no_style_is_refused(book, style, why):
    with pytest.raises(InvalidRequest, match=why):
        book.save("anna", style)
    assert names(book, "anna") == names(book, "bob")


def test_there_is_an_end_to_them(book, tmp_path):
    (tmp_path / "var" / "styles").mkdir(parents=True)
    text = "".join(f"style {number}: x\n" for number in range(MOST_STYLES))
    (tmp_path / "var" / "styles" / "anna.yaml").write_text(text)
    with pytest.raises(InvalidRequest, match="Delete some"):
        book.save("anna", Style("one more", "x"))
    book.save("anna", Style("style 1", "changed"))


def test_every_owner_has_a_file_of_their_own_within_the_folder(book, tmp_path):
    owners = ["anna", "../../anna", "Anna", "a/b", "", "é", "con" * 100]
    for owner in owners:
        book.save(owner, Style("mine", owner + "'s"))
    for owner in owners:
        assert book.named(owner, ["mine"])[0][0].prompt == owner + "'s"
    files = list((tmp_path / "var" / "styles").iterdir())
    assert len(files) == len(owners)
    assert not [path for path in tmp_path.rglob("*.yaml") if path.parent.name != "styles"]


def test_a_damaged_file_is_told_and_not_written_over(book, tmp_path):
    (tmp_path / "styles" / "bad.csv").write_text("not,a,style\nx,y,z\n")
    assert "bad.csv" in book.problems("anna")[0]
    assert len(book.styles("anna")) == 2
    private = tmp_path / "var" / "styles" / "anna.yaml"
    private.parent.mkdir(parents=True)
    private.write_text("- not styles\n")
    with pytest.raises(StorageFailure, match="The styles in anna"):
        book.save("anna", Style("n", "x"))
    assert private.read_text() == "- not styles\n"


def test_a_style_is_written_whole_or_not_at_all(book, tmp_path, monkeypatch):
    book.save("anna", Style("n", "x"))
    private = tmp_path / "var" / "styles" / "anna.yaml"

    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("webui.jobs.style_book.os.fsync", fails)
    with pytest.raises(StorageFailure, match="No space left"):
        book.save("anna", Style("m", "y"))
    assert list(private.parent.iterdir()) == [private]
    assert read_yaml(private.read_text(encoding="utf-8")) == (Style("n", "x"),)


def test_a_request_gets_its_styles_once_and_keeps_names_of_none(book):
    book.save("anna", Style("Dark", "at night", "sun"))
    request = GenerationRequest(prompt="a fox", negative_prompt="blurry", styles=("Dark", "Nope"))
    styled = book.put_into(request, "anna")
    assert styled == replace(request, prompt="a fox, at night", negative_prompt="blurry, sun", styles=("Nope",))
    again = book.put_into(replace(request, **dict.fromkeys(PROMPTS, "x")), "anna")
    assert [getattr(again, name) for name in PROMPTS] == ["x, at night", "x, sun"] * (len(PROMPTS) // 2)
