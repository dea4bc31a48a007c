"""Names in a picture from elsewhere become those of the files here, found by hash; what is missing is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from model_headers import TEXTUAL_INVERSION, kohya_lora, write_model

from webui.domain.request import GenerationRequest
from webui.jobs.foreign_networks import with_networks_here
from webui.library.index import Library

STATED = "5" * 64  # a hash that a trainer wrote into its file


@pytest.fixture
def library(tmp_path: Path) -> Library:
    loras = tmp_path / "loras"
    write_model(loras / "our castle.safetensors", kohya_lora(768), {"a": "1"})
    write_model(loras / "stated.safetensors", kohya_lora(640), {"sshs_model_hash": STATED})
    write_model(loras / "numbered.safetensors", kohya_lora(512))
    (loras / "numbered.civitai.info").write_text(json.dumps({"id": 128713, "modelId": 4384, "trainedWords": []}))
    write_model(tmp_path / "embeddings" / "our negative.safetensors", TEXTUAL_INVERSION)
    library = Library({"lora": (loras,), "embedding": (tmp_path / "embeddings",)}, tmp_path / "cache.sqlite3")
    library.rescan()
    return library


def hash_of(library: Library, kind: str, name: str) -> str:
    file = library.find(kind, name)
    return (library.lora_hash(file) if kind == "lora" else library.hash(file))[:12]


def translated(
    library: Library, prompt: str, civitai: str = "", **request: str
) -> tuple[GenerationRequest, tuple[str, ...]]:
    return with_networks_here(library, GenerationRequest(prompt=prompt, **request), civitai)  # type: ignore[arg-type]


def test_a_renamed_lora_is_found_though_nobody_has_computed_its_hash_yet(library: Library, tmp_path: Path) -> None:
    elsewhere = Library({"lora": (tmp_path / "loras",)}, tmp_path / "elsewhere.sqlite3")
    elsewhere.rescan()
    hashes = f"their, castle: {hash_of(elsewhere, 'lora', 'our castle')}".replace(",", "")
    request, remarks = translated(library, "a <lora:their, castle:0.8:0.5> b", lora_hashes=hashes)
    assert request.prompt == "a <lora:our castle:0.8:0.5> b"
    assert request.lora_hashes == hashes.replace("their castle", "our castle")
    assert remarks == ('"their, castle" is called "our castle" here.',)


def test_both_ways_of_hashing_and_a_stated_one_will_do(library: Library) -> None:
    whole = library.hash(library.find("lora", "our castle"))
    for hash_, here in ((whole[:10], "our castle"), (STATED[:12], "stated")):
        request, _ = translated(library, "<lyco:x:te=1>", lora_hashes=f"x: {hash_}")
        assert request.prompt == f"<lyco:{here}:te=1>"


def test_a_name_that_is_here_with_the_same_hash_stays(library: Library) -> None:
    hashes = f"our castle: {hash_of(library, 'lora', 'our castle')}"
    request, remarks = translated(library, "<lora:OUR castle:1>", lora_hashes=hashes)
    assert (request.prompt, request.lora_hashes, remarks) == ("<lora:OUR castle:1>", hashes, ())


def test_another_file_of_that_name_gives_way_to_the_one_of_the_hash(library: Library) -> None:
    request, remarks = translated(library, "<lora:our castle:1>", lora_hashes=f"our castle: {STATED[:12]}")
    assert request.prompt == "<lora:stated:1>"
    assert remarks == ('"our castle" is called "stated" here.',)


def test_another_file_of_that_name_is_said_to_be_one(library: Library) -> None:
    file = library.find("lora", "our castle")
    library.hash(file)
    library.lora_hash(file)
    request, remarks = translated(library, "<lora:our castle:1>", lora_hashes="our castle: 0123456789ab")
    assert request.prompt == "<lora:our castle:1>"
    assert remarks == (
        '"our castle" is another file here than the one of that name that the picture was drawn with (0123456789ab).',
    )


def test_what_is_missing_is_said_with_its_hash(library: Library) -> None:
    request, remarks = translated(library, "<lora:out castle:1> <hypernet:h:1>", lora_hashes="out castle: 0123456789ab")
    assert request.prompt == "<lora:out castle:1> <hypernet:h:1>"
    assert request.lora_hashes == "out castle: 0123456789ab", "kept, should the file come"
    assert remarks == (
        'There is no LoRA "out castle". Did you mean "our castle"? Its hash is 0123456789ab.',
        'There is no hypernetwork "h". There are none.',
    )


def test_embeddings_are_words_and_tags_in_either_prompt(library: Library) -> None:
    hashes = f"BadWords: {hash_of(library, 'embedding', 'our negative')}, gone: 0123456789ab, unused: 0123456789ab"
    request, remarks = translated(
        library, "a cat, badwords2", negative_prompt="(badwords:1.2), <embed:BadWords>, gone", ti_hashes=hashes
    )
    assert request.prompt == "a cat, badwords2"
    assert request.negative_prompt == "(our negative:1.2), <embed:our negative>, gone"
    assert request.ti_hashes.startswith("our negative: ")
    assert remarks == (
        '"BadWords" is called "our negative" here.',
        'There is no embedding "gone". Did you mean "our negative"? Its hash is 0123456789ab.'
        if "Did you mean" in remarks[-1]
        else 'There is no embedding "gone". There are: "our negative". Its hash is 0123456789ab.',
    )


def test_resources_of_civitai_are_found_by_their_numbers(library: Library) -> None:
    resources = [
        {"type": "lora", "weight": 0.55, "modelVersionId": 128713, "modelName": "N"},
        {"type": "lora", "weight": 1, "modelVersionId": 7, "modelName": "Rare", "modelVersionName": "v2"},
        {"type": "checkpoint", "modelVersionId": 8, "modelName": "Big"},
        {"type": "embed", "modelVersionId": "x"},
        "nonsense",
    ]
    request, remarks = translated(library, "a cat", json.dumps(resources))
    assert request.prompt == "a cat <lora:numbered:0.55>"
    assert remarks == (
        'The picture was drawn with the lora "Rare, v2" (version 7 on Civitai), which no file here says it is.',
        'The picture was drawn with the checkpoint "Big" (version 8 on Civitai), which no file here says it is.',
        "The picture was drawn with the embedding (of Civitai), which no file here says it is.",
    )
    assert translated(library, request.prompt, json.dumps(resources[:1]))[0].prompt == request.prompt


@pytest.mark.parametrize("civitai", ["[", "{}", "7", "[[]]", "[" * 10_000, '[{"type": null}]'])
def test_nonsense_of_civitai_is_no_hindrance(library: Library, civitai: str) -> None:
    assert translated(library, "a <cat <lora:> <x:y>", civitai)[0].prompt == "a <cat <lora:> <x:y>"
