"""Weights stored in 8 bits, computed in more: measured on the CPU, where the numbers are the same as on a card."""

from __future__ import annotations

import numpy as np
import torch
from lora_files import kohya_lora, write_adapter
from tiny import tiny_components

from webui.domain.request import GenerationRequest
from webui.engine.device import Compute
from webui.engine.generate import Options, generate_batch
from webui.engine.lending import FLOAT8, rounded, store_in_8_bits
from webui.engine.model_manager import AdapterUse, ModelManager, Selection
from webui.library.index import Library

CPU = torch.device("cpu")
STORED = Compute(CPU, torch.float32, torch.float32, 1, float8=True)


def asked(unet):
    generator = torch.Generator().manual_seed(0)
    x, text = (torch.randn(shape, generator=generator) for shape in ((1, 4, 8, 8), (1, 77, 32)))
    with torch.inference_mode():
        return unet(x, 500, encoder_hidden_states=text, return_dict=False)[0]


def test_it_computes_what_the_rounded_weights_say_and_takes_their_room():
    stored, expected = tiny_components(1)["unet"], tiny_components(1)["unet"]
    store_in_8_bits(stored)
    small = {name for name, parameter in stored.named_parameters() if parameter.dtype == FLOAT8}
    for name, parameter in expected.named_parameters():
        if name in small:
            parameter.data = rounded(parameter.data).float()
    assert torch.equal(asked(stored), asked(expected))
    assert all(parameter.dtype == FLOAT8 for name, parameter in stored.named_parameters() if name in small)
    weights = sum(parameter.numel() for parameter in stored.parameters() if parameter.ndim > 1)
    assert sum(parameter.numel() for name, parameter in stored.named_parameters() if name in small) > 0.8 * weights


def test_numbers_beyond_the_range_become_the_largest():
    assert rounded(torch.tensor([1000.0, -1000.0, 1.0])).float().tolist() == [448.0, -448.0, 1.0]


def test_full_precision_and_back_changes_no_bit(tiny_library):
    models, selection = ModelManager(STORED, 2**33), Selection(tiny_library.find("checkpoint", "a"))
    list(models.load(selection))
    with models.use(selection) as model:
        before = [(parameter.dtype, parameter.float()) for parameter in model.checkpoint.unet.parameters()]
        with model.in_float32():
            assert {parameter.dtype for parameter in model.checkpoint.unet.parameters()} == {torch.float32}
        after = [(parameter.dtype, parameter.float()) for parameter in model.checkpoint.unet.parameters()]
    assert all(was[0] == now[0] and torch.equal(was[1], now[1]) for was, now in zip(before, after, strict=True))


def test_a_picture_of_the_starter_stays_itself(starter, tmp_path):
    library = Library({"checkpoint": (starter.parent,)}, tmp_path / "hashes.sqlite3")
    library.rescan()
    file = library.find("checkpoint", "lucid-starter")
    request = GenerationRequest(prompt="a red circle", **{**file.suggested, "steps": 8, "seed": 1})
    pictures = []
    for compute in (Compute(CPU, torch.float32, torch.float32, 1), STORED):
        *_, drawn = generate_batch(request, 0, ModelManager(compute, 2**33), Selection(file), Options(preview="off"))
        pictures.append(np.asarray(drawn.image, np.float32))
    difference = np.abs(pictures[0] - pictures[1]).mean()
    assert 0 < difference < 4  # of 255


def test_a_lora_is_added_to_the_weights_of_the_file_and_comes_off(tiny_library, tmp_path):
    file = tiny_library.find("checkpoint", "a")
    layer, path = (
        "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q",
        ("down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"),
    )
    lora = write_adapter(tmp_path / "lora.safetensors", kohya_lora({layer: (32, 32)}, seed=1))
    stored, exact = ModelManager(STORED, 2**33), ModelManager(Compute(CPU, torch.float32, torch.float32, 1), 2**33)
    weights = {}
    for uses in ((), (AdapterUse(lora),), ()):
        selection = Selection(file, adapters=uses)
        for name, models in (("stored", stored), ("exact", exact)):
            list(models.load(selection))
            with models.use(selection) as model:
                weights[name] = model.checkpoint.unet.get_submodule(path).weight.detach().clone()
        assert torch.equal(weights["stored"].float(), rounded(weights["exact"]).float())
