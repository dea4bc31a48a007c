"""File and folder names of pictures from patterns such as ``[number]-[seed]``; the tokens are A1111's where it has them.

Names are safe on Linux, macOS and Windows, fit the file system, and never lead out of their folder.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from types import MappingProxyType

from webui.domain.request import GenerationRequest
from webui.errors import InvalidSettings, did_you_mean

NUMBER = "number"
_LONGEST_PROMPT = 128  # characters of a prompt in a name (A1111: max_filename_part_length)
_NUMBER_DIGITS = 5

_TOKEN = re.compile(r"\[(?P<name>[a-z_]+)(?:<(?P<argument>[^<>\[\]]*)>)?\]")
_EXTRA_NETWORK = re.compile(r"<[^<>]*:[^<>]*>")  # <lora:name:0.8>
_BETWEEN_WORDS = re.compile(r"[\s!-/:-@\[-`{-~]+")
_FORBIDDEN = re.compile(r'[<>:"/\\|?*]')  # by Windows; / by all
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(?=\.|$)")  # device names of Windows


@dataclass(frozen=True)
class NamedPicture:
    """What a name can tell. ``request`` draws this picture alone; ``index`` counts within its job."""

    request: GenerationRequest
    kind: str
    owner: str
    job: str
    index: int
    batch_size: int
    when: datetime


def _words(prompt: str) -> list[str]:
    return [word for word in _BETWEEN_WORDS.split(_EXTRA_NETWORK.sub(" ", prompt)) if word]


def _shortened(prompt: str) -> str:
    return " ".join(_EXTRA_NETWORK.sub("", prompt).split())[:_LONGEST_PROMPT]


def _hash(text: str, digits: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[: int(digits or 8)]


def _stem(name: str) -> str:
    return PurePosixPath(name).name.removesuffix(".safetensors").removesuffix(".ckpt").removesuffix(".pt")


# name -> (picture, argument) -> text. [number] is not here: it is counted where the folder is known.
_TOKENS: Mapping[str, Callable[[NamedPicture, str], str]] = MappingProxyType(
    {
        "kind": lambda p, _: p.kind,
        "date": lambda p, _: p.when.strftime("%Y-%m-%d"),
        "datetime": lambda p, argument: p.when.strftime(argument or "%Y%m%d%H%M%S"),
        "seed": lambda p, _: str(p.request.seed),
        "steps": lambda p, _: str(p.request.steps),
        "cfg": lambda p, _: f"{p.request.cfg_scale:g}",
        "width": lambda p, _: str(p.request.width),
        "height": lambda p, _: str(p.request.height),
        "sampler": lambda p, _: p.request.sampler,
        "scheduler": lambda p, _: p.request.schedule,
        "schedule": lambda p, _: p.request.schedule,
        "model_name": lambda p, _: _stem(p.request.checkpoint),
        "model_hash": lambda p, _: p.request.checkpoint_hash,
        "vae_filename": lambda p, _: _stem(p.request.vae),
        "vae": lambda p, _: _stem(p.request.vae),
        "clip_skip": lambda p, _: str(p.request.clip_skip),
        "prompt": lambda p, _: _shortened(p.request.prompt).replace(" ", "_"),
        "prompt_spaces": lambda p, _: _shortened(p.request.prompt),
        "prompt_words": lambda p, argument: " ".join(_words(p.request.prompt)[: int(argument or 8)]),
        "prompt_hash": lambda p, argument: _hash(p.request.prompt, argument),
        "negative_prompt_hash": lambda p, argument: _hash(p.request.negative_prompt, argument),
        "batch_number": lambda p, _: str(p.index % p.batch_size + 1),
        "batch_size": lambda p, _: str(p.batch_size),
        "generation_number": lambda p, _: str(p.index + 1),
        "job": lambda p, _: p.job,
        "owner": lambda p, _: p.owner,
        "user": lambda p, _: p.owner,
        "none": lambda p, _: "",
    }
)
_ARGUMENTS: Mapping[str, tuple[re.Pattern[str], str]] = MappingProxyType(  # token -> (what it takes, in words)
    {
        "datetime": (re.compile(r"(%[aAbBdHIjmMpSUwWxXyYZfz%]|[^%])*"), "a format such as %Y-%m-%d"),
        "prompt_words": (re.compile(r"[1-9][0-9]?"), "how many words, 1 to 99"),
        "prompt_hash": (re.compile(r"[1-9]|[1-5][0-9]|6[0-4]"), "how many digits, 1 to 64"),
        "negative_prompt_hash": (re.compile(r"[1-9]|[1-5][0-9]|6[0-4]"), "how many digits, 1 to 64"),
    }
)
TOKENS: tuple[str, ...] = (NUMBER, *_TOKENS)
"""Names that a pattern may hold in square brackets."""


def check_filename_pattern(pattern: str) -> None:
    """Raises InvalidSettings with a sentence if the pattern cannot name files."""
    if not pattern:
        raise InvalidSettings('filename_pattern is empty. The default is "[number]-[seed]".')
    _check_part("filename_pattern", pattern, pattern, TOKENS)


def check_folder_pattern(pattern: str) -> None:
    """Raises InvalidSettings if the pattern cannot name folders within outputs. Empty: all pictures in one folder."""
    tokens = tuple(token for token in TOKENS if token != NUMBER)
    for part in pattern.split("/") if pattern else ():
        if part in ("", ".", ".."):
            raise InvalidSettings(
                f'folder_pattern "{pattern}" does not stay within the outputs folder. '
                'Write folder names divided by single slashes, like "[kind]/[date]", and choose the outputs folder '
                "itself with outputs_dir."
            )
        _check_part("folder_pattern", pattern, part, tokens)


def _check_part(key: str, pattern: str, part: str, tokens: tuple[str, ...]) -> None:
    for token in _TOKEN.finditer(part):
        name, argument = token["name"], token["argument"]
        if name not in tokens:
            raise InvalidSettings(f'{key} "{pattern}" holds the unknown [{name}]. {did_you_mean(name, tokens)}')
        accepted, words = _ARGUMENTS.get(name, (None, ""))
        if argument is not None and (accepted is None or not accepted.fullmatch(argument)):
            takes = f"takes {words}" if words else "takes nothing"
            raise InvalidSettings(f'{key} "{pattern}": [{name}<{argument}>] is wrong, as [{name}] {takes}.')
    literal = _TOKEN.sub("", part)
    if bracket := re.search(r"[\[\]]", literal):
        raise InvalidSettings(f'{key} "{pattern}" holds a single "{bracket[0]}". Tokens are written like [seed].')
    if forbidden := _FORBIDDEN.search(literal):
        raise InvalidSettings(f'{key} "{pattern}" holds "{forbidden[0]}", which file names cannot have.')


def folder_name(pattern: str, picture: NamedPicture, limit: int) -> PurePosixPath:
    """The folder, relative to outputs. Parts that come out empty are left out; ``limit`` is in bytes, for each."""
    parts = (_fitted(_rendered(part, picture, ""), limit) for part in pattern.split("/"))
    return PurePosixPath(*(part for part in parts if part))


def file_stem(pattern: str, picture: NamedPicture, number: int, limit: int) -> str:
    """The file name without its suffix, of at most ``limit`` bytes."""
    return _fitted(_rendered(pattern, picture, f"{number:0{_NUMBER_DIGITS}}"), limit) or "picture"


def numbered(pattern: str) -> bool:
    return f"[{NUMBER}]" in pattern


def number_in(pattern: str) -> re.Pattern[str]:
    """Finds the running number in names that the pattern has made, as group 1."""
    expression, end, counted = "", 0, False
    for token in _TOKEN.finditer(pattern):
        expression += re.escape(pattern[end : token.start()])
        if token["name"] != NUMBER:
            expression += ".*?"
        elif counted:
            expression += r"\d+"
        else:
            expression += rf"(\d{{{_NUMBER_DIGITS},}})"
            counted = True
        end = token.end()
    return re.compile(expression + re.escape(pattern[end:]))


def _rendered(pattern: str, picture: NamedPicture, number: str) -> list[str]:
    """The pattern's literal and token parts, each made safe."""
    rendered, end = [], 0
    for token in _TOKEN.finditer(pattern):
        rendered.append(_safe(pattern[end : token.start()]))
        name, argument = token["name"], token["argument"] or ""
        rendered.append(number if name == NUMBER else _safe(_TOKENS[name](picture, argument)))
        end = token.end()
    rendered.append(_safe(pattern[end:]))
    return rendered


def _safe(text: str) -> str:
    text = unicodedata.normalize("NFC", text.encode("utf-8", "replace").decode("utf-8"))
    # control characters, and those that turn or hide what follows them
    visible = "".join(" " if unicodedata.category(char) in ("Cc", "Cf", "Zl", "Zp") else char for char in text)
    return _FORBIDDEN.sub("_", visible)


def _fitted(parts: list[str], limit: int) -> str:
    """Joined, with the longest parts cut until it fits. No leading dot (hidden), no trailing dot or space (Windows)."""
    limit -= 1  # room for the underscore below
    sizes = [len(part.encode()) for part in parts]
    while (excess := sum(sizes) - limit) > 0:
        longest = sizes.index(max(sizes))
        second = sorted(sizes)[-2] if len(sizes) > 1 else 0
        keep = max(sizes[longest] - excess, min(second, sizes[longest] - 1), 0)
        parts[longest] = parts[longest].encode()[:keep].decode(errors="ignore")
        sizes[longest] = len(parts[longest].encode())
    name = "".join(parts).strip().lstrip(".").rstrip(". ").strip()
    return f"_{name}" if _RESERVED.match(name) else name
