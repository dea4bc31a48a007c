"""What the drawer of cards asks the server, and what it is not told."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from fastapi import FastAPI
from fastapi.testclient import TestClient
from model_headers import HYPERNETWORK, SD1, SDXL, TEXTUAL_INVERSION, kohya_lora, write_model
from PIL import Image

from webui.errors import NotAllowed
from webui.runtime import Runtime
from webui.settings import Settings
from webui.tabs import cards

NOTES = {"activation text": "castle", "preferred weight": 0.7, "negative text": "ruin", "description": "d"}


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    """With one file of each kind, and LoRAs of two families."""
    folder = tmp_path_factory.mktemp("data")
    models = folder / "models"
    write_model(models / "checkpoints" / "base.safetensors", SD1)
    write_model(models / "vae" / "fine.safetensors", {"first_stage_model.decoder.conv_in.weight": (512, 4, 3, 3)})
    write_model(
        models / "loras" / "a" / "castle: old.safetensors", kohya_lora(768), {"modelspec.trigger_phrase": "keep"}
    )
    (models / "loras" / "a" / "castle: old.json").write_text(json.dumps(NOTES))
    Image.new("RGB", (300, 300), "red").save(models / "loras" / "a" / "castle: old.preview.png")
    write_model(models / "loras" / "xl.safetensors", kohya_lora(2048, "lora_te1_text_model"))
    (models / "loras" / "old.safetensors").write_bytes(b"<!doctype html>")
    write_model(models / "embeddings" / "veiled.safetensors", TEXTUAL_INVERSION)
    write_model(models / "embeddings" / "veiled xl.safetensors", SDXL)
    write_model(models / "hypernetworks" / "hyper.safetensors", HYPERNETWORK)
    runtime = Runtime(Settings(data_dir=folder, device="cpu"))
    runtime.library.settle()
    yield runtime
    runtime.close()


def look(runtime: Runtime, kind: str, **asked: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = cards.looked(runtime, {"kind": kind, "count": 60, **asked})["cards"]
    return found


def test_what_a_click_inserts(runtime: Runtime) -> None:
    old, castle, xl = sorted(look(runtime, "lora"), key=lambda card: card["name"] != "old")
    assert (castle["tag"], castle["more"], castle["negative"]) == ("<lora:castle old:0.7>", "castle", "ruin")
    assert (xl["tag"], xl["more"]) == ("<lora:xl:1>", "")
    assert (old["usable"], "web page" in old["problem"]) == (False, True)
    assert look(runtime, "embedding")[0]["tag"] == "veiled"
    assert look(runtime, "hypernetwork")[0]["tag"] == "<hypernet:hyper:1>"
    assert look(runtime, "checkpoint")[0]["tag"] == ""
    assert runtime.library.find("lora", "castle old").name == "castle: old", "the tag is understood"


def test_what_does_not_fit_the_chosen_checkpoint(runtime: Runtime) -> None:
    castle, _, xl = look(runtime, "lora", checkpoint="base")
    assert (castle["badge"], castle["problem"]) == ("SD1", "")
    assert (xl["badge"], xl["usable"]) == ("SDXL", True)
    assert xl["problem"] == "It was made for SDXL; the chosen checkpoint is of Stable Diffusion 1."
    assert [card["name"] for card in look(runtime, "lora", checkpoint="base", fitting=True)] == ["castle: old"]
    assert look(runtime, "lora", checkpoint="gone")[2]["problem"] == ""


def test_folders_and_problems_come_once_for_each_look_at_the_folders(runtime: Runtime) -> None:
    first = cards.looked(runtime, {"kind": "lora"}, sees_disk=True)
    assert first["folders"] == [("a", 1)]
    assert any("web page" in problem for problem in first["problems"])
    again = cards.looked(runtime, {"kind": "lora", "seen": first["seen"]})
    assert "folders" not in again
    assert (again["total"], again["matching"], again["done"] == again["files"]) == (3, 3, True)
    assert cards.looked(runtime, {"kind": "vae", "seen": first["seen"]})["folders"] == []


@pytest.mark.parametrize(
    "asked", [{}, {"kind": "x", "count": "many", "offset": None, "text": 7}, {"count": 10**12, "sort": []}]
)
def test_nonsense_is_answered(runtime: Runtime, asked: dict[str, Any]) -> None:
    assert isinstance(cards.looked(runtime, asked)["cards"], list)


def test_everything_about_a_card_but_where_it_lies(runtime: Runtime) -> None:
    castle = runtime.cards.card(look(runtime, "lora")[0]["id"])
    told = cards.described(runtime, castle)
    assert told["words"] == ["keep"]
    assert told["facts"]["Folder"] == "a"
    assert told["notes"] == {
        "description": "d",
        "activation_text": "castle",
        "negative_text": "ruin",
        "preferred_weight": 0.7,
        "notes": "",
    }
    assert told["metadata"] == {"modelspec.trigger_phrase": "keep"}
    everything = json.dumps([told, *(cards.looked(runtime, {"kind": kind, "count": 60}) for kind in ("lora", "vae"))])
    assert str(runtime.settings.models_dir) not in everything


def test_a_pickle_is_converted_by_who_may(runtime: Runtime) -> None:
    """A hypernetwork: as safetensors it is found as the same, with what its pickle said of it."""
    folder = runtime.settings.models_dir / "hypernetworks"
    weights = {"linear.0.weight": torch.ones(8, 768), "linear.0.bias": torch.ones(8)}
    weights |= {"linear.1.weight": torch.ones(768, 8), "linear.1.bias": torch.ones(768)}
    torch.save({768: (weights, weights), "step": 5, "activation_func": "relu"}, folder / "pickled.pt")
    runtime.library.rescan()
    (card,) = [card for card in look(runtime, "hypernetwork") if card["name"] == "pickled"]
    assert cards.described(runtime, runtime.cards.card(card["id"]))["convertible"] is True
    with pytest.raises(NotAllowed, match="administrator"):
        cards.converted(runtime, {"id": card["id"], "begin": True}, may_change=False)
    assert cards.converted(runtime, {"id": card["id"]}, may_change=True) == {}
    told = cards.converted(runtime, {"id": card["id"], "begin": True}, may_change=True)
    while not told["name"]:
        told = cards.converted(runtime, {"id": card["id"]}, may_change=False)
        assert "error" not in told
    assert told["name"] == "pickled.safetensors"
    runtime.library.settle()
    old, new = (runtime.library.find("hypernetwork", f"pickled{suffix}") for suffix in (".pt", ".safetensors"))
    assert (new.problem, new.configs, new.family) == ("", old.configs, old.family)
    assert cards.described(runtime, runtime.cards.card(card["id"]))["convertible"] is False


@pytest.fixture(scope="module")
def client(runtime: Runtime) -> Iterator[TestClient]:
    with TestClient(FastAPI(routes=cards.routes(runtime))) as client:
        yield client


def test_previews_are_served_by_id_alone(runtime: Runtime, client: TestClient) -> None:
    castle, _, xl = look(runtime, "lora")
    for size, side in (("", 256), ("&size=large", 300), ("&size=../../x", 256)):
        answer = client.get(f"/{castle['preview']}{size}")
        assert answer.headers["content-type"] == "image/webp"
        assert "immutable" in answer.headers["cache-control"]
        with Image.open(io.BytesIO(answer.content)) as image:
            assert image.size == (side, side)
    assert xl["preview"] == ""
    secret = runtime.settings.var_dir / "lucid.sqlite3"
    for path in (xl["id"], "", "x", f"%2f{secret}", "..%2f..%2fvar%2flucid.sqlite3", "%00"):
        assert client.get(f"/cards/{path}").status_code == 404
