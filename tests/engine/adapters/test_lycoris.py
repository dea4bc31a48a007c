"""What a layer of the lycoris-lora package answers, ours answers with the weight that the file makes of it."""

from __future__ import annotations

import copy

import pytest
import torch
from lora_files import random_tensor, read, write_adapter
from lycoris.modules.boft import ButterflyOFTModule
from lycoris.modules.diag_oft import DiagOFTModule
from lycoris.modules.full import FullModule
from lycoris.modules.glora import GLoRAModule
from lycoris.modules.ia3 import IA3Module
from lycoris.modules.locon import LoConModule
from lycoris.modules.loha import LohaModule
from lycoris.modules.lokr import LokrModule
from lycoris.modules.norms import NormModule
from torch import nn

LAYERS = {"linear": lambda: nn.Linear(16, 24), "convolution": lambda: nn.Conv2d(16, 24, 3, padding=1)}
CASES = {
    "LoRA": (LoConModule, {}),
    "LoCon with mid": (LoConModule, {"use_tucker": True}),
    "rank-stabilised LoRA": (LoConModule, {"rs_lora": True}),
    "DoRA": (LoConModule, {"weight_decompose": True}),
    "DoRA per input": (LoConModule, {"weight_decompose": True, "wd_on_out": False}),
    "LoHa": (LohaModule, {}),
    "LoHa with cores": (LohaModule, {"use_tucker": True}),
    "LoHa decomposed": (LohaModule, {"weight_decompose": True}),
    "LoKr": (LokrModule, {"lora_dim": 2}),
    "LoKr of two products": (LokrModule, {"lora_dim": 1, "decompose_both": True}),
    "LoKr with a core": (LokrModule, {"lora_dim": 1, "use_tucker": True}),
    "LoKr whole": (LokrModule, {"full_matrix": True}),
    "LoKr decomposed": (LokrModule, {"lora_dim": 2, "weight_decompose": True}),
    "GLoRA": (GLoRAModule, {}),
    "IA3": (IA3Module, {}),
    "IA3 on the input": (IA3Module, {"train_on_input": True}),
    "OFT": (DiagOFTModule, {}),
    "OFT constrained": (DiagOFTModule, {"constraint": 0.01}),
    "OFT rescaled": (DiagOFTModule, {"rescaled": True}),
    "BOFT": (ButterflyOFTModule, {"lora_dim": 6}),
    "BOFT rescaled": (ButterflyOFTModule, {"lora_dim": 6, "rescaled": True, "constraint": 0.01}),
}


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("case", CASES)
def test_the_layer_answers_as_theirs(case, kind, tmp_path):
    module, options = CASES[case]
    original = LAYERS[kind]().requires_grad_(False)
    ours = copy.deepcopy(original)
    theirs = module("x", original, 1.0, **{"lora_dim": 4, "alpha": 2, **options})
    for number, parameter in enumerate(theirs.parameters()):
        start = 1.0 if parameter.shape == (24, *(1 for _ in original.weight.shape[1:])) else 0.0  # rescale, magnitudes
        parameter.data = random_tensor(*parameter.shape, seed=number) + start
    stored = {f"lora_unet_x.{name}": tensor.detach() for name, tensor in theirs.state_dict().items()}
    (layer,) = read(write_adapter(tmp_path / "x.safetensors", stored)).layers

    theirs.apply_to()
    assert layer.fits("weight", ours.weight.shape)
    ours.weight += layer.delta(ours.weight, None)
    x = random_tensor(2, 16, *((5, 5) if kind == "convolution" else ()), seed=99, size=1.0)
    with torch.no_grad():
        expected = original(x)
        assert not torch.allclose(LAYERS[kind]()(x), expected)
        assert torch.allclose(ours(x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("strength", [0.7, -1.0])
@pytest.mark.parametrize("case", ["LoRA", "LoHa", "LoKr", "GLoRA", "IA3", "OFT"])
def test_a_strength_means_what_it_means_there(case, strength, tmp_path):
    module, options = CASES[case]
    original = LAYERS["linear"]().requires_grad_(False)
    ours = copy.deepcopy(original)
    theirs = module("x", original, strength, **{"lora_dim": 4, "alpha": 2, **options})
    for number, parameter in enumerate(theirs.parameters()):
        parameter.data = random_tensor(*parameter.shape, seed=number)
    stored = {f"lora_unet_x.{name}": tensor.detach() for name, tensor in theirs.state_dict().items()}
    (layer,) = read(write_adapter(tmp_path / "x.safetensors", stored)).layers
    theirs.apply_to()
    ours.weight += strength * layer.delta(ours.weight, None)
    x = random_tensor(2, 16, seed=99, size=1.0)
    with torch.no_grad():
        assert torch.allclose(ours(x), original(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("layer", "module"),
    [(nn.Linear(16, 24), FullModule), (nn.LayerNorm(16), NormModule), (nn.GroupNorm(2, 16), NormModule)],
    ids=["full", "layer norm", "group norm"],
)
def test_whole_differences_of_weight_and_bias(layer, module, tmp_path):
    theirs = module("x", layer.requires_grad_(False), 1.0)
    changes = {name: random_tensor(*parameter.shape, seed=len(name)) for name, parameter in theirs.named_parameters()}
    for name, parameter in theirs.named_parameters():
        parameter.data = changes[name]
    weight, bias = theirs.get_merged_weight(1.0)
    names = {"weight": "diff", "bias": "diff_b"}
    stored = {f"lora_unet_x.{names.get(name, name)}": tensor for name, tensor in changes.items()}
    (read_layer,) = read(write_adapter(tmp_path / "x.safetensors", stored)).layers
    assert torch.allclose(layer.weight + read_layer.delta(layer.weight, None), weight)
    assert torch.allclose(layer.bias + read_layer.bias_delta(), bias)
