"""Styles: named pieces of prompts, kept in a file, that are added to what the user writes.

A style has text for the prompt and for the negative prompt. Where it says ``{prompt}`` the user's words go; without, it
follows them behind a comma. Several styles are applied in turn, each to what the one before has made.

Two kinds of files, read and written here as text (:mod:`webui.library` knows where they lie):

``styles.csv`` as A1111 has it: columns ``name,prompt,negative_prompt``, before 2023 ``name,text``; UTF-8 with a byte order
mark; a row whose name begins with ``#`` is a comment.

YAML, which is kinder to long prompts::

    Film still:
      prompt: film still of {prompt}, grain
      negative_prompt: cartoon
    Sharp: sharp focus, detailed      # a prompt alone
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import yaml

from webui.domain.comments import strip_comments
from webui.errors import InvalidSettings

PLACE = "{prompt}"
COLUMNS = ("name", "prompt", "negative_prompt")
BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True)
class Style:
    """What to add to a prompt and a negative prompt."""

    name: str
    prompt: str = ""
    negative_prompt: str = ""


@dataclass(frozen=True)
class Recognised:
    """The prompts without the styles that had been applied to them, and the names of these in the order of application."""

    prompt: str
    negative_prompt: str
    styles: tuple[str, ...]


def apply_styles(prompt: str, negative_prompt: str, styles: Iterable[Style]) -> tuple[str, str]:
    """Both prompts with the styles in them. Their comments are gone, and so is space at the ends, if there are styles."""
    for style in styles:
        prompt = _applied(prompt, style.prompt)
        negative_prompt = _applied(negative_prompt, style.negative_prompt)
    return prompt, negative_prompt


def recognise(prompt: str, negative_prompt: str, styles: Iterable[Style]) -> Recognised:
    """Take styles out of prompts that were read from a picture.

    A style is found if both of its texts are there, at the places where they are put. A1111 also finds ``cat`` at the end
    of ``a cat``; here a style counts only if applying it to what is left gives the same prompts again. Without any, the
    prompts stay as they are.
    """
    known = [style for style in styles if style.prompt or style.negative_prompt]
    found: list[str] = []
    rest = prompt.strip(), negative_prompt.strip()
    while known:
        for place, style in enumerate(known):
            without = _without(rest[0], style.prompt), _without(rest[1], style.negative_prompt)
            if without[0] is not None and without[1] is not None:
                rest = without[0], without[1]
                found.append(style.name)
                del known[place]
                break
        else:
            break
    return Recognised(*rest, tuple(reversed(found))) if found else Recognised(prompt, negative_prompt, ())


def _applied(text: str, style: str) -> str:
    text, style = strip_comments(text).strip(), strip_comments(style).strip()
    if PLACE in style:
        return style.replace(PLACE, text)
    return f"{text}, {style}" if text and style else text or style


def _without(text: str, style: str) -> str | None:
    """What ``style`` was applied to; None if it was not."""
    plain = strip_comments(style).strip()
    before, place, after = plain.partition(PLACE)
    if place:
        rest = text[len(before) : len(text) - len(after)].strip()
    else:
        rest = text.removesuffix(plain).rstrip().removesuffix(",").rstrip() if plain else text
    return rest if _applied(rest, style) == text else None


def read_csv(text: str) -> tuple[Style, ...]:
    """The styles of a ``styles.csv``. Of two with the same name the later one counts. Raises ``InvalidSettings``."""
    rows = csv.DictReader(io.StringIO(text.removeprefix(BYTE_ORDER_MARK), newline=""), skipinitialspace=True)
    styles: dict[str, Style] = {}
    try:
        if rows.fieldnames and "name" not in rows.fieldnames:
            raise InvalidSettings(f"The first line of a styles.csv must be {','.join(COLUMNS)}.")
        for row in rows:
            name = (row["name"] or "").strip()
            if name and not name.startswith("#"):
                prompt = row.get("prompt") if "prompt" in row else row.get("text")
                styles[name] = Style(name, (prompt or "").strip(), (row.get("negative_prompt") or "").strip())
    except csv.Error as error:
        raise InvalidSettings(f"styles.csv cannot be read behind line {rows.line_num}: {error}.") from error
    return tuple(styles.values())


def write_csv(styles: Sequence[Style]) -> str:
    """The text of a ``styles.csv``, to be stored with the encoding ``utf-8-sig``, which A1111 reads as well."""
    written = io.StringIO(newline="")
    rows = csv.writer(written)
    rows.writerow(COLUMNS)
    rows.writerows((style.name, style.prompt, style.negative_prompt) for style in styles)
    return written.getvalue()


def read_yaml(text: str) -> tuple[Style, ...]:
    """The styles of a YAML file, in its order. Raises ``InvalidSettings`` for anything but names with their texts."""
    try:
        content = yaml.load(text, Loader=yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise InvalidSettings(f"The styles file is no YAML: {error}") from error
    if not content:
        return ()
    if not isinstance(content, Mapping):
        raise InvalidSettings("The styles file must hold names, each with a prompt and a negative_prompt.")
    return tuple(_style(name, value) for name, value in content.items())


def _style(name: object, value: object) -> Style:
    if isinstance(value, str):
        value = {"prompt": value}
    if not isinstance(name, str) or not isinstance(value, Mapping):
        raise InvalidSettings(f"The style {name} needs a prompt and a negative_prompt below it.")
    for key, text in value.items():
        if key not in COLUMNS[1:] or not isinstance(text, str):
            raise InvalidSettings(f"The style {name} holds {key!r}; there are prompt and negative_prompt, both texts.")
    return Style(name, value.get("prompt", ""), value.get("negative_prompt", ""))


def write_yaml(styles: Sequence[Style]) -> str:
    """The text of a YAML file of styles."""
    content = {
        style.name: {key: text for key in COLUMNS[1:] if (text := getattr(style, key))} or "" for style in styles
    }
    return yaml.safe_dump(content, allow_unicode=True, sort_keys=False, width=120) if content else ""
