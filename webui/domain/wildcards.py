r"""Places in a prompt that the seed fills, anew for each picture.

    {red|green|blue}      one of them; {3::red|blue} takes red three times as often
    {2$$red|green|blue}   two different ones, "blue, red"; {1-3$$...} one to three; {2$$ and $$...} "blue and red"
    __colour__            a line of the file colour.txt
    __animals/cat__       a line of cat.txt in the folder animals; __animals/*__ of any file there, __animals/**__ or below
    {2$$__colour__}       two different lines

They nest, and lines of files may hold more of them. ``\{``, ``\|`` and ``\}`` are the signs themselves; braces without a bar
are text. The syntax is that of the Dynamic Prompts extension for A1111. What the seed chose goes into the picture's infotext
as its prompt, and what was written beside it as ``Template``.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import accumulate
from random import Random

from webui.domain.comments import strip_comments
from webui.domain.located import MOST_REMARKS, Remark
from webui.domain.variants import Template, Variants, Wildcard, read_template, read_weight
from webui.errors import did_you_mean

MOST_WILDCARDS = 1000  # filled in one prompt: files that name one another can ask for any number
DEEPEST = 10  # a line of a line of a line ...
TOO_MANY = "there are too many wildcards within wildcards."


@dataclass(frozen=True)
class Resolved:
    """A prompt with its choices made. ``template`` is what was written, None if there was nothing to choose.

    The remarks are at places of the template.
    """

    text: str
    template: str | None = None
    remarks: tuple[Remark, ...] = ()


def resolve(text: str, seed: int, files: Mapping[str, str]) -> Resolved:
    """Choose for all variants and wildcards of a prompt; the same seed and files give the same choices on every machine.

    ``files`` are the texts of the wildcard files by name without suffix, folders parted by "/". Texts are asked for only as
    needed, so the mapping may read them from the disk. A wildcard that there is no file for stays as it is.

    >>> resolve("a __colour__ {cat|cat}", 1, {"colour": "red"}).text
    'a red cat'
    """
    template = read_template(text)
    if all(isinstance(item, str) for item in template):
        return Resolved(text)
    filling = _Filling(Random(seed), files)
    return Resolved(filling.filled(template, ()), text, tuple(filling.remarks))


def read_lines(text: str) -> tuple[tuple[float, str], ...]:
    """The values in a wildcard file, one a line, with their weights: ``2::red``. Comments and empty lines are none."""
    lines = (strip_comments(line).strip() for line in text.removeprefix("\ufeff").splitlines())
    return tuple(read_weight(line) for line in lines if line)


def find_files(name: str, files: Mapping[str, str]) -> tuple[str, ...]:
    """The files that a wildcard means, sorted by name: one, or those that a pattern fits, or none."""
    if name in files:
        return (name,)
    patterns = name.casefold().split("/")
    return tuple(sorted(known for known in files if _fits(known.casefold().split("/"), patterns)))


def _fits(folders: list[str], patterns: list[str]) -> bool:
    if patterns[-1] == "**" and len(folders) >= len(patterns):
        folders, patterns = folders[: len(patterns) - 1], patterns[:-1]
    return len(folders) == len(patterns) and all(map(fnmatchcase, folders, patterns))


@dataclass(frozen=True)
class _Choice:
    """Something to draw, and the files it comes from: a line that was found in another file's line has two."""

    weight: float
    content: Template | str
    within: tuple[str, ...]


@dataclass
class _Filling:
    """The choices for one prompt, made from left to right."""

    random: Random
    files: Mapping[str, str]
    wildcards: int = 0
    remarks: list[Remark] = field(default_factory=list)
    place: tuple[int, int] = (0, 0)  # of the wildcard of the prompt that is being filled
    read: dict[str, tuple[tuple[float, str], ...]] = field(default_factory=dict)

    def filled(self, template: Template, within: tuple[str, ...]) -> str:
        written: list[str] = []
        for item in template:
            if isinstance(item, str):
                written.append(item)
                continue
            variants = item if isinstance(item, Variants) else Variants(((1.0, (item,)),))
            choices = self.choices(variants, within)
            drawn = [self.drawn(choices) for _ in range(self.count(variants, len(choices)))]
            texts = [
                self.filled(
                    read_template(choice.content) if isinstance(choice.content, str) else choice.content, choice.within
                )
                for choice in drawn
            ]
            written.append(variants.separator.join(map(str.strip, texts)) if variants.separator else "".join(texts))
        return "".join(written)

    def count(self, variants: Variants, available: int) -> int:
        """How many to draw. Asks the seed only if it is not certain, so that {a|b} takes one random number."""
        least, most = min(variants.least, available), min(variants.most, available)
        return least if least == most else self.random.randrange(least, most + 1)

    def drawn(self, choices: list[_Choice]) -> _Choice:
        """One of the choices by weight, taken out of them."""
        ends = list(accumulate(choice.weight for choice in choices))
        if not ends[-1]:  # all weigh 0
            return choices.pop(int(self.random.random() * len(choices)))
        return choices.pop(min(bisect_right(ends, self.random.random() * ends[-1]), len(choices) - 1))

    def choices(self, variants: Variants, within: tuple[str, ...]) -> list[_Choice]:
        """The options; of a single wildcard, its lines."""
        only = variants.options[0][1]
        if len(variants.options) > 1 or len(only) != 1 or not isinstance(only[0], Wildcard):
            return [_Choice(weight, option, within) for weight, option in variants.options]
        wildcard = only[0]
        if not within:
            self.place = wildcard.start, wildcard.end
        self.wildcards += 1
        too_many = self.wildcards > MOST_WILDCARDS or len(within) >= DEEPEST
        found = () if too_many else find_files(wildcard.name, self.files)
        lines = [_Choice(*line, (*within, name)) for name in found if name not in within for line in self.lines(name)]
        if lines:
            return lines
        if len(self.remarks) < MOST_REMARKS:
            reason = TOO_MANY if too_many else self.reason(wildcard.name, found, within)
            asked = f" It is asked for by {within[-1]}." if within else ""
            self.remarks.append(Remark(*self.place, f"__{wildcard.name}__ is read as text: {reason}{asked}"))
        return [_Choice(1.0, (f"__{wildcard.name}__",), within)]

    def lines(self, name: str) -> tuple[tuple[float, str], ...]:
        if name not in self.read:
            self.read[name] = read_lines(self.files[name])
        return self.read[name]

    def reason(self, name: str, found: tuple[str, ...], within: tuple[str, ...]) -> str:
        """Why a wildcard stays as it is."""
        if not found:
            return f"no wildcard file is called so. {did_you_mean(name, self.files)}"
        return "its file asks for itself." if set(found) & set(within) else "its file is empty."
