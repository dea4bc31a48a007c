"""From the names in a prompt to model files: ``<lora:...>``, ``<hypernet:...>``, and embeddings, which are plain words.

What is not there does not stop a picture from being drawn, as in A1111: it is left out, and a remark says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from webui.domain.network_hashes import plain, read_hashes, write_hashes
from webui.domain.prompt_plan import NetworkTag, PromptPlan, plan_prompt
from webui.domain.request import GenerationRequest
from webui.engine.chunks import TokenCount, count_tokens, embeddings_in
from webui.engine.embedding_words import EmbeddingWords
from webui.engine.tokenizer import ClipTokenizer
from webui.errors import WebUIError
from webui.library.index import Library
from webui.library.model_file import ModelFile

KINDS = {"lora": "lora", "hypernet": "hypernetwork"}  # of a tag -> of a file

STEPS_COUNTED = 20  # the counter does not know how many there will be


@dataclass(frozen=True)
class NamedFiles:
    """What a request's prompts name, in their order. An embedding is called here as the prompt calls it."""

    loras: tuple[tuple[NetworkTag, ModelFile], ...] = ()
    hypernetworks: tuple[tuple[NetworkTag, ModelFile], ...] = ()
    embeddings: tuple[ModelFile, ...] = ()
    remarks: tuple[str, ...] = ()


def find_named(library: Library, request: GenerationRequest, tokenizer: ClipTokenizer) -> NamedFiles:
    """The files that the prompts mean. Never raises: a name that means none is told in the remarks.

    Where the request holds a name's hash (from a picture, or from the moment when the job was given), a file with that hash
    comes first, whatever it is called here; else the name decides.
    """
    options = {"old_timelines": request.old_timelines}
    plan = plan_prompt(request.prompt, request.steps, **options)
    negative = plan_prompt(request.negative_prompt, request.steps, is_negative=True, **options)
    remarks: list[str] = []
    found: dict[str, list[tuple[NetworkTag, ModelFile]]] = {"lora": [], "hypernet": []}
    hashes = {name.casefold(): hash_ for name, hash_ in read_hashes(request.lora_hashes).items()}
    for tag in plan.networks:
        try:
            file = _network(library, tag, hashes.get(plain(tag.name).casefold(), ""), remarks)
        except WebUIError as error:
            remarks.append(f"{error} <{tag.kind}:{tag.name}> is left out.")
        else:
            found[tag.kind].append((tag, file))
    texts = [*texts_of(plan), *texts_of(negative)]
    library.read_named(_letters(" ".join(texts)))
    embeddings = _embeddings(library, texts, read_hashes(request.ti_hashes), tokenizer, remarks)
    return NamedFiles(tuple(found["lora"]), tuple(found["hypernet"]), embeddings, tuple(dict.fromkeys(remarks)))


def longest_text(library: Library, prompt: str, tokenizer: ClipTokenizer) -> TokenCount:
    """How many tokens the prompt takes where it is longest: its ANDs and schedules make several texts of it.

    Tags and comments take none, embeddings as many as they have vectors. As A1111 counts.
    """
    texts = [*texts_of(plan_prompt(prompt, STEPS_COUNTED))]
    words = EmbeddingWords(embedding_candidates(library, texts), tokenizer)
    return max((count_tokens(text, tokenizer, words) for text in texts), key=lambda count: count.tokens)


def known_hashes(library: Library, named: NamedFiles, request: GenerationRequest) -> tuple[str, str]:
    """``lora_hashes`` and ``ti_hashes`` that tie the request to these files, as far as hashes are known without work."""
    loras = {plain(tag.name): library.known_lora_hash(file)[:12] for tag, file in named.loras}
    embeddings = {plain(file.name): library.known_hash(file)[:12] for file in named.embeddings}
    return _updated(request.lora_hashes, loras), _updated(request.ti_hashes, embeddings)


def _updated(written: str, known: dict[str, str]) -> str:
    known = {name: hash_ for name, hash_ in known.items() if hash_}
    return write_hashes((read_hashes(written) | known).items()) if known else written


def _network(library: Library, tag: NetworkTag, hash_: str, remarks: list[str]) -> ModelFile:
    kind = KINDS[tag.kind]
    same = _same_content(library, kind, tag.name, hash_)
    if same is not None:
        return same
    file = library.find(kind, tag.name)
    known = [library.known_lora_hash(file), library.known_hash(file)]
    if hash_ and all(known):  # both sorts are known, and the hash is neither
        remarks.append(f'"{file.name}" is another file here than the one of that name that the picture was drawn with.')
    return file


def _same_content(library: Library, kind: str, name: str, hash_: str) -> ModelFile | None:
    same = [file for file in library.with_hash(kind, hash_) if not file.problem] if hash_ else []
    named_alike = [file for file in same if file.name.casefold() == name.casefold()]
    return next(iter(named_alike or same), None)


def texts_of(plan: PromptPlan) -> Iterator[str]:
    for part in plan.parts:
        yield from dict.fromkeys(stage.text for stage in part.stages)


def _embeddings(
    library: Library, texts: Sequence[str], hashes: Mapping[str, str], tokenizer: ClipTokenizer, remarks: list[str]
) -> tuple[ModelFile, ...]:
    text = " ".join(texts)
    candidates = embedding_candidates(library, texts)
    for name, hash_ in hashes.items():
        same = _same_content(library, "embedding", name, hash_)
        if same is not None and same.name.casefold() != name.casefold():
            same = replace(same, name=name)  # what the prompt calls it
        if same is not None:
            candidates.insert(0, same)
        elif all(file.name.casefold() != name.casefold() for file in candidates) and re.search(
            rf"(?<!\w){re.escape(name)}(?!\w)", text, re.IGNORECASE
        ):
            remarks.append(f'There is no embedding "{name}", with which the picture was drawn: it is read as words.')
    if not candidates:  # spares long prompts the tokenizer
        return ()
    words = EmbeddingWords(candidates, tokenizer)
    named = dict.fromkeys(word for text in texts for word in embeddings_in(text, tokenizer, words))
    return tuple(words.file(word) for word in named)


def embedding_candidates(library: Library, texts: Sequence[str]) -> list[ModelFile]:
    letters = _letters(" ".join(texts))
    return [file for file in library.files("embedding") if not file.problem and _may_be_in(file, letters)]


def _may_be_in(file: ModelFile, letters: str) -> bool:
    """Cheaper than to ask the tokenizer for each of ten thousand names: a name's letters stand somewhere in the text."""
    stored = str(file.configs["embedding"]["stored_name"] or file.name)
    return any(_letters(name) in letters for name in (file.name, file.path.stem, stored))


def _letters(text: str) -> str:
    return "".join(text.casefold().split())
