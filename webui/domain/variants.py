r"""The grammar of variants and wildcards in prompts: ``{a|b}``, ``{2$$a|b|c}``, ``{0.5::a|b}``, ``__name__``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Union

DEEPEST = 10  # braces nested deeper are letters
MANY = 1000  # more than the options of any variant that one writes

_TOKENS = re.compile(
    r"""\\.                                                                        # an escape stays as it is
    | __(?![\s_])(?P<name>(?:[^\W_] | [-/.*?] | [ ] | _(?!_)){1,200})(?<!\s)__     # a wildcard
    | [^\\{}|_]+ | [\\{}|_]
    """,
    re.VERBOSE | re.DOTALL,
)
_COUNT = re.compile(r"\s*(?:(?P<least>[0-9]{1,3})(?P<range>-(?P<most>[0-9]{1,3})?)?|-(?P<up_to>[0-9]{1,3}))\$\$")
_WEIGHT = re.compile(r"\s*([0-9]{1,9}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})\s*::")


@dataclass(frozen=True)
class Wildcard:
    """``__name__``; ``text[start:end]`` is the place."""

    name: str
    start: int
    end: int


@dataclass(frozen=True)
class Variants:
    """From ``least`` to ``most`` of the options, each with its weight, put together with ``separator``."""

    options: tuple[tuple[float, Template], ...]
    least: int = 1
    most: int = 1
    separator: str = ""


Template = tuple[Union[str, Variants, Wildcard], ...]  # noqa: UP007, Variants is known by name only


@dataclass
class _Braces:
    options: list[list[str | Variants | Wildcard]] = field(default_factory=lambda: [[]])

    def as_text(self) -> Iterator[str | Variants | Wildcard]:
        for place, option in enumerate(self.options):
            yield "|" if place else "{"
            yield from option


def read_template(text: str) -> Template:
    """A text as plain pieces, variants and wildcards. Braces that do not match, or hold no choice, are plain."""
    opened = [_Braces()]
    for found in _TOKENS.finditer(text):
        token = found.group()
        current = opened[-1].options[-1]
        if found["name"]:
            current.append(Wildcard(found["name"], *found.span()))
        elif token == "{" and len(opened) <= DEEPEST:
            opened.append(_Braces())
        elif token == "|" and len(opened) > 1:
            opened[-1].options.append([])
        elif token == "}" and len(opened) > 1:
            closed = opened.pop()
            variants = _variants([_joined(option) for option in closed.options])
            opened[-1].options[-1] += [variants] if variants else [*closed.as_text(), "}"]
        else:
            current.append(token)
    while len(opened) > 1:
        never_closed = opened.pop()
        opened[-1].options[-1] += never_closed.as_text()
    return _joined(opened[0].options[0])


def read_weight(option: str) -> tuple[float, str]:
    """``2::red`` is red, twice as often as others."""
    found = _WEIGHT.match(option)
    return (float(found[1]), option[found.end() :]) if found else (1.0, option)


def _variants(options: list[Template]) -> Variants | None:
    first = options[0][0] if options[0] and isinstance(options[0][0], str) else ""
    count = _COUNT.match(first)
    if count is None:
        return Variants(tuple(map(_weighed, options))) if len(options) > 1 else None
    least = int(count["least"] or 1)
    most = int(count["up_to"] or count["most"] or (MANY if count["range"] else least))
    separator, given, rest = first[count.end() :].partition("$$")
    options[0] = _joined([rest if given else separator, *options[0][1:]])
    return Variants(tuple(map(_weighed, options)), least, max(least, most), separator if given else ", ")


def _weighed(option: Template) -> tuple[float, Template]:
    if not option or not isinstance(option[0], str):
        return 1.0, option
    weight, rest = read_weight(option[0])
    return weight, _joined([rest, *option[1:]])


def _joined(items: Iterable[str | Variants | Wildcard]) -> Template:
    """Neighbouring texts as one, empty ones left out."""
    pieces: list[str | Variants | Wildcard] = []
    run: list[str] = []
    for item in (*items, None):
        if isinstance(item, str):
            run.append(item)
            continue
        pieces += [text] if (text := "".join(run)) else []
        pieces += [item] if item else []
        run.clear()
    return tuple(pieces)
