from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webui.domain.infotext import parse, to_request, write
from webui.domain.network_hashes import EMBEDDING, LORA, from_resources, read_hashes, write_hashes
from webui.domain.request import GenerationRequest


@given(st.dictionaries(st.text("abC :,é-_.()", min_size=1), st.text("0123456789abcdef", min_size=12, max_size=12)))
def test_names_come_back_without_what_would_break_the_list(hashes):
    plain = {name.replace(":", "").replace(",", "").strip(): hash_ for name, hash_ in hashes.items()}
    assert read_hashes(write_hashes(hashes.items())) == {name: hash_ for name, hash_ in plain.items() if name}


@given(st.text())
def test_anything_can_be_read(text):
    read_hashes(text)
    from_resources(text, LORA)


def test_what_comes_twice_stands_once():
    twice = [("EasyNegativeV2", "339cc9210f70"), ("Fast", "a7465e7cc2a2"), ("EasyNegativeV2", "339cc9210f70")]
    assert write_hashes(twice) == "EasyNegativeV2: 339cc9210f70, Fast: a7465e7cc2a2"


PARAMS = "Steps: 20, Sampler: Euler, Seed: 1, Size: 64x64"


@pytest.mark.parametrize(
    ("fields", "loras", "embeddings"),
    [
        ('Lora hashes: "a b: 60129e9d06ab, c: 7437f7a09915"', "a b: 60129e9d06ab, c: 7437f7a09915", ""),
        ('TI hashes: "x: 339cc9210f70, x: 339cc9210f70"', "", "x: 339cc9210f70, x: 339cc9210f70"),
        (
            'Hashes: {"model": "6ce0161689", "lora:a": "abcdef0123", "embed:x": "0123456789", "vae": "aaaaaaaaaa"}',
            "a: abcdef0123",
            "x: 0123456789",
        ),
        ('Lora hashes: "a: 60129e9d06ab", Hashes: {"lora:a": "abcdef0123"}', "a: 60129e9d06ab", ""),
        ("Hashes: nonsense", "", ""),
        ('Hashes: {"lora:a": 5, "lora:b": "no"}', "", ""),
    ],
)
def test_hashes_of_a_foreign_infotext(fields, loras, embeddings):
    request, unused, _ = to_request(parse(f"a <lora:a:1>\n{PARAMS}, {fields}"), GenerationRequest(lora_hashes="q: 1"))
    assert (request.lora_hashes, request.ti_hashes) == (loras, embeddings)
    assert "Hashes" not in unused
    assert from_resources(fields.partition("Hashes: ")[2], EMBEDDING) == embeddings or "TI" in fields


def test_an_infotext_has_them_before_the_version():
    request = GenerationRequest(prompt="a <lora:a:0.5>", lora_hashes="a: 60129e9d06ab", ti_hashes="x: 339cc9210f70")
    line = write(request, version="1", extra={"Hashes": '{"lora:a": "abcdef0123"}'}).splitlines()[-1]
    assert line.endswith(
        'Lora hashes: "a: 60129e9d06ab", TI hashes: "x: 339cc9210f70", Hashes: {"lora:a": "abcdef0123"}, Version: Lucid 1'
    )
    assert to_request(parse(f"p\n{line}"))[0].lora_hashes == "a: 60129e9d06ab"
