"""Which of many names somebody means who has typed a part of one: for completion while typing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from heapq import nsmallest

MOST_OFFERED = 20
LONGEST_QUERY = 100


def best_matches(
    query: str, names: Iterable[str], most: int = MOST_OFFERED, *, loosely: bool = True
) -> tuple[str, ...]:
    """The best matches first: names that begin so, then those with a word that does, then those that hold the letters.

    ``loosely`` also takes names that hold three letters or more in this order with others between. Case means nothing, nor
    which sign parts two words. A name in folders, "people/anna", begins at its last part, too.

    >>> best_matches("ca", ["scarf", "people/Cat", "a car", "castle", "chair", "dog"])
    ('castle', 'people/Cat', 'a car', 'scarf')
    """
    wanted = _plain(query[:LONGEST_QUERY])
    if not wanted:
        return tuple(nsmallest(most, names, key=str.casefold))
    scattered = re.compile(".*?".join(map(re.escape, wanted.replace(" ", "")))) if loosely else None
    ranked = (
        (rank, len(name), name.casefold(), name) for name in names if (rank := _rank(wanted, name, scattered)) < 5
    )
    return tuple(name for *_, name in nsmallest(most, ranked))


def _rank(wanted: str, name: str, scattered: re.Pattern[str] | None) -> int:
    """0 is best, 5 is no match."""
    plain = _plain(name)
    if plain.startswith(wanted):
        return 0
    if _plain(name.rpartition("/")[2]).startswith(wanted):
        return 1
    if f" {wanted}" in plain:
        return 2
    if wanted in plain:
        return 3
    return 4 if scattered is not None and len(wanted) > 2 and scattered.search(plain) else 5


def _plain(text: str) -> str:
    return _PARTING.sub(" ", text.casefold())


_PARTING = re.compile(r"[\s_\-./\\]+")
