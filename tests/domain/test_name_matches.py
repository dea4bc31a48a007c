"""What is offered while a name is typed."""

import pytest

from webui.domain.name_matches import MOST_OFFERED, best_matches

NAMES = ["scarf", "people/Cat", "a car", "castle", "chair", "dog_cat", "Easy-Negative"]


@pytest.mark.parametrize(
    ("query", "offered"),
    [
        ("ca", ("castle", "people/Cat", "a car", "dog_cat", "scarf")),
        ("cha", ("chair",)),
        ("CAT", ("people/Cat", "dog_cat", "castle")),
        ("dog cat", ("dog_cat",)),
        ("people/c", ("people/Cat",)),
        ("easyneg", ("Easy-Negative",)),
        ("eng", ("Easy-Negative",)),
        ("x", ()),
        ("[", ()),
        ("", ("a car", "castle", "chair", "dog_cat", "Easy-Negative", "people/Cat", "scarf")),
    ],
)
def test_the_nearest_comes_first(query, offered):
    assert best_matches(query, NAMES) == offered


def test_a_word_of_a_sentence_wants_its_letters_together():
    assert best_matches("ct", NAMES, loosely=False) == ()
    assert best_matches("cat", NAMES, loosely=False) == ("people/Cat", "dog_cat")


def test_of_ten_thousand_a_few_are_offered():
    names = [f"name {number}" for number in range(10_000)]
    assert best_matches("name 99", names)[:2] == ("name 99", "name 990")
    assert len(best_matches("n", names)) == MOST_OFFERED
    assert best_matches("n" * 100_000, names) == ()
