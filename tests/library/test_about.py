"""What files say to people, and that none of it can do harm."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from model_headers import kohya_lora, write_model

from webui.library.index import Library


def told(folder: Path, metadata: dict[str, str] | None = None, **beside: Any) -> dict[str, Any]:
    """What is known of the one LoRA in the folder. ``beside``: suffix of a file beside it -> its content."""
    write_model(folder / "loras" / "a.safetensors", kohya_lora(768), metadata)
    for suffix, content in beside.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / "loras" / f"a.{suffix.replace('_', '.')}").write_text(text, "utf-8")
    library = Library({"lora": (folder / "loras",)}, folder / "cache.sqlite3")
    library.rescan()
    return dict(library.find("lora", "a").about)


def test_nothing_is_said_of_a_bare_file(tmp_path: Path) -> None:
    assert told(tmp_path) == {}


def test_metadata_of_trainers(tmp_path: Path) -> None:
    frequency = {"10_castle": {" castle ": 20, "sky": 3}, "1_more": {"sky": 30, "odd": "x", "no": -1}}
    metadata = {
        "ss_output_name": "my castle",
        "ss_tag_frequency": json.dumps(frequency),
        "ss_base_model_version": "sd_v1",
        "sshs_model_hash": "AB" * 32,
        "modelspec.trigger_phrase": "castle, on a hill",
        "modelspec.title": "Castles",
        "modelspec.author": "ann",
    }
    assert told(tmp_path, metadata) == {
        "alias": "my castle",
        "tensor_hash": "ab" * 32,
        "title": "Castles",
        "author": "ann",
        "base": "sd_v1",
        "words": ["castle, on a hill"],
        "tags": [["sky", 33], ["castle", 20]],
    }


def test_what_users_write_goes_before_what_sites_say(tmp_path: Path) -> None:
    site = {
        "trainedWords": ["castle,", "ruin"],
        "baseModel": "SD 1.5",
        "model": {"name": "C", "description": "<p>Big</p>"},
    }
    own = {
        "description": "mine",
        "sd version": "SD1",
        "activation text": "castle",
        "preferred weight": 0.7,
        "notes": "n",
    }
    about = told(tmp_path, {"modelspec.title": "Castles"}, json=own, civitai_info=site)
    assert about == {
        "title": "C",
        "base": "SD1",
        "words": ["castle", "ruin"],
        "description": "mine",
        "activation_text": "castle",
        "preferred_weight": 0.7,
        "notes": "n",
    }


def test_a_note_that_changes_is_read_again(tmp_path: Path) -> None:
    assert told(tmp_path, json={"description": "first"})["description"] == "first"
    assert told(tmp_path, json={"description": "and second"})["description"] == "and second"


@pytest.mark.parametrize(
    "content",
    ["", "[1]", "{", "null", "[" * 100_000, '{"preferred weight": "1", "description": 7, "trainedWords": {"a": 1}}',
     '{"preferred weight": NaN, "model": [], "sd version": null, "activation text": ["a"]}'],
)  # fmt: skip
def test_nonsense_says_nothing(tmp_path: Path, content: str) -> None:
    assert told(tmp_path, json=content, civitai_info=content) == {}


@pytest.mark.parametrize("frequency", ["[", "[]", '{"a": []}', '{"a": {"b": 1e400}}', "7", '{"a": {" ": 1}}'])
def test_nonsense_in_the_metadata_says_nothing(tmp_path: Path, frequency: str) -> None:
    assert told(tmp_path, {"ss_tag_frequency": frequency, "sshs_model_hash": "no", "ss_output_name": "last"}) == {}


def test_long_texts_are_cut(tmp_path: Path) -> None:
    about = told(tmp_path, {"modelspec.title": "x" * 10_000}, json={"description": "y" * 100_000})
    assert (len(about["title"]), len(about["description"])) == (200, 4000)
