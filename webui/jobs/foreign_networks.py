"""A picture from elsewhere calls its LoRAs and embeddings as they are called there; here they may have other names, or be missing.

Its hashes tell which files they were. A name in the prompt is exchanged for the one that the file of that hash has here, as
A1111 does for LoRAs; whatever is missing is said with name and hash, so that it can be looked for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from webui.domain.network_hashes import plain, read_hashes, write_hashes
from webui.domain.network_tags import KINDS as TAG_KINDS
from webui.domain.network_tags import find_tags
from webui.domain.request import GenerationRequest
from webui.errors import ModelNotFound, WebUIError
from webui.jobs.named_files import KINDS
from webui.library.index import Library
from webui.library.model_file import ModelFile

_HASHED_AT_ONCE = 2**29  # bytes that are read to find a file by a hash that nobody has computed yet
_EMBEDDING_TAGS = ("embed", "embedding")
_CIVITAI_KINDS = {  # as Civitai's generator calls them
    "checkpoint": "checkpoint", "model": "checkpoint", "lora": "lora", "locon": "lora", "lycoris": "lora", "dora": "lora",
    "embed": "embedding", "embedding": "embedding", "textualinversion": "embedding", "hypernetwork": "hypernetwork", "vae": "vae",
}  # fmt: skip


def with_networks_here(
    library: Library, request: GenerationRequest, civitai: str = ""
) -> tuple[GenerationRequest, tuple[str, ...]]:
    """The request with its networks as they are called here, and a sentence for each that is called otherwise or missing.

    ``civitai``: the field "Civitai resources" of the picture, JSON; what it names is put into the prompt where it is here.
    """
    finder = _Finder(library, request)
    prompt, negative = (finder.translated(text) for text in (request.prompt, request.negative_prompt))
    request = replace(
        request,
        prompt=prompt,
        negative_prompt=negative,
        lora_hashes=finder.loras.written(),
        ti_hashes=finder.embeddings.written(),
    )
    request, missing = _with_civitai(library, request, civitai)
    return request, tuple(dict.fromkeys((*finder.remarks, *missing)))


class _Hashes:
    """Names and hashes from the picture, under the names that they have here by now."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._hashes = read_hashes(text)
        self._here: dict[str, str] = {}

    def of(self, name: str) -> str:
        folded = plain(name).casefold()
        return next((hash_ for known, hash_ in self._hashes.items() if known.casefold() == folded), "")

    def rename(self, name: str, here: str) -> None:
        self._here[plain(name).casefold()] = here

    def names(self) -> Iterator[tuple[str, str]]:
        yield from self._hashes.items()

    def written(self) -> str:
        if not self._here:
            return self._text
        return write_hashes((self._here.get(name.casefold(), name), hash_) for name, hash_ in self._hashes.items())


class _Finder:
    def __init__(self, library: Library, request: GenerationRequest) -> None:
        self.remarks: list[str] = []
        self.loras = _Hashes(request.lora_hashes)
        self.embeddings = _Hashes(request.ti_hashes)
        self._library = library

    def translated(self, text: str) -> str:
        """The prompt with the names of here."""
        parts, place = [], 0
        for start, end in find_tags(text):
            parts += [self._with_words(text[place:start]), self._tag(text[start:end])]
            place = end
        return "".join([*parts, self._with_words(text[place:])])

    def _tag(self, tag: str) -> str:
        kind, name, *rest = tag[1:-1].split(":")
        if kind in _EMBEDDING_TAGS:
            here = self._name_here("embedding", name, self.embeddings)
        elif kind in TAG_KINDS and TAG_KINDS[kind] in KINDS:
            here = self._name_here(KINDS[TAG_KINDS[kind]], name, self.loras)
        else:
            return tag
        return f"<{':'.join([kind, here, *rest])}>"

    def _with_words(self, text: str) -> str:
        """Embeddings are plain words, so only those are looked for that the picture says were ones."""
        for name, _ in self.embeddings.names():
            pattern = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)", re.IGNORECASE)
            if pattern.search(text):
                here = self._name_here("embedding", name, self.embeddings)
                text = pattern.sub(lambda _, here=here: here, text)  # type: ignore[misc]
        return text

    def _name_here(self, kind: str, name: str, hashes: _Hashes) -> str:
        hash_ = hashes.of(name)
        try:
            named: ModelFile | None = self._library.find(kind, name)
        except ModelNotFound as error:
            named, why = None, str(error)
        except WebUIError as error:  # there, but of no use
            named, why = None, str(error)
        same = self._same(kind, hash_, look_closely=named is None)
        if named is not None and (not same or named in same):
            if not same and hash_ and self._is_another(named):
                self.remarks.append(
                    f'"{named.name}" is another file here than the one of that name that the picture was drawn with ({hash_}).'
                )
            return name
        if same:
            here = same[0].name.replace(":", "")
            hashes.rename(name, here)
            self.remarks.append(f'"{name}" is called "{here}" here.')
            return here
        self.remarks.append(f"{why} Its hash is {hash_}." if hash_ else why)
        return name

    def _same(self, kind: str, hash_: str, look_closely: bool) -> list[ModelFile]:
        if not hash_:
            return []
        same = _usable(self._library.with_hash(kind, hash_))
        if not same and look_closely:
            self._library.hash_small(kind, _HASHED_AT_ONCE)
            same = _usable(self._library.with_hash(kind, hash_))
        return same

    def _is_another(self, named: ModelFile) -> bool:
        """Whether every hash by which pictures could name it is known: then the one that was looked for is none of them."""
        return bool(self._library.known_hash(named) and self._library.known_lora_hash(named))


def _usable(files: tuple[ModelFile, ...]) -> list[ModelFile]:
    return [file for file in files if not file.problem]


def _with_civitai(library: Library, request: GenerationRequest, civitai: str) -> tuple[GenerationRequest, list[str]]:
    """Civitai's generator names its resources by numbers, which ``name.civitai.info`` beside a file tells of it."""
    missing = []
    for resource in _resources(civitai):
        kind = _CIVITAI_KINDS.get(str(resource.get("type")).lower(), "")
        file = _of_version(library, kind, resource)
        if file is None:
            missing.append(_said(kind, resource))
        elif kind == "checkpoint":
            request = request if request.checkpoint else replace(request, checkpoint=file.name)
        elif kind in ("lora", "hypernetwork"):
            tag = "lora" if kind == "lora" else "hypernet"
            if f"<{tag}:{file.name}:" not in request.prompt:
                weight = resource.get("weight")
                strength = f"{weight:g}" if type(weight) in (int, float) else "1"
                request = replace(request, prompt=f"{request.prompt} <{tag}:{file.name}:{strength}>".strip())
    return request, missing


def _resources(civitai: str) -> list[Mapping[str, Any]]:
    try:
        resources = json.loads(civitai) if civitai else []
    except (ValueError, RecursionError):
        return []
    return [one for one in resources if isinstance(one, dict)] if isinstance(resources, list) else []


def _of_version(library: Library, kind: str, resource: Mapping[str, Any]) -> ModelFile | None:
    version = resource.get("modelVersionId")
    files = (file for file in library.files(kind) if not file.problem)
    return next((file for file in files if version and file.about.get("civitai_version") == version), None)


def _said(kind: str, resource: Mapping[str, Any]) -> str:
    names = (resource.get("modelName"), resource.get("modelVersionName"))
    title = ", ".join(name[:100] for name in names if isinstance(name, str) and name)
    version = resource.get("modelVersionId")
    number = f"version {version} on Civitai" if type(version) is int else "of Civitai"
    called = f' "{title}"' if title else ""
    return f"The picture was drawn with the {kind or 'model'}{called} ({number}), which no file here says it is."
