"""The training pictures show what their captions say."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from webui.training.starter.compose import SIDE, Motif, caption, draw, random_motif, random_picture
from webui.training.starter.evaluation import look_at, questions
from webui.training.starter.icons import Sprites
from webui.training.starter.vocabulary import COLOURS, COUNTS, PLACES, SHAPES, STYLES, THINGS, article, plural


def test_every_name_means_one_thing() -> None:
    names = [name for thing in THINGS for name in thing.names]
    assert [name for name, count in Counter([*names, *SHAPES]).items() if count > 1] == []
    assert len(THINGS) >= 150


@pytest.mark.parametrize(
    ("words", "said"), [("dog", "a dog"), ("orange dog", "an orange dog"), ("unicorn", "a unicorn")]
)
def test_articles(words: str, said: str) -> None:
    assert article(words) == said


@pytest.mark.parametrize(
    ("one", "many"), [("cherry", "cherries"), ("fish", "fish"), ("torch", "torches"), ("key", "keys")]
)
def test_plurals(one: str, many: str) -> None:
    assert plural(one) == many


def test_captions_say_all_that_was_decided() -> None:
    rng = np.random.default_rng(1)
    for _ in range(500):
        motif = random_motif(rng)
        text = caption(motif, rng)
        spoken = plural(motif.subject) if motif.count else motif.subject
        for words in (motif.size, motif.colour, spoken, motif.place, motif.count):
            assert words in text
        is_plain = motif.ground == "white" and not motif.place
        assert is_plain or motif.ground in text


def test_held_out_compositions_are_never_trained_on() -> None:
    rng = np.random.default_rng(2)
    assert not any(random_motif(rng).is_held_out for _ in range(3000))
    assert not Motif("dog", style="noto").is_held_out  # the plainest is no composition


def test_the_evaluation_asks_only_for_held_out_compositions() -> None:
    asked = questions()
    assert all(question.motif.is_held_out for question in asked)
    assert len({question.prompt for question in asked}) == len(asked) >= 200
    assert {(q.motif.thing.name, q.motif.style) for q in asked if not q.motif.is_shape} == {
        (thing.name, style) for thing in THINGS for style in STYLES
    }
    assert questions() == asked


def test_a_synonym_is_held_out_with_its_thing() -> None:
    motif = next(q.motif for q in questions() if q.motif.subject == "dog")
    assert replace(motif, subject="puppy").is_held_out


def test_the_measures_find_what_the_renders_show(sprites: Sprites) -> None:
    """Every measure of the evaluation is right on true renders; for icons the colour is that of the dye."""
    rng = np.random.default_rng(3)
    wrong = []
    for place in ("", *PLACES):
        for shape in SHAPES:
            for colour, ground in (("red", "white"), ("cyan", "black"), ("brown", "yellow"), ("white", "gray")):
                motif = Motif(shape, colour, ground, place)
                wrong += [
                    (motif, name)
                    for name, right in look_at(draw(motif, sprites, rng)[0], motif, sprites).items()
                    if not right
                ]
    assert wrong == []


def test_a_measure_tells_wrong_from_right(sprites: Sprites) -> None:
    rng = np.random.default_rng(4)
    picture, _ = draw(Motif("circle", "red", "blue", "on the left"), sprites, rng)
    found = look_at(picture, Motif("square", "green", "yellow", "on the right"), sprites)
    assert found == {"ground": False, "colour": False, "place": False, "shape": False}


@pytest.mark.parametrize("count", ["", *COUNTS])
def test_the_mask_is_where_the_motif_is(sprites: Sprites, count: str) -> None:
    motif = Motif("circle", "red", "white", count=count)
    picture, mask = draw(motif, sprites, np.random.default_rng(5))
    covered = np.asarray(mask) > 250
    pixels = np.asarray(picture).astype(int)
    assert np.abs(pixels[covered] - np.array(COLOURS["red"])).max() < 24
    assert np.abs(pixels[np.asarray(mask) == 0] - np.array(COLOURS["white"])).max() < 24


def test_pictures_for_the_autoencoder_vary(sprites: Sprites) -> None:
    rng = np.random.default_rng(6)
    pictures = [random_picture(sprites, rng) for _ in range(20)]
    assert {picture.size for picture in pictures} == {(SIDE, SIDE)}
    assert len({picture.tobytes() for picture in pictures}) == 20
