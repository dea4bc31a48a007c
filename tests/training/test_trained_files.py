"""What is trained does the same once it is a file: the engine, which reads what all the world trains, is the judge."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tiny import TINY_CONFIGS, write_tiny_checkpoint
from torch import Tensor, nn

from webui.engine.chunks import chunk_prompt
from webui.engine.device import Hardware, choose_compute
from webui.engine.model_manager import AdapterUse, HypernetworkUse, Model, ModelManager, Selection
from webui.library.index import Library
from webui.library.model_file import ModelFile
from webui.training.hypernetwork import HypernetworkTraining
from webui.training.lora import Lora
from webui.training.noise_loss import NoiseLoss
from webui.training.textual_inversion import Word

KINDS = ("lora", "embedding", "hypernetwork")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for kind in ("checkpoint", *KINDS):
        (tmp_path / kind).mkdir()
    write_tiny_checkpoint(tmp_path / "checkpoint" / "tiny.safetensors")
    return tmp_path


@pytest.fixture
def library(folder: Path) -> Iterator[Library]:
    yield Library({kind: (folder / kind,) for kind in ("checkpoint", *KINDS)}, folder / "cache.sqlite3")


def found(library: Library, kind: str, name: str) -> ModelFile:
    library.rescan()
    return library.find(kind, name)


class Drawing:
    """The answers of the networks to one question, with what a selection puts on."""

    def __init__(self) -> None:
        self.models = ModelManager(choose_compute("cpu", "float32", Hardware()), 2**33)

    def model(self, selection: Selection) -> Any:
        assert [event for event in self.models.load(selection) if hasattr(event, "text") and "not" in event.text] == []
        return self.models.use(selection)


IDS = torch.tensor([[49406, *range(320, 330), *[49407] * 66]])


def states(model: Model, ids: Tensor = IDS) -> Tensor:
    text = model.checkpoint.text_encoders["text_encoder"]
    answer: Tensor = text(input_ids=ids).last_hidden_state
    return answer


def picture(model: Model, told: Tensor) -> Tensor:
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    answer: Tensor = model.checkpoint.unet(latents, 500, told).sample
    return answer


def shaken(module: nn.Module) -> None:
    """As if it had been trained."""
    generator = torch.Generator().manual_seed(2)
    for parameter in module.parameters():
        parameter.data += torch.randn(parameter.shape, generator=generator) * 0.1


@torch.no_grad()
def test_a_lora(folder: Path, library: Library) -> None:
    plain = Selection(found(library, "checkpoint", "tiny"))
    drawing = Drawing()
    with drawing.model(plain) as model:
        lora = Lora(model.checkpoint.unet, model.checkpoint.text_encoders["text_encoder"], rank=4, alpha=2.0)
        before = picture(model, states(model))
        with lora.put_on():
            assert torch.equal(picture(model, states(model)), before), "it begins as nothing"
        shaken(lora)
        with lora.put_on():
            trained = picture(model, states(model))
        assert torch.equal(picture(model, states(model)), before), "and leaves nothing behind"
        lora.save(folder / "lora" / "new.safetensors", {"ss_output_name": "new"})
    names = {name.partition(".")[0] for name in load_file(folder / "lora" / "new.safetensors")}
    assert any(name.startswith("lora_te_text_model_encoder_layers_0_") for name in names)
    assert {
        "lora_unet_down_blocks_0_resnets_0_conv1",
        "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k",
    } <= names
    use = AdapterUse(found(library, "lora", "new"))
    with drawing.model(Selection(plain.checkpoint, adapters=(use,))) as model:
        drawn = picture(model, states(model))
    assert (trained - before).abs().max() > 0.05
    torch.testing.assert_close(drawn, trained, atol=2e-3, rtol=2e-3)  # float16 in the file


@torch.no_grad()
def test_a_word(folder: Path, library: Library) -> None:
    plain = Selection(found(library, "checkpoint", "tiny"))
    drawing = Drawing()
    with drawing.model(plain) as model:
        table = model.checkpoint.text_encoders["text_encoder"].get_input_embeddings()
        word = Word(table.weight[320], 3, placeholder=49000)
        (owl,), (here,) = model.tokenizer.encode("owl"), model.tokenizer.encode("here")
        ids = torch.tensor([[49406, owl, 49000, 49000, 49000, here, *[49407] * 71]])
        with word.put_into(table):
            trained = states(model, ids)
        assert not torch.allclose(trained, states(model, ids))
        word.save(folder / "embedding" / "lucid-thing.safetensors")
    chosen = Selection(plain.checkpoint, embeddings=(found(library, "embedding", "lucid-thing"),))
    with drawing.model(chosen) as model:
        (chunk,) = chunk_prompt("owl lucid-thing here", model.tokenizer, words=model.words)
        drawn = model.read(torch.tensor([chunk.tokens]), 1).states
    torch.testing.assert_close(drawn, trained, atol=1e-6, rtol=1e-6)


@torch.no_grad()
def test_a_hypernetwork(folder: Path, library: Library) -> None:
    plain = Selection(found(library, "checkpoint", "tiny"))
    drawing = Drawing()
    with drawing.model(plain) as model:
        hypernetwork = HypernetworkTraining(model.checkpoint.unet)
        shaken(hypernetwork)
        before = picture(model, states(model))
        with hypernetwork.put_on():
            trained = picture(model, states(model))
        hypernetwork.save(folder / "hypernetwork" / "new.pt", "new", 7)
    use = HypernetworkUse(found(library, "hypernetwork", "new"))
    with drawing.model(Selection(plain.checkpoint, hypernetworks=(use,))) as model:
        drawn = picture(model, states(model))
    assert (trained - before).abs().max() > 0.05
    torch.testing.assert_close(drawn, trained, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
def test_the_loss_is_nothing_for_who_knows_the_answer(prediction_type: str) -> None:
    config = TINY_CONFIGS["scheduler"]
    betas = torch.linspace(config["beta_start"] ** 0.5, config["beta_end"] ** 0.5, 1000, dtype=torch.float64) ** 2
    alphas_cumprod = (1 - betas).cumprod(0)
    latents = torch.randn(6, 4, 8, 8, generator=torch.Generator().manual_seed(3))

    class Knowing(nn.Module):
        """x = a latents + b noise, so the noise is (x - a latents) / b."""

        def forward(self, x: Tensor, t: Tensor, states: Tensor, return_dict: bool = False) -> tuple[Tensor]:
            a, b = (w.sqrt().float()[:, None, None, None] for w in (alphas_cumprod[t], 1 - alphas_cumprod[t]))
            noise = (x - a * latents) / b
            return (a * noise - b * latents,) if prediction_type == "v_prediction" else (noise,)

    loss = NoiseLoss(alphas_cumprod, prediction_type)
    assert loss(Knowing(), latents, torch.zeros(6, 77, 32), torch.Generator().manual_seed(4)) < 1e-8
    with pytest.raises(ValueError, match="prediction type"):
        NoiseLoss(alphas_cumprod, "sample")
