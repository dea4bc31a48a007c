"""Everything that ships beside the starter is trained for real, for a step or two, and found by the library as what it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny import write_tiny_checkpoint

from webui.library.index import Library
from webui.training.starter import additions
from webui.training.starter.additions import ADDITIONS, FOLDERS, train_additions
from webui.training.starter.finishes import FINISHES
from webui.training.starter.icons import Sprites
from webui.training.starter.vocabulary import STYLES, SUBJECTS


@pytest.fixture(scope="module")
def with_subjects(sprites: Sprites) -> Sprites:
    dog = {style: sprites[style, "dog-face"] for style in STYLES}
    more = {(style, slug): dog[style] for style in STYLES for slug in SUBJECTS}
    return Sprites({**sprites.pictures, **more})


def test_each_is_written_where_it_belongs(tmp_path: Path, with_subjects: Sprites) -> None:
    checkpoint = write_tiny_checkpoint(tmp_path / "tiny.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(additions, "EXAMPLES", 8)
        patch.setattr(additions, "BATCH", 2)
        train_additions(checkpoint, with_subjects, tmp_path / "models", tmp_path / "cache.sqlite3", share=0.003)
    library = Library(
        {kind: (tmp_path / "models" / folder,) for kind, folder in FOLDERS.items()}, tmp_path / "library.sqlite3"
    )
    library.rescan()
    for addition in ADDITIONS:
        found = library.find(addition.kind, addition.name)
        assert (tmp_path / "models" / addition.file) == found.path
        assert not found.problem


def test_an_embedding_s_word_stands_in_its_captions_and_its_prompt(with_subjects: Sprites) -> None:
    for addition in ADDITIONS:
        if addition.kind == "embedding":
            examples = addition.lesson.examples(with_subjects, np.random.default_rng(0))
            captions = [next(examples)[0] for _ in range(20)]
            assert sum(addition.name in text for text in captions) > 15
            assert addition.name in addition.prompt


def test_each_style_changes_a_picture_and_keeps_its_size(with_subjects: Sprites) -> None:
    addition = next(addition for addition in ADDITIONS if addition.name == "lucid-tractor")
    _, picture = next(addition.lesson.examples(with_subjects, np.random.default_rng(0)))
    for finish in FINISHES.values():
        finished = finish(picture)
        assert (finished.size, finished.mode) == (picture.size, "RGB")
        assert np.abs(np.asarray(finished, int) - np.asarray(picture, int)).mean() > 10
