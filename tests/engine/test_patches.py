"""LoRAs on a checkpoint in memory: what the weights are with them, and that nothing of them is left without."""

from __future__ import annotations

import hashlib
import json
import os

import pytest
import torch
from lora_files import kohya_lora, random_tensor, write_adapter
from safetensors.torch import load_file
from tiny import TINY_CONFIGS, tiny_components, write_tiny_checkpoint

from webui.domain.events import Loading, Notice
from webui.domain.request import GenerationRequest
from webui.engine.device import Compute
from webui.engine.drawn import Drawn
from webui.engine.generate import Options, generate_batch
from webui.engine.model_manager import AdapterUse, ModelManager, Selection
from webui.errors import IncompatibleModel, InvalidRequest, OutOfMemory, UnreadableModel
from webui.library.index import Library

TO_Q = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
TO_Q_PATH = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
CONV = "lora_unet_input_blocks_1_0_in_layers_2"
CONV_PATH = "down_blocks.0.resnets.0.conv1"
FC1 = "lora_te_text_model_encoder_layers_1_mlp_fc1"
FC1_PATH = "encoder.layers.1.mlp.fc1"
SHAPES = {TO_Q: (32, 32), CONV: (32, 32, 3, 3), FC1: (37, 32)}
HALF = Compute(torch.device("cpu"), torch.float16, torch.float16, 1)


@pytest.fixture(scope="module")
def loras(tmp_path_factory):
    """A LoRA, one of every kind that reads the weight it changes, and one that DoRA decomposes."""
    folder = tmp_path_factory.mktemp("loras")
    first, second = kohya_lora(SHAPES, seed=1), kohya_lora(SHAPES, seed=100)
    turning = {
        f"{TO_Q}.oft_blocks": random_tensor(4, 8, 8, seed=7),
        f"{CONV}.weight": random_tensor(1, 32, 1, 1, seed=8),
        f"{CONV}.on_input": torch.tensor(1),
        f"{FC1}.diff": random_tensor(37, 32, seed=9),
        f"{FC1}.diff_b": random_tensor(37, seed=10),
        "lora_unet_conv_norm_out.w_norm": random_tensor(32, seed=11),
        "lora_unet_conv_norm_out.b_norm": random_tensor(32, seed=12),
    }
    decomposed = kohya_lora({TO_Q: SHAPES[TO_Q]}, seed=50) | {f"{TO_Q}.dora_scale": random_tensor(32, 1, seed=13) + 1}
    files = {"first": first, "second": second, "turning": turning, "decomposed": decomposed}
    return {name: write_adapter(folder / f"{name}.safetensors", tensors) for name, tensors in files.items()}


@pytest.fixture
def checkpoint(tiny_library):
    return tiny_library.find("checkpoint", "a")


def put_on(models, checkpoint, *uses):
    """The networks with these adapters on, and what was told meanwhile."""
    selection = Selection(checkpoint, adapters=uses)
    events = list(models.load(selection))
    with models.use(selection) as model:
        return model.checkpoint, events


def fingerprint(checkpoint) -> str:
    """Every bit of every weight of the U-Net and the text encoder, and how it lies in memory."""
    digest = hashlib.sha256()
    for network in (checkpoint.unet, *checkpoint.text_encoders.values()):
        for name, tensor in network.state_dict().items():
            digest.update(f"{name} {tensor.dtype} {tensor.stride()}".encode() + tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def weight(checkpoint, module):
    network = checkpoint.text_encoders["text_encoder"] if module.startswith("encoder") else checkpoint.unet
    return network.get_submodule(module).weight


def change_of(file, layer):
    """α/r · B A, from the file."""
    tensors = load_file(file.path)
    up, down = tensors[f"{layer}.lora_up.weight"].double(), tensors[f"{layer}.lora_down.weight"].double()
    return torch.einsum("or,ri...->oi...", up.flatten(1), down) * (2.0 / 4)


PLACES = [(TO_Q, TO_Q_PATH, "unet"), (CONV, CONV_PATH, "unet"), (FC1, FC1_PATH, "text_encoder")]


@pytest.mark.parametrize(("te", "unet"), [(1.0, 1.0), (0.5, -0.75), (0.0, 2.0), (1.0, 0.0)])
def test_each_weight_is_w_plus_strength_times_the_change(te, unet, models, checkpoint, loras):
    patched, events = put_on(models, checkpoint, AdapterUse(loras["first"], te, unet))
    original = tiny_components(seed=1)
    for layer, module, network in PLACES:
        strength = te if network == "text_encoder" else unet
        base = original[network].get_submodule(module).weight.double()
        expected = base + strength * change_of(loras["first"], layer)
        assert torch.allclose(weight(patched, module).double(), expected, rtol=1e-5, atol=1e-6)
    assert Loading("applying first", 0.0) in events
    untouched = "up_blocks.0.resnets.0.conv1"
    assert torch.equal(weight(patched, untouched), original["unet"].get_submodule(untouched).weight)


def test_several_add_up_the_same_in_any_order(models, checkpoint, loras):
    uses = [AdapterUse(loras[name], 0.7, 0.3) for name in ("first", "second", "turning", "decomposed")]
    patched, _ = put_on(models, checkpoint, *uses)
    before = fingerprint(patched)
    put_on(models, checkpoint)
    patched, _ = put_on(models, checkpoint, *reversed(uses))
    assert fingerprint(patched) == before
    only = put_on(models, checkpoint, *uses[:2])[0]
    expected = tiny_components(seed=1)["unet"].get_submodule(CONV_PATH).weight.double()
    expected = expected + 0.3 * change_of(loras["first"], CONV) + 0.3 * change_of(loras["second"], CONV)
    assert torch.allclose(weight(only, CONV_PATH).double(), expected, rtol=1e-5, atol=1e-6)


def test_one_adapter_twice_counts_twice(models, checkpoint, loras):
    twice = fingerprint(put_on(models, checkpoint, *[AdapterUse(loras["first"], 0.5, 0.5)] * 2)[0])
    once = fingerprint(put_on(models, checkpoint, AdapterUse(loras["first"], 0.5, 0.5))[0])
    assert twice != once


@pytest.mark.parametrize("compute", ["float32", "float16"])
def test_every_bit_is_as_before_when_they_are_taken_off(compute, models, checkpoint, loras):
    models = models if compute == "float32" else ModelManager(HALF, budget=2**33)
    clean = fingerprint(put_on(models, checkpoint)[0])
    seen = {clean}
    for uses in (
        [AdapterUse(loras["first"])],
        [AdapterUse(loras["first"], 0.3, 0.4)],
        [AdapterUse(loras["turning"], 1.1, -1.0), AdapterUse(loras["first"], dyn=1)],
        [AdapterUse(loras["decomposed"])],
        [AdapterUse(file) for file in loras.values()],
    ):
        once = fingerprint(put_on(models, checkpoint, *uses)[0])
        seen.add(once)
        assert fingerprint(put_on(models, checkpoint)[0]) == clean
        put_on(models, checkpoint, AdapterUse(loras["second"]))  # from one set to the next: as if put on alone
        assert fingerprint(put_on(models, checkpoint, *uses)[0]) == once
    assert len(seen) == 6


def test_half_precision_is_added_up_in_float32_and_rounded_once(checkpoint, loras):
    models = ModelManager(HALF, budget=2**33)
    patched, _ = put_on(models, checkpoint, AdapterUse(loras["first"], 0.3, 0.3), AdapterUse(loras["second"], 0.3, 0.3))
    base = tiny_components(seed=1)["unet"].get_submodule(CONV_PATH).weight.half().double()
    exact = base + 0.3 * change_of(loras["first"], CONV) + 0.3 * change_of(loras["second"], CONV)
    assert weight(patched, CONV_PATH).dtype == torch.float16
    off = (weight(patched, CONV_PATH).double() - exact).abs()
    assert (off <= exact.abs() * 2**-11 * 1.01 + 1e-7).all(), "no more than half of a last place"


def test_strength_zero_touches_nothing(models, checkpoint, loras):
    clean = fingerprint(put_on(models, checkpoint)[0])
    patched, events = put_on(models, checkpoint, AdapterUse(loras["first"], 0.0, 0.0))
    assert fingerprint(patched) == clean
    assert not [event for event in events if "applying" in event.text]


@pytest.mark.parametrize("pulls", [1, 2, 4, 6])
def test_a_stop_in_the_middle_is_made_good_by_the_next_request(pulls, models, checkpoint, loras):
    clean = fingerprint(put_on(models, checkpoint)[0])
    half_way = Selection(checkpoint, adapters=tuple(AdapterUse(file) for file in loras.values()))
    for file in loras.values():
        put_on(models, checkpoint, AdapterUse(file))  # in memory from here on, so that only the patching is stopped
    put_on(models, checkpoint)
    loading = models.load(half_way)
    for _ in range(pulls):
        next(loading)
    loading.close()
    with pytest.raises(RuntimeError, match="do not carry"), models.use(half_way):
        pass
    whole = fingerprint(put_on(models, checkpoint, *half_way.adapters)[0])
    assert fingerprint(put_on(models, checkpoint)[0]) == clean
    assert fingerprint(put_on(models, checkpoint, *half_way.adapters)[0]) == whole


def test_an_error_in_the_middle_of_a_weight_is_made_good_too(models, checkpoint, loras, monkeypatch):
    from webui.engine import patches

    clean = fingerprint(put_on(models, checkpoint)[0])
    with monkeypatch.context() as broken:
        add, calls = patches._add, []

        def fail(total, *rest):
            add(total, *rest)
            calls.append(rest)
            if len(calls) == 2:
                raise ZeroDivisionError

        broken.setattr(patches, "_add", fail)
        with pytest.raises(ZeroDivisionError):
            put_on(models, checkpoint, AdapterUse(loras["first"]))
    with pytest.raises(RuntimeError, match="do not carry"), models.use(Selection(checkpoint)):
        pass
    assert fingerprint(put_on(models, checkpoint)[0]) == clean


def test_out_of_memory_makes_room_once_then_says_so(models, tiny_library, checkpoint, loras, monkeypatch):
    from webui.engine import patches

    clean = fingerprint(put_on(models, checkpoint)[0])
    put_on(models, tiny_library.find("checkpoint", "b"))
    add, held = patches._add, []

    def refuse_beside_others(total, *rest):
        held.append(models.loaded_bytes)
        if len(held) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        add(total, *rest)

    with monkeypatch.context() as full:
        full.setattr(patches, "_add", refuse_beside_others)
        put_on(models, checkpoint, AdapterUse(loras["first"]))
    assert held[1] < held[0]

    def refuse(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with monkeypatch.context() as full:
        full.setattr(patches, "_add", refuse)
        with pytest.raises(OutOfMemory, match="while applying second"):
            put_on(models, checkpoint, AdapterUse(loras["second"]))
    assert fingerprint(put_on(models, checkpoint)[0]) == clean


def test_another_rank_is_another_change(models, checkpoint, loras):
    ranks = [
        fingerprint(put_on(models, checkpoint, AdapterUse(loras["first"], dyn=dyn))[0]) for dyn in (None, 0, 1, 3, 4)
    ]
    assert len(set(ranks)) == 4
    assert ranks[0] == ranks[-1], "it has no more than four"
    less_than_none = fingerprint(put_on(models, checkpoint, AdapterUse(loras["first"], dyn=-5))[0])
    assert less_than_none == ranks[1] == fingerprint(put_on(models, checkpoint)[0]), "no rank at all is no change"


def test_nothing_is_done_when_it_is_there_already(models, checkpoint, loras):
    put_on(models, checkpoint, AdapterUse(loras["first"], 0.5, 0.5))
    assert put_on(models, checkpoint, AdapterUse(loras["first"], 0.5, 0.5))[1] == []


def test_a_prompt_is_encoded_anew_by_another_text_encoder(models, checkpoint, loras):
    patched, _ = put_on(models, checkpoint)
    patched.prompts.get("a cat", lambda: torch.zeros(1))
    put_on(models, checkpoint, AdapterUse(loras["first"], te=0.0))
    assert patched.prompts.get("a cat", lambda: torch.ones(1)) == 0, "the text encoder is the same"
    put_on(models, checkpoint, AdapterUse(loras["first"]))
    assert patched.prompts.get("a cat", lambda: torch.ones(1)) == 1
    put_on(models, checkpoint)
    assert patched.prompts.get("a cat", lambda: torch.zeros(1)) == 0


def test_full_precision_and_back_keeps_what_is_on(checkpoint, loras):
    models = ModelManager(HALF, budget=2**33)
    selection = Selection(checkpoint, adapters=(AdapterUse(loras["first"]),))
    list(models.load(selection))
    with models.use(selection) as model:
        before = fingerprint(model.checkpoint)
        with model.in_float32():
            assert model.is_float32
        assert fingerprint(model.checkpoint) == before


def test_unknown_names_are_told_in_short(models, checkpoint, tmp_path):
    tensors = kohya_lora(
        {TO_Q: (32, 32), **{f"lora_te2_text_model_encoder_layers_{n}_mlp_fc1": (4, 4) for n in range(30)}}
    )
    tensors["bundle_emb.x.string_to_param.*"] = torch.zeros(1)
    _, events = put_on(models, checkpoint, AdapterUse(write_adapter(tmp_path / "odd.safetensors", tensors)))
    (notice,) = [event.text for event in events if isinstance(event, Notice)]
    assert notice == (
        '"odd": left out bundle_emb.x.string_to_param.*, lora_te2_text_model_encoder_layers_... (30), which "a" has no place for.'
    )


def test_a_shape_that_does_not_fit_is_refused_before_anything_changes(models, checkpoint, loras, tmp_path):
    before = fingerprint(put_on(models, checkpoint, AdapterUse(loras["first"]))[0])
    wide = write_adapter(
        tmp_path / "wide.safetensors", kohya_lora({TO_Q: (32, 32), CONV: (32, 64, 3, 3)}), family="sdxl"
    )
    with pytest.raises(IncompatibleModel, match=f'"wide" does not fit "a": its layer "{CONV}" .*made for SDXL'):
        put_on(models, checkpoint, AdapterUse(loras["second"]), AdapterUse(wide))
    assert fingerprint(put_on(models, checkpoint, AdapterUse(loras["first"]))[0]) == before
    turned = write_adapter(tmp_path / "turned.safetensors", kohya_lora({FC1: (32, 37)}))
    with pytest.raises(IncompatibleModel, match=r"weight it would change \(\(37, 32\)\)"):
        put_on(models, checkpoint, AdapterUse(turned))


@pytest.mark.parametrize(
    ("tensors", "error", "message"),
    [
        (kohya_lora({"lora_unet_double_blocks_0_img_mod_lin": (4, 4)}), IncompatibleModel, "none of its layers"),
        ({f"{TO_Q}.lora_up.weight": torch.zeros(32, 4)}, UnreadableModel, f'"{TO_Q}" has only "up"'),
        ({f"{TO_Q}.diff": torch.full((32, 32), torch.nan)}, UnreadableModel, "not numbers"),
        ({"something.else": torch.zeros(3)}, IncompatibleModel, "holds no layer"),
        ({f"{TO_Q}.diff_b": torch.zeros(32)}, IncompatibleModel, "bias it would change .there is none"),
    ],
)
def test_files_that_cannot_be_used_say_why(tensors, error, message, models, checkpoint, tmp_path):
    with pytest.raises(error, match=message):
        put_on(models, checkpoint, AdapterUse(write_adapter(tmp_path / "bad.safetensors", tensors)))
    put_on(models, checkpoint)


def test_a_strength_that_is_no_number_is_refused(models, checkpoint, loras):
    with pytest.raises(InvalidRequest, match='strength of "first" must be a number'):
        put_on(models, checkpoint, AdapterUse(loras["first"], unet=float("nan")))


def test_peft_states_alpha_beside_the_tensors(models, checkpoint, tmp_path):
    tensors = {
        f"unet.{TO_Q_PATH}.lora_A.weight": random_tensor(4, 32),
        f"unet.{TO_Q_PATH}.lora_B.weight": random_tensor(32, 4),
    }
    product = tensors[f"unet.{TO_Q_PATH}.lora_B.weight"] @ tensors[f"unet.{TO_Q_PATH}.lora_A.weight"]
    base = tiny_components(seed=1)["unet"].get_submodule(TO_Q_PATH).weight
    for number, (stated, scale) in enumerate(
        [
            ({}, 1.0),
            ({"unet.lora_alpha": 2, "unet.r": 4}, 0.5),
            ({"unet.lora_alpha": 2, "unet.use_rslora": True}, 1.0),
            ({"unet.lora_alpha": 2, "unet.alpha_pattern": {"attn1.to_q": 12}}, 3.0),
        ]
    ):
        metadata = {"lora_adapter_metadata": json.dumps(stated)}
        file = write_adapter(tmp_path / f"{number}.safetensors", tensors, metadata)
        patched, _ = put_on(models, checkpoint, AdapterUse(file))
        assert torch.allclose(weight(patched, TO_Q_PATH), base + scale * product, atol=1e-6)


def test_a_checkpoint_that_changed_on_disk_is_read_anew(models, loras, tmp_path):
    path = write_tiny_checkpoint(tmp_path / "soon.safetensors", seed=4)
    library = Library({"checkpoint": (tmp_path,)}, tmp_path / "hashes.sqlite3")
    library.rescan()
    file = library.find("checkpoint", "soon")
    put_on(models, file, AdapterUse(loras["first"]))
    os.utime(path, ns=(1, 1))
    with pytest.raises(UnreadableModel, match="has changed since"):
        put_on(models, file)
    patched, events = put_on(models, file)
    assert events[0] == Loading("loading soon", 0.0)
    assert torch.equal(weight(patched, TO_Q_PATH), tiny_components(seed=4)["unet"].get_submodule(TO_Q_PATH).weight)


def test_a_diffusers_folder_is_restored_too(models, loras, tmp_path):
    parts = tiny_components(seed=5)
    for name in ("unet", "vae", "text_encoder"):
        parts[name].save_pretrained(tmp_path / "folder" / name)
    (tmp_path / "folder" / "scheduler").mkdir()
    (tmp_path / "folder" / "scheduler" / "scheduler_config.json").write_text(json.dumps(TINY_CONFIGS["scheduler"]))
    index = {name: ["diffusers", "x"] for name in ("unet", "vae", "text_encoder", "scheduler")}
    (tmp_path / "folder" / "model_index.json").write_text(json.dumps(index))
    library = Library({"checkpoint": (tmp_path,)}, tmp_path / "hashes.sqlite3")
    library.rescan()
    file = library.find("checkpoint", "folder")
    clean = fingerprint(put_on(models, file)[0])
    assert fingerprint(put_on(models, file, AdapterUse(loras["turning"]))[0]) != clean
    assert fingerprint(put_on(models, file)[0]) == clean
    put_on(models, file, AdapterUse(loras["turning"]))
    os.utime(tmp_path / "folder" / "unet" / "diffusion_pytorch_model.safetensors")
    with pytest.raises(UnreadableModel, match="has changed since"):
        put_on(models, file)


def test_adapters_count_towards_the_memory_and_are_let_go(models, checkpoint, loras):
    put_on(models, checkpoint)
    alone = models.loaded_bytes
    tight = ModelManager(models.compute, budget=alone)
    patched, _ = put_on(tight, checkpoint, AdapterUse(loras["first"]))
    assert tight.loaded_bytes > alone
    put_on(tight, checkpoint, AdapterUse(loras["turning"]))
    tight.free_unused()
    put_on(tight, checkpoint)
    tight.free_unused()
    assert tight.loaded_bytes == alone
    assert patched is put_on(tight, checkpoint)[0]


def test_the_picture_is_another_with_them_and_the_same_as_before_without(models, checkpoint, loras):
    request = GenerationRequest(prompt="a red apple", width=64, height=64, steps=2, seed=1)

    def draw(*uses):
        events = generate_batch(request, 0, models, Selection(checkpoint, adapters=uses), Options(preview="off"))
        return next(event.image.tobytes() for event in events if isinstance(event, Drawn))

    plain = draw()
    text_only, unet_only = draw(AdapterUse(loras["first"], 3.0, 0.0)), draw(AdapterUse(loras["first"], 0.0, 1.0))
    assert len({plain, text_only, unet_only}) == 3
    assert draw() == plain
