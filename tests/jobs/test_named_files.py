"""From names in prompts to files, here and under other names."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from webui.domain.request import GenerationRequest
from webui.engine.tokenizer import ClipTokenizer
from webui.jobs.named_files import find_named, known_hashes
from webui.library.index import Library

TOKENIZER = ClipTokenizer()
LAYER = "lora_te_text_model_encoder_layers_0_self_attn_q_proj"


@pytest.fixture
def library(tmp_path: Path) -> Library:
    for number, name in enumerate(("Castle", "my film"), 1):
        up, down = torch.full((8, 2), float(number)), torch.ones(2, 8)
        tensors = {f"{LAYER}.lora_up.weight": up, f"{LAYER}.lora_down.weight": down}
        save_file(tensors, tmp_path / f"{name}.safetensors", {"ss_note": "x" * number})
    for number, name in enumerate(("easynegative", "cat"), 1):
        save_file({"emb_params": torch.full((2, 32), float(number))}, tmp_path / f"{name}.safetensors")
    library = Library({"lora": (tmp_path,), "embedding": (tmp_path,)}, tmp_path / "hashes.sqlite3")
    library.rescan()
    return library


def find(library: Library, prompt: str, **request: str):
    return find_named(library, GenerationRequest(prompt=prompt, **request), TOKENIZER)


def test_a_loras_hash_leaves_out_the_header(library):
    file = library.find("lora", "castle")
    content = file.path.read_bytes()
    behind = 8 + int.from_bytes(content[:8], "little")
    assert library.known_lora_hash(file) == ""
    assert library.lora_hash(file) == hashlib.sha256(content[behind:]).hexdigest() == library.known_lora_hash(file)
    assert library.hash(file) == hashlib.sha256(content).hexdigest()


def test_tags_become_files_in_their_order_with_their_strengths(library):
    named = find(library, "a <lora:my film:0.5:0.2> [b <lora:castle:te=0.1>:0.5] <lora:castle:1>")
    assert [(file.name, tag.te, tag.unet) for tag, file in named.loras] == [
        ("my film", 0.5, 0.2),
        ("Castle", 0.1, 0.1),
        ("Castle", 1.0, 1.0),
    ]
    assert named.remarks == ()


def test_what_is_not_there_is_left_out_and_told(library):
    named = find(library, "<lora:castel:1> <lora:castle:1> <hypernet:h:1>")
    assert [file.name for _, file in named.loras] == ["Castle"]
    first, second = named.remarks
    assert 'no LoRA "castel". Did you mean "Castle"' in first
    assert "<lora:castel> is left out" in first
    assert "<hypernet:h> is left out" in second


def test_a_file_is_found_by_its_hash_under_another_name(library):
    film = library.find("lora", "my film")
    for hash_ in (library.lora_hash(film)[:12], library.hash(film)[:10]):
        ((tag, file),) = find(library, "<lora:cine, matic:1>", lora_hashes=f"Cine matic: {hash_}").loras
        assert (tag.name, file) == ("cine, matic", film)
        # and before another one that has the name
        assert find(library, "<lora:castle:1>", lora_hashes=f"castle: {hash_}").loras[0][1] == film
    easy = library.find("embedding", "easynegative")
    named = find(library, "a", negative_prompt="(Bad words:1.2)", ti_hashes=f"Bad words: {library.hash(easy)[:12]}")
    assert [(file.name, file.path) for file in named.embeddings] == [("Bad words", easy.path)]


def test_a_name_with_another_content_is_told(library):
    castle = library.find("lora", "castle")
    library.hash(castle)
    library.lora_hash(castle)
    named = find(library, "<lora:castle:1>", lora_hashes="castle: 0123456789ab")
    assert named.loras[0][1] == castle
    assert "another file" in named.remarks[0]


def test_embeddings_are_words_in_any_text_of_either_prompt(library):
    named = find(library, "a caterpillar [x:(embedding:EasyNegative:1.2):0.5]")
    assert [file.name for file in named.embeddings] == ["easynegative"]
    named = find(library, "a dog", negative_prompt="a cat, [day|easynegative]")
    assert {file.name for file in named.embeddings} == {"cat", "easynegative"}
    assert find(library, "a caterpillar").embeddings == ()


def test_an_embedding_of_a_picture_that_is_not_here_is_told(library):
    hashes = "lost: 0123456789ab, other: 0123456789ab, cat: 0123456789ab"
    assert find(library, "(lost:1.2) cat", ti_hashes=hashes).remarks == (
        'There is no embedding "lost", with which the picture was drawn: it is read as words.',
    )


def test_a_request_is_tied_to_files_whose_hashes_are_known(library):
    request = GenerationRequest(prompt="cat <lora:Castle:1> <lora:gone:1>", lora_hashes="gone: 0123456789ab")
    assert known_hashes(library, find_named(library, request, TOKENIZER), request) == (request.lora_hashes, "")
    lora = library.lora_hash(library.find("lora", "castle"))[:12]
    cat = library.hash(library.find("embedding", "cat"))[:12]
    assert known_hashes(library, find_named(library, request, TOKENIZER), request) == (
        f"gone: 0123456789ab, Castle: {lora}",
        f"cat: {cat}",
    )
