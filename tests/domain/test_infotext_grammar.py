"""The grammar: what is quoted, what is parameters and what is prompt, and texts made to break it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from infotext_samples import ROW, texts

from webui.domain.infotext import compose, parse, to_request, write
from webui.domain.request import GenerationRequest


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("Euler a", "Euler a"),
        ("a, b", '"a, b"'),
        ("a: b", '"a: b"'),
        ('quote"s', 'quote"s'),
        ('say "hi", ok', r'"say \"hi\", ok"'),
        ("日本語, x", '"日本語, x"'),
        ("two\nlines", r'"two\nlines"'),
        ("", '""'),
        (" padded ", '" padded "'),
        ('"quoted"', r'"\"quoted\""'),
        ("[a", '"[a"'),
        (True, "True"),
        (7.0, "7"),
        (0.75, "0.75"),
        ("half \ud800", r'"half \ud800"'),
    ],
)
def test_quoting(value: object, written: str) -> None:
    text = write(GenerationRequest(), version="", extra={"My key": value})
    assert text.endswith(f", My key: {written}")
    assert parse(text).fields["My key"] == (value if isinstance(value, str) else written)


def test_a_value_that_equals_its_key_is_the_key_alone() -> None:
    text = write(GenerationRequest(), version="", extra={"Tiling": "Tiling"})
    assert text.endswith(", Tiling")
    assert parse(text).fields["Tiling"] == "Tiling"


@pytest.mark.parametrize(
    ("prompt", "negative"),
    [
        ("a\nNegative prompt: b", "c"),
        ("a Negative prompt: b", ""),
        ("Steps: 20, Sampler: Euler, CFG scale: 7", ""),
        ("a\n  Steps: 20, Sampler: Euler, CFG scale: 7\nb", "Steps: 1"),
        (" leading", ""),
        ("a\r\nb", "c\rd"),
        ("", "only negative"),
        ("", "\n"),
        ("nul\0", ""),
        ("Template: {a|b}", "Negative Template: c"),
        ("\ud83d alone", ""),
    ],
)
def test_prompts_that_the_grammar_cannot_carry(prompt: str, negative: str) -> None:
    request = GenerationRequest(prompt=prompt, negative_prompt=negative)
    text = write(request, version="1")
    text.encode()
    assert to_request(parse(text))[0] == request


def test_the_exact_prompt_is_added_only_where_it_must_be() -> None:
    assert "Exact" not in write(
        GenerationRequest(prompt="a cat, \n  on a mat,  ", negative_prompt="x \n y "), version=""
    )
    text = write(GenerationRequest(prompt="a, b\nNegative prompt: c"), version="1")
    assert text.startswith("a, b\nNegative prompt : c\nSteps: 20, ")
    assert text.endswith(r', Exact prompt: "a\u002c b\nNegative prompt\u003a c", Version: Lucid 1')


# pairs computed with A1111's code, but for what it says of values that it breaks
@pytest.mark.parametrize(
    ("text", "prompt", "negative", "fields"),
    [
        (
            "a\nNegative prompt: b\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x768, "
            'Lora hashes: "lora1: aaa, lora2: bbb", Version: v1.10.1',
            "a",
            "b",
            {
                "Steps": "20",
                "Sampler": "Euler a",
                "CFG scale": "7",
                "Seed": "1",
                "Size": "512x768",
                "Lora hashes": "lora1: aaa, lora2: bbb",
                "Version": "v1.10.1",
            },
        ),
        ("a\nSteps: 20, Sampler: Euler a", "a\nSteps: 20, Sampler: Euler a", "", {}),
        (
            "Negative prompt: n\nSteps: 20, Sampler: Euler a, CFG scale: 7",
            "",
            "n",
            {"Steps": "20", "Sampler": "Euler a", "CFG scale": "7"},
        ),
        (
            "multi\nline\n\nprompt\nNegative prompt: n1\nn2\nSteps: 1, Sampler: Euler, Seed: 2",
            "multi\nline\n\nprompt",
            "n1\nn2",
            {"Steps": "1", "Sampler": "Euler", "Seed": "2"},
        ),
        ("a: b, c: d, e: f", "a: b, c: d, e: f", "", {}),
        ("red: 1, blue: 2, green: 3", "red: 1, blue: 2, green: 3", "", {}),
        ("Steps: many, Scene: a stair, Mood: sad", "Steps: many, Scene: a stair, Mood: sad", "", {}),
        (
            r'Steps: 1, Sampler: Euler, Hires prompt: "x, \"y\"\nz", Seed: 5',
            "",
            "",
            {"Steps": "1", "Sampler": "Euler", "Hires prompt": 'x, "y"\nz', "Seed": "5"},
        ),
        (
            "Steps: 1, Sampler: Euler, Wildcard prompt: , Seed: 5",
            "",
            "",
            {"Steps": "1", "Sampler": "Euler", "Seed": "5"},
        ),
        (
            'Steps: 1, Sampler: Euler, Civitai resources: [{"type":"checkpoint","modelVersionId":128713},'
            '{"type":"lora","weight":0.8}], Civitai metadata: {}, Version: v1.9.4',
            "",
            "",
            {
                "Steps": "1",
                "Sampler": "Euler",
                "Civitai resources": '[{"type":"checkpoint","modelVersionId":128713},{"type":"lora","weight":0.8}]',
                "Civitai metadata": "{}",
                "Version": "v1.9.4",
            },
        ),
        (
            'Steps: 1, Sampler: Euler, Hashes: {"model": "6ce0161689", "lora:x": "abc"}',
            "",
            "",
            {"Steps": "1", "Sampler": "Euler", "Hashes": '{"model": "6ce0161689", "lora:x": "abc"}'},
        ),
        # a broken quote, broken JSON, a key that comes twice, a comma that nobody quoted
        (
            'Steps: 1, Sampler: Euler, Model: "half, VAE: [half, Model: other, Seed: 5',
            "",
            "",
            {"Steps": "1", "Sampler": "Euler", "Model": '"half', "VAE": "[half", "Seed": "5"},
        ),
        (r'Steps: 1, Seed: 2, Note: "\q"', "", "", {"Steps": "1", "Seed": "2", "Note": r'"\q"'}),
        (
            "Steps: 1, Seed: 2, Styles: a, bold, Size: 8x8",
            "",
            "",
            {"Steps": "1", "Seed": "2", "Styles": "a", "bold": "bold", "Size": "8x8"},
        ),
    ],
)
def test_parsing(text: str, prompt: str, negative: str, fields: dict[str, str]) -> None:
    parsed = parse(text)
    assert (parsed.prompt, parsed.negative_prompt) == (prompt, negative)
    assert list(parsed.fields.items()) == list(fields.items())


@pytest.mark.parametrize(
    "text",
    [
        f"a cat\r\nNegative prompt: blurry\r\n{ROW}\r\n",
        f"\n\na cat\nNegative prompt:blurry\n{ROW}",
        f"a cat Negative prompt: blurry {ROW}",
        f"a cat\nNegative prompt: blurry\n{ROW}\n\nUsed embeddings: easy [119b]\nTime taken: 3.1 sec.",
        f"a cat\nTemplate: a {{cat|dog}}\nmore\nNegative Template: bad\nNegative prompt: blurry\n{ROW}",
        f"a cat\nNegative prompt: blurry\nTemplate: a {{cat|dog}}\n{ROW}",
        f"a cat\nNegative prompt: blurry\n{ROW}\nTemplate: a {{cat|dog}}\nNegative Template: bad",
    ],
    ids=["windows", "blank lines", "one line", "notes", "template", "template in negative", "template behind"],
)
def test_ways_in_which_text_is_copied(text: str) -> None:
    parsed = parse(text)
    assert (parsed.prompt.strip(), parsed.negative_prompt.strip()) == ("a cat", "blurry")
    assert parsed.fields["Seed"] == "1"
    assert parsed.fields["RNG"] == "CPU"
    assert "Template" not in text or parsed.fields["Template"].startswith("a {cat|dog}")
    assert compose(parse(compose(parsed))) == compose(parsed)


@settings(deadline=None)
@given(texts.map(lambda text: text.replace("Euler", "Euler a")) | st.text() | st.just(ROW).map(lambda row: f"x\n{row}"))
def test_no_text_breaks_the_parser(text: str) -> None:
    parsed = parse(text)
    request, _, _ = to_request(parsed)
    assert request.prompt == parsed.prompt
    row = f"{ROW}, {text}".replace("\n", " ").replace("\r", " ")
    assert to_request(parse(f"{text}\n{row}"))[0].seed == 1


@pytest.mark.parametrize(
    "unit",
    ["aa: [", 'aa: "', 'aa: ["a", ', "[", '"', "\\", " ", "aa: {", "Steps: 1, ", "\nSteps: 1", "\nTemplate: ", ","],
)
def test_long_hostile_texts_are_read(unit: str) -> None:
    text = unit * 50_000
    assert parse(f"x\n{ROW}\nnote: {text}").prompt.startswith("x")
    assert parse(f"x\n{ROW}, zz: {text.replace(chr(10), ' ')}").fields["Seed"] == "1"


def test_the_program_is_told_by_its_version() -> None:
    def source(more: str) -> str:
        return parse(f"a\n{ROW}{more}").source

    assert source(", Version: v1.10.1") == source(", Version: 1.6.0") == source("") == "AUTOMATIC1111"
    assert source(", Version: f2.0.1v1.10.1-previous-661-g0b261213") == "Forge"
    assert source(", App: SD.Next, Version: 1234567") == "SD.Next"
    assert source(", Version: ComfyUI") == "ComfyUI"
    assert source(", Version: Lucid 0.1.0") == "Lucid"
    assert parse("a cat").source == ""
