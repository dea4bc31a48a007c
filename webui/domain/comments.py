r"""Comments in prompts: from ``#`` to the end of the line. ``\#`` is the sign itself, as in the colour ``\#ff8800``."""

from __future__ import annotations

import re
from collections.abc import Iterator

from webui.domain.located import Located

_PARTS = re.compile(r"\\.|(?P<comment>(?:^|\n)?#[^\n]*(?:\n|$))|[^\\#\n]+|\\|\n", re.DOTALL)
LEFT = "\n"  # what a comment leaves


def comments(text: str) -> Iterator[tuple[int, int]]:
    """Where the comments of a text are, each with the line break behind it and, if it fills its line, the one before."""
    for found in _PARTS.finditer(text):
        if found["comment"]:
            yield found.span()


def strip_comments(text: str) -> str:
    r"""The text without its comments; each leaves a line break, as in A1111.

    The backslash of ``\#`` stays, so that stripping twice is stripping once and a prompt read back from a picture still has
    its ``#``; the attention grammar drops it.

    >>> strip_comments("a cat # asleep?\non a mat")
    'a cat \non a mat'
    """
    return Located.whole(text).without(comments(text), LEFT).text
