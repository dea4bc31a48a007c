"""LoRAs, embeddings and hypernetworks on the families that have other text encoders than Stable Diffusion 1."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny_families import CONFIGS, family_components, write_family

from webui.engine.chunks import chunk_prompt
from webui.engine.device import Hardware, choose_compute
from webui.engine.embedding_words import why_skipped
from webui.engine.families.networks import padded_with_zeros
from webui.engine.model_manager import AdapterUse, HypernetworkUse, Model, ModelManager, Selection
from webui.errors import IncompatibleModel
from webui.library.index import Library

ATTENTION = "transformer_blocks_0_attn2_to_k"
Q_PROJ = "text_model_encoder_layers_1_self_attn_q_proj"
# kohya's names -> network and parameter
LAYERS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "sd2": {
        f"lora_te_{Q_PROJ}": ("text_encoder", "encoder.layers.1.self_attn.q_proj.weight"),
        f"lora_unet_down_blocks_0_attentions_0_{ATTENTION}": (
            "unet",
            "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight",
        ),
    },
    "sdxl": {
        f"lora_te1_{Q_PROJ}": ("text_encoder", "encoder.layers.1.self_attn.q_proj.weight"),
        f"lora_te2_{Q_PROJ}": ("text_encoder_2", "text_model.encoder.layers.1.self_attn.q_proj.weight"),
        f"lora_unet_input_blocks_3_1_{ATTENTION}": (
            "unet",
            "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight",
        ),
    },
}


@pytest.fixture
def models() -> ModelManager:
    return ModelManager(choose_compute("cpu", "auto", Hardware()), budget=2**33)


def library_of(folder: Path, family: str) -> Library:
    write_family(folder / "model.safetensors", family)
    folders = {kind: (folder / kind,) for kind in ("lora", "embedding", "hypernetwork")}
    for (path,) in folders.values():
        path.mkdir(exist_ok=True)
    library = Library({"checkpoint": (folder,), **folders}, folder / "hashes.sqlite3")
    library.rescan()
    return library


def used(models: ModelManager, selection: Selection) -> Model:
    list(models.load(selection))
    with models.use(selection) as model:
        return model


def fingerprint(model: Model) -> str:
    digest = hashlib.sha256()
    for network in (model.checkpoint.unet, *model.checkpoint.text_encoders.values()):
        for tensor in network.state_dict().values():
            digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


@pytest.mark.parametrize("family", LAYERS)
def test_a_lora_lies_on_every_network_and_comes_off_again(models: ModelManager, tmp_path: Path, family: str) -> None:
    generator = torch.Generator().manual_seed(0)
    parts, tensors, expected = family_components(family), {}, {}
    for layer, place in LAYERS[family].items():
        network, parameter = place
        weight = parts[network].state_dict()[parameter]
        up = torch.randn(len(weight), 2, generator=generator)
        down = torch.randn(2, weight.shape[1], generator=generator)
        tensors |= {f"{layer}.lora_up.weight": up, f"{layer}.lora_down.weight": down}
        expected[place] = weight + (0.5 if network == "unet" else 0.25) * up @ down
    (tmp_path / "lora").mkdir()
    save_file(tensors, tmp_path / "lora" / "style.safetensors")
    library = library_of(tmp_path, family)
    plain = Selection(library.find("checkpoint", "model"))
    lora = library.find("lora", "style")
    before = fingerprint(used(models, plain))
    model = used(models, Selection(plain.checkpoint, adapters=(AdapterUse(lora, te=0.25, unet=0.5),)))
    networks = {"unet": model.checkpoint.unet, **model.checkpoint.text_encoders}
    for (network, parameter), weight in expected.items():
        torch.testing.assert_close(networks[network].state_dict()[parameter], weight, atol=1e-5, rtol=0)
    assert fingerprint(used(models, plain)) == before


def test_a_lora_of_another_family_is_refused(models: ModelManager, tmp_path: Path) -> None:
    (tmp_path / "lora").mkdir()
    layer = f"lora_te2_{Q_PROJ}"
    save_file(
        {f"{layer}.lora_up.weight": torch.ones(48, 1), f"{layer}.lora_down.weight": torch.ones(1, 48)},
        tmp_path / "lora" / "xl.safetensors",
    )
    library = library_of(tmp_path, "sd2")
    with pytest.raises(IncompatibleModel, match="It is made for SDXL, the checkpoint is Stable Diffusion 2"):
        adapters = (AdapterUse(library.find("lora", "xl")),)
        used(models, Selection(library.find("checkpoint", "model"), adapters=adapters))


def test_an_embedding_has_vectors_for_both_text_encoders(models: ModelManager, tmp_path: Path) -> None:
    (tmp_path / "embedding").mkdir()
    vectors = {"clip_l": torch.randn(2, 32), "clip_g": torch.randn(2, 48)}
    save_file(vectors, tmp_path / "embedding" / "thing.safetensors")
    library = library_of(tmp_path, "sdxl")
    checkpoint, (embedding,) = library.find("checkpoint", "model"), library.files("embedding")
    assert why_skipped(embedding, checkpoint) == ""
    model = used(models, Selection(checkpoint, embeddings=(embedding,)))
    (chunk,) = chunk_prompt("a thing", model.tokenizer, words=model.words)
    ids = torch.tensor([chunk.tokens])
    assert chunk.length == 3
    parts = family_components("sdxl")
    for encoder, component in (("clip_l", "text_encoder"), ("clip_g", "text_encoder_2")):
        longer = parts[component]
        table = torch.cat([longer.get_input_embeddings().weight, vectors[encoder]])
        longer.get_input_embeddings().weight = torch.nn.Parameter(table)
        with torch.inference_mode():
            read = padded_with_zeros(ids) if component == "text_encoder_2" else ids
            states = longer(read, output_hidden_states=True).hidden_states[-2]
            assert torch.equal(model.read(ids, 1, encoder).states, states)


@pytest.mark.parametrize("widths", [{"emb_params": 32}, {"clip_g": 48}], ids=["of SD 1", "of the refiner"])
def test_an_embedding_for_another_family_is_skipped(tmp_path: Path, widths: dict[str, int]) -> None:
    (tmp_path / "embedding").mkdir()
    save_file({name: torch.randn(2, width) for name, width in widths.items()}, tmp_path / "embedding" / "x.safetensors")
    library = library_of(tmp_path, "sdxl")
    (embedding,) = library.files("embedding")
    assert "32 and 48" in why_skipped(embedding, library.find("checkpoint", "model"))


@pytest.mark.parametrize("family", ["sd2", "sdxl"])
def test_a_hypernetwork_acts_at_the_width_of_the_familys_text(
    models: ModelManager, tmp_path: Path, family: str
) -> None:
    width = CONFIGS[family]["unet"]["cross_attention_dim"]
    (tmp_path / "hypernetwork").mkdir()
    layers = {f"{width}.{side}.linear.0.weight": torch.eye(width) for side in (0, 1)}
    layers |= {f"{width}.{side}.linear.0.bias": torch.zeros(width) for side in (0, 1)}
    save_file(layers, tmp_path / "hypernetwork" / "h.safetensors")
    library = library_of(tmp_path, family)
    checkpoint = library.find("checkpoint", "model")
    model = used(models, Selection(checkpoint))
    acting = HypernetworkUse(library.find("hypernetwork", "h"))
    list(models.load(Selection(checkpoint, hypernetworks=(acting,))))
    x = torch.randn(1, 77, width, generator=torch.Generator().manual_seed(1))
    keys = next(module for name, module in model.checkpoint.unet.named_modules() if name.endswith("attn2.to_k"))
    before = keys(x)
    with models.use(Selection(checkpoint, hypernetworks=(acting,))):
        torch.testing.assert_close(keys(x), 2 * before)  # x + f(x), and f changes nothing
