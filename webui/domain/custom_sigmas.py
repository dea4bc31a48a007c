"""Noise levels typed in by hand, or pasted from a paper or another program."""

from __future__ import annotations

import re
from itertools import pairwise

from webui.errors import InvalidRequest

FIELD = "custom_sigmas"
MOST = 1000
HIGHEST = 10_000.0

_NUMBER = re.compile(r"\+?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)


def parse_sigmas(text: str) -> tuple[float, ...]:
    """The noise levels that a text lists, falling, the last one 0.0.

    Numbers stand apart by commas, semicolons or white space; brackets around them are passed over. A 0 is added at the end
    if there is none, since what was left of the noise would stay in the picture. What cannot be a schedule raises
    ``InvalidRequest``, which says where.

    >>> parse_sigmas("[14.6, 3, 0.5]")
    (14.6, 3.0, 0.5, 0.0)
    """
    words = re.split(r"[\s,;]+", text.strip().lstrip("[(").rstrip("])").strip(" \t\r\n,;"))
    if words == [""]:
        raise InvalidRequest(
            'The schedule "Custom" wants noise levels: type them into Custom sigmas, falling, as in 14.6, 5, 1.5, 0.3.',
            FIELD,
        )
    if len(words) > MOST + 1:
        raise InvalidRequest(f"Custom sigmas are {len(words)} numbers; at most {MOST} steps can be made.", FIELD)
    sigmas = [_number(word, place) for place, word in enumerate(words, start=1)]
    if sigmas[-1] > 0:
        sigmas.append(0.0)
    for place, (before, sigma) in enumerate(pairwise(sigmas), start=2):
        if not before > sigma:
            raise InvalidRequest(
                f"Custom sigmas must fall: number {place} ({sigma:g}) is not below number {place - 1} ({before:g}).",
                FIELD,
            )
    if len(sigmas) < 2:
        raise InvalidRequest("Custom sigmas must begin with a number above 0.", FIELD)
    return tuple(sigmas)


def _number(word: str, place: int) -> float:
    if not _NUMBER.fullmatch(word):
        shown = word if len(word) <= 20 else word[:20] + "…"
        raise InvalidRequest(f'Custom sigmas: number {place}, "{shown}", is not a number from 0 up.', FIELD)
    value = float(word)
    if value > HIGHEST:
        raise InvalidRequest(f"Custom sigmas: number {place} ({value:g}) is above {HIGHEST:g}.", FIELD)
    return value
