"""What the page is told of prompts, and what it offers while they are typed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from webui.domain.styles import Style
from webui.runtime import Runtime
from webui.settings import Settings
from webui.tabs.prompt_tools import COMPLETED, completions, read_prompts


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    """A runtime with a few files that prompts can name."""
    folder = tmp_path_factory.mktemp("data")
    for name in ("models/loras", "models/embeddings", "wildcards/animals", "styles"):
        (folder / name).mkdir(parents=True)
    keys = {
        f"lora_te_text_model_encoder_layers_0_self_attn_q_proj.{part}.weight": torch.ones(2, 2)
        for part in ("lora_up", "lora_down")
    }
    for name in ("castle", "car", "watercolour wash"):
        save_file(keys, folder / "models" / "loras" / f"{name}.safetensors")
    save_file({"emb_params": torch.zeros(3, 32)}, folder / "models" / "embeddings" / "cartoonish.safetensors")
    (folder / "wildcards" / "animals" / "cat.txt").write_text("siamese")
    (folder / "styles" / "styles.csv").write_text("name,prompt,negative_prompt\nCartoon,cartoon of {prompt},photo\n")
    runtime = Runtime(Settings(data_dir=folder))
    runtime.library.settle()  # files are read in the background
    yield runtime
    runtime.close()


@pytest.mark.parametrize(
    ("kind", "query", "inserted"),
    [
        ("lora", "ca", ["<lora:car:1>", "<lora:castle:1>"]),
        ("lyco", "wash", ["<lora:watercolour wash:1>"]),
        ("lora", "wcw", ["<lora:watercolour wash:1>"]),
        ("hypernet", "", []),
        ("wildcard", "an", ["__animals/cat__"]),
        ("wildcard", "cat", ["__animals/cat__"]),
        ("word", "cart", ["cartoonish"]),
        ("word", "ctn", []),
        ("style", "c", [""]),
        ("any", "ca", ["<lora:car:1>", "<lora:castle:1>", "", "cartoonish", "__animals/cat__"]),
        ("nonsense", "ca", []),
    ],
)
def test_names_are_offered_by_where_the_cursor_stands(furnished, kind, query, inserted):
    assert [offer["insert"] for offer in completions(furnished, kind, query, "anna")] == inserted


def test_styles_are_offered_to_their_owner(furnished):
    furnished.styles.save("anna", Style("Candle light", "by candle light"))
    offered = {
        owner: [offer["name"] for offer in completions(furnished, "style", "ca", owner)] for owner in ("anna", "bob")
    }
    assert offered == {"anna": ["Cartoon", "Candle light"], "bob": ["Cartoon"]}


def test_offers_are_plain_json(furnished):
    for kind in COMPLETED:
        assert json.loads(json.dumps(completions(furnished, kind, "c", "anna"))) is not None


def test_a_prompt_is_read_with_the_styles_that_are_chosen(furnished):
    asked = {"prompt": "a cat", "negative_prompt": "", "styles": ["Cartoon"], "steps": "many", "seed": None}
    told = read_prompts(furnished, asked, "anna")
    assert (told["prompt"]["tokens"], told["negative_prompt"]["tokens"]) == (4, 1)
    assert told["prompt"]["texts"] == []
    assert told["steps"] == 20
    told = read_prompts(furnished, {**asked, "in_full": True, "steps": "10"}, "anna")
    assert told["prompt"]["chosen"] == "cartoon of a cat"
    (chunk,) = told["prompt"]["texts"][0]["chunks"]
    assert [token[0] for token in chunk] == ["cartoon", "of", "a", "cat"]
    assert json.loads(json.dumps(told))["steps"] == 10


def test_remarks_point_at_the_prompt_as_it_stands(furnished):
    told = read_prompts(furnished, {"prompt": "a __dog__ (cat", "styles": ["Cartoon"]}, "anna")
    assert [(remark["start"], remark["end"]) for remark in told["prompt"]["remarks"]] == [(2, 9), (10, 11)]
    assert "animals/cat" in told["prompt"]["remarks"][0]["message"]


def test_nothing_that_is_asked_can_break_it(furnished):
    for asked in ({}, {"prompt": None, "styles": "no list", "seed": "-7", "emphasis": 3, "old_timelines": "x"}):
        assert read_prompts(furnished, asked, "anna")["prompt"]["tokens"] == 0


def test_ten_thousand_loras_can_be_completed(tmp_path: Path):
    folder = tmp_path / "wildcards"
    folder.mkdir()
    for number in range(10_000):
        (folder / f"name {number}.txt").touch()
    runtime = Runtime(Settings(data_dir=tmp_path))
    try:
        offers = completions(runtime, "wildcard", "name 99", "anna")
    finally:
        runtime.close()
    assert [offer["name"] for offer in offers[:2]] == ["name 99", "name 990"]
    assert len(offers) == 20
