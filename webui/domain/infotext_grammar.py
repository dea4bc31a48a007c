"""The grammar of an infotext, the text that tells how a picture was made.

    infotext = prompt [newline "Negative prompt: " negative] newline params
    params   = key [": " value] {", " key [": " value]}

AUTOMATIC1111's web UI (1.10) stores such a text in every picture, and the rest of the field reads it. This module knows
how it is spelled and nothing of what the keys mean; :mod:`webui.domain.infotext` knows that.

Two things are better here than there. The last line is taken for parameters only if it says how many steps there were,
so that a prompt like ``red: 1, blue: 2, green: 3`` stays a prompt. And JSON as a value, which Civitai writes without
quoting it, is read to its closing bracket.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from webui.domain.infotext_fields import in_order

NEGATIVE = "Negative prompt:"
NOTES = ("Template", "Negative Template")  # lines of their own, written by the Dynamic Prompts extension
EXACT_PROMPT, EXACT_NEGATIVE = "Exact prompt", "Exact negative prompt"
JSON_KEYS = ("Hashes", "Civitai resources", "Civitai metadata")  # their values are JSON, never quoted


@dataclass(frozen=True)
class ParsedInfotext:
    """What a picture says about itself.

    ``fields`` holds the parameters as they were written, without quotes, in their order. ``source`` is the program that
    made the picture, as far as it can be told; "" where there are no parameters.
    """

    prompt: str = ""
    negative_prompt: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    source: str = ""


_KEY = re.compile(r'\s*(\w[^:,"]+):\s*')
_QUOTED = re.compile(r'("[^\\"]*(?:\\.[^\\"]*)*")\s*(?:,|$)')
_END = re.compile(r"\s*(?:,|$)")
_BARE = re.compile(r'\w[^:,"]+')
_NOTE = re.compile(r"(\w[\w \-/]+): ?(.*)")
_LONGEST_JSON = 2**15
_STEPS_WITHIN = re.compile(r"\sSteps: \d+, ")


def read_pairs(line: str) -> dict[str, str]:
    """The key-value pairs of a parameters line. Of a key that comes twice the first counts; an empty value is left out.

    >>> read_pairs('Steps: 20, Lora hashes: "a: 1, b: 2", Hashes: {"model": "6c", "lora:x": "ab"}, Note: , Seed: 5')
    {'Steps': '20', 'Lora hashes': 'a: 1, b: 2', 'Hashes': '{"model": "6c", "lora:x": "ab"}', 'Seed': '5'}
    """
    fields: dict[str, str] = {}
    at = 0
    while at < len(line):
        key = _KEY.match(line, at)
        if key:
            value, at = _read_value(line, key.end())
            if value is not None:
                fields.setdefault(key[1].strip(), value)
        else:
            word, at = _up_to_comma(line, at)
            if _BARE.fullmatch(word):  # a key alone means that its value is the same text
                fields.setdefault(word, word)
    return fields


def _up_to_comma(line: str, at: int) -> tuple[str, int]:
    comma = line.find(",", at)
    end = len(line) if comma < 0 else comma
    return line[at:end].strip(), end + 1


def _read_value(line: str, at: int) -> tuple[str | None, int]:
    """The value that begins at ``at``, and where the next pair begins."""
    quoted = _QUOTED.match(line, at)
    if quoted:
        try:
            return str(json.loads(quoted[1], strict=False)), quoted.end()
        except ValueError:
            return quoted[1], quoted.end()
    if line.startswith(("[", "{"), at):
        try:  # on a part of the line: where it fails, json counts the newlines of all that it was given
            _, length = json.JSONDecoder().raw_decode(line[at : at + _LONGEST_JSON])
        except (ValueError, RecursionError):
            length = 0
        after = _END.match(line, at + length) if length else None
        if after:
            return line[at : at + length], after.end()
    text, at = _up_to_comma(line, at)
    return text or None, at


def _is_parameters(fields: Mapping[str, str]) -> bool:
    """Three pairs make A1111 believe that a line holds parameters; we want the number of steps besides.

    A picture that was enlarged, and does not say how it was drawn, tells of that alone.
    """
    if next(iter(fields), "").startswith("Postprocess upscale "):
        return True
    pairs = sum(key != value for key, value in fields.items())
    return pairs >= 3 and any(key.casefold() == "steps" and value.isdecimal() for key, value in fields.items())


def _cut_parameters(lines: list[str]) -> tuple[list[str], dict[str, str]]:
    """The lines of the prompts, and the fields of the parameters line; none if there is no such line."""
    fields = read_pairs(lines[-1])
    if _is_parameters(fields):
        return lines[:-1], fields
    # Copied from a page, notes such as "Used embeddings: ..." follow the parameters; Dynamic Prompts appends its
    # template there.
    below = ""
    for at in range(len(lines) - 1, -1, -1):
        if lines[at].startswith("Steps:") and _NOTE.match(below):
            fields = read_pairs(lines[at])
            if _is_parameters(fields):
                return lines[:at], _read_notes(lines[at + 1 :]) | fields
        below = lines[at] if lines[at].strip() else below
    # Copied without its line breaks: everything stands on one line.
    starts = [match.start() for match in _STEPS_WITHIN.finditer(lines[-1])]
    if starts:
        fields = read_pairs(lines[-1][starts[-1] :])
        if _is_parameters(fields):
            prompt, marker, negative = lines[-1][: starts[-1]].partition(f" {NEGATIVE}")
            return [*lines[:-1], prompt, *([NEGATIVE + negative] if marker else [])], fields
    return lines, {}


def _read_notes(lines: Sequence[str]) -> dict[str, str]:
    notes: dict[str, list[str]] = {}
    key = ""
    for line in lines:
        note = _NOTE.match(line)
        if note:
            key, line = note[1], note[2]
        notes.setdefault(key, []).append(line)
    return {key: "\n".join(text) for key, text in notes.items() if key}


def _cut_prompts(lines: Sequence[str], fields: dict[str, str]) -> tuple[str, str]:
    """Prompt and negative prompt; templates that stand among them become fields."""
    parts: dict[str, list[str]] = {"": []}
    part = ""
    for line in lines:
        head = line.lstrip()
        if head.startswith(NEGATIVE) and NEGATIVE not in parts:
            part, line = NEGATIVE, head.removeprefix(NEGATIVE).removeprefix(" ")
        elif fields and (note := _NOTE.match(head)) and note[1] in NOTES and note[1] not in parts:
            part, line = note[1], note[2]
        parts.setdefault(part, []).append(line)
    for key in NOTES:
        if key in parts:
            fields.setdefault(key, "\n".join(parts[key]))
    return "\n".join(parts[""]), "\n".join(parts.get(NEGATIVE, []))


def parse(text: str) -> ParsedInfotext:
    """Take an infotext apart. Never fails: a text without parameters is a prompt.

    Line ends of any system are understood. Whitespace at the end of a line stays, since it belongs to the prompt that
    drew the picture (A1111 cuts it off).
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").strip().split("\n")
    lines, fields = _cut_parameters(lines)
    prompt, negative = _cut_prompts(lines, fields)
    prompt, negative = fields.pop(EXACT_PROMPT, prompt), fields.pop(EXACT_NEGATIVE, negative)
    return ParsedInfotext(prompt, negative, fields, program(fields))


def program(fields: Mapping[str, str]) -> str:
    """Which program wrote these fields; all that write this grammar sign it in ``Version`` or ``App``."""
    version = fields.get("Version", "")
    if "App" in fields:
        return fields["App"]
    for name in ("Lucid", "ComfyUI", "Fooocus"):
        if version.startswith(name):
            return name
    if re.match(r"f\d", version):
        return "Forge"
    return "AUTOMATIC1111" if fields else ""


# What would be taken for the beginning of another part, by us or by other readers: Civitai and sd-parsers look for
# "Negative prompt:" anywhere, Civitai and sd-prompt-reader for the first line that begins with "Steps:".
_MARKERS = re.compile(r"(Negative prompt|^[^\S\n]*(?:Steps|Template|Negative Template)):", re.MULTILINE)
# Control characters, what some readers take for line ends, and halves of surrogate pairs, which no encoding can store.
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]")
_NEEDS_QUOTES = re.compile(r'[,:\n]|^["\[{]|^\s|\s$|^$|' + _UNPRINTABLE.pattern)
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def _json(text: str) -> str:
    return _SURROGATE.sub(lambda half: f"\\u{ord(half[0]):04x}", json.dumps(text, ensure_ascii=False))


def _pair(key: str, value: str) -> str:
    """One pair, quoted where A1111 quotes (comma, colon, newline) and where the value could not be read back raw."""
    if key == value:
        return key
    if key in (EXACT_PROMPT, EXACT_NEGATIVE):
        # no comma and no colon, so that readers which split at them are not led astray
        value = _json(value).replace(",", "\\u002c").replace(":", "\\u003a")
    elif key not in JSON_KEYS and _NEEDS_QUOTES.search(value):
        value = _json(value)
    return f"{key}: {value}"


def _shown(prompt: str) -> str:
    """The prompt as a person should see it, with nothing in it that breaks the grammar."""
    lines = prompt.replace("\r\n", "\n").replace("\r", "\n")
    return _MARKERS.sub(r"\1 :", _UNPRINTABLE.sub(" ", lines))


def compose(parsed: ParsedInfotext) -> str:
    """The text, with the fields in A1111's order, such that ``parse`` gives back prompts and fields.

    The grammar cannot carry every prompt: a line of it may look like a part of the grammar, and whitespace around the
    whole text is lost. Then the prompt stands a second time among the fields, as ``Exact prompt: "..."``.
    """
    prompt, negative = _shown(parsed.prompt), _shown(parsed.negative_prompt)
    prompts = f"{prompt}\n{NEGATIVE} {negative}" if negative else prompt
    text = _join(prompts, parsed.fields)
    read = parse(text)
    if not read.fields:  # nothing that could hold more
        return text
    exact = {}
    if read.prompt != parsed.prompt:
        exact[EXACT_PROMPT] = parsed.prompt
    if read.negative_prompt != parsed.negative_prompt:
        exact[EXACT_NEGATIVE] = parsed.negative_prompt
    return _join(prompts, {**parsed.fields, **exact}) if exact else text


def _join(prompts: str, fields: Mapping[str, str]) -> str:
    pairs = ", ".join(_pair(key, value) for key, value in in_order(fields).items())
    return f"{prompts}\n{pairs}".strip()
