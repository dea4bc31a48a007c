"""Names for model files: short and unique, and every other way in which a file may be called."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from webui.library.formats import PICKLE_SUFFIXES
from webui.library.scan import DIFFUSERS_STEMS, Found


def unique_names(files: Sequence[Found]) -> list[str]:
    """A name for each file: its stem; where that is taken, the path below its model folder; where that is taken, more.

    Names that differ only in upper and lower case count as the same. A pickle gives way to a safetensors file beside it.
    """
    choices = [list(_possible_names(found)) for found in files]
    level = [0] * len(files)
    while True:
        holders = defaultdict(list)
        for number, names in enumerate(choices):
            holders[names[level[number]].casefold()].append(number)
        moved = False
        for numbers in holders.values():
            if len(numbers) == 1:
                continue
            pickles = [number for number in numbers if files[number].path.suffix.lower() in PICKLE_SUFFIXES]
            for number in pickles if 0 < len(pickles) < len(numbers) else numbers:
                if level[number] < len(choices[number]) - 1:
                    level[number] += 1
                    moved = True
        if not moved:
            return [names[level[number]] for number, names in enumerate(choices)]


def aliases(found: Found, name: str) -> set[str]:
    """Everything that may mean this file, folded: file name, stem, path, A1111's names of it."""
    suffixless = _without_suffix(found)
    known = {
        name,
        found.path.stem if not found.is_folder else found.path.name,
        found.path.name,
        found.relative,
        suffixless,
        suffixless.replace("/", "_"),  # A1111's model_name
        str(found.path),
    }
    plain = {alias.replace(",", "").replace(":", "") for alias in known}
    return {fold(alias) for alias in known | plain}


def fold(name: str) -> str:
    """How names are compared: without regard to case, and with either kind of slash."""
    return name.strip().replace("\\", "/").casefold()


def _possible_names(found: Found) -> Iterator[str]:
    suffixless = _without_suffix(found)
    stem = suffixless.rpartition("/")[2]
    if stem in DIFFUSERS_STEMS and "/" in suffixless:
        stem = suffixless.split("/")[-2]
    yield stem
    yield suffixless
    yield found.relative
    yield f"{found.root.name}/{found.relative}"
    yield str(found.path)


def _without_suffix(found: Found) -> str:
    return found.relative if found.is_folder else found.relative[: -len(found.path.suffix)]
