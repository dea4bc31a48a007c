"""Networks named in a prompt, ``<lora:name:0.8>``: cut out of the text before anything else in it is read.

    <lora:name>                      both strengths 1
    <lora:name:0.8>                  text encoder and U-Net at 0.8
    <lora:name:0.8:0.5>              text encoder at 0.8, U-Net at 0.5
    <lora:name:0.8:0.5:4>            and only the first 4 ranks
    <lora:name:te=0.8:unet=0.5:dyn=4>    the same by name
    <hypernet:name:0.7>              a hypernetwork

``lyco`` means ``lora``. ``<embed:name>``, SwarmUI's way to name an embedding, is the name alone, also in a negative prompt.
A1111's reading: every tag is cut out whether or not its kind is known, and wherever it stands, so a
network cannot be scheduled.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from webui.domain.located import Located, Remark

KINDS = {"lora": "lora", "lyco": "lora", "hypernet": "hypernet"}
_OPENING = re.compile(r"<(\w+):")
_EMBEDDING = re.compile(r"(?P<before><embed(?:ding)?:)(?P<name>[^<>:]+)(?P<behind>>)")
_INSTEAD = {
    "embed": "Write <embed:name>, or the name alone.",
    "embedding": "Write <embed:name>, or the name alone.",
    "wildcard": "Write a wildcard between double underscores: __name__.",
}
_LONGEST_QUOTE = 60


@dataclass(frozen=True)
class NetworkTag:
    """A network to load, and how strong. ``text[start:end]`` is the tag in the prompt as written.

    ``te`` and ``unet`` are the strengths on text encoder and U-Net, ``dyn`` how many ranks of a LoRA to use (None: all).
    """

    kind: str
    name: str
    te: float
    unet: float
    dyn: int | None
    start: int
    end: int


def find_tags(text: str) -> Iterator[tuple[int, int]]:
    """Where tags are: ``<``, letters, ``:``, anything, ``>``. A tag ends at the first ``>``, so none holds another."""
    place = 0
    while found := _OPENING.search(text, place):
        end = text.find(">", found.end())
        if end < 0:
            return
        if end > found.end():
            yield found.start(), end + 1
            place = end + 1
        else:
            place = found.end()  # "<lora:>" is text


def bare_embeddings(prompt: Located) -> Located:
    """The prompt with the names of embeddings as words, where they stood in tags."""
    named = [tag for tag in _EMBEDDING.finditer(prompt.text) if tag["name"].strip()]
    return prompt.without([tag.span(side) for tag in named for side in ("before", "behind")], " ")


def cut_networks(prompt: Located) -> tuple[Located, tuple[NetworkTag, ...], tuple[Remark, ...]]:
    """The prompt without its tags, the networks they name in order, and what is odd about them."""
    tags: list[NetworkTag] = []
    remarks: list[Remark] = []
    spans = list(find_tags(prompt.text))
    for start, end in spans:
        tag, odd = _read(prompt.text[start:end], prompt.places[start], prompt.places[end - 1] + 1)
        tags += [tag] if tag else []
        remarks += [prompt.remark(start, end, message) for message in odd]
    return prompt.without(spans), tuple(tags), tuple(remarks)


def _read(written: str, start: int, end: int) -> tuple[NetworkTag | None, list[str]]:
    kind, *arguments = written[1:-1].split(":")
    quote = written if len(written) <= _LONGEST_QUOTE else f"{written[: _LONGEST_QUOTE - 2]}…>"
    if kind not in KINDS:
        near = get_close_matches(kind.lower()[:_LONGEST_QUOTE], KINDS, 1)
        advice = _INSTEAD.get(kind, f"Did you mean <{near[0]}:…>?" if near else "There are <lora:…> and <hypernet:…>.")
        return None, [f"{quote} is left out: there is no kind of network called {quote[1 : len(kind) + 1]!r}. {advice}"]
    positional = [argument for argument in arguments if argument.count("=") != 1]
    named = dict(argument.split("=") for argument in arguments if argument.count("=") == 1)
    named = {key.strip(): value for key, value in named.items()}
    name, *rest = positional or [""]
    if not name.strip():
        return None, [f"{quote} is left out: it names no file. Write <{kind}:name:1>."]

    odd: list[str] = []
    given = dict(zip(("te", "unet", "dyn"), rest)) | named  # noqa: B905, further ones are named below
    for surplus in (*rest[3:], *(f"{key}={value}" for key, value in named.items() if key not in ("te", "unet", "dyn"))):
        odd.append(f"{quote}: {surplus[:_LONGEST_QUOTE]!r} means nothing here and is ignored.")
    te = _strength(given.get("te"), 1.0, quote, odd)
    unet = _strength(given.get("unet"), te, quote, odd)
    return NetworkTag(KINDS[kind], name.strip(), te, unet, _ranks(given.get("dyn"), quote, odd), start, end), odd


def _strength(written: str | None, default: float, quote: str, odd: list[str]) -> float:
    if written is None:
        return default
    try:
        strength = float(written)
    except ValueError:
        strength = math.nan
    if math.isfinite(strength):
        return strength
    odd.append(f"{quote}: the strength {written[:_LONGEST_QUOTE]!r} is not a number, so it is {default:g}.")
    return default


def _ranks(written: str | None, quote: str, odd: list[str]) -> int | None:
    if written is None:
        return None
    if re.fullmatch(r"\s*\+?0*[1-9][0-9]{0,5}\s*", written):
        return int(written)
    odd.append(
        f"{quote}: the number of ranks {written[:_LONGEST_QUOTE]!r} is not a whole number above 0: all are used."
    )
    return None
