"""What stays in memory, what waits in RAM and what goes. "A card" here is the CPU with a second budget beside it."""

from __future__ import annotations

import gc
import weakref

import psutil
import pytest
import torch
from tiny import TINY_CONFIGS, tiny_components

from webui.domain.request import GenerationRequest
from webui.engine.device import Compute
from webui.engine.generate import Options, generate_batch
from webui.engine.lending import lend_every_layer
from webui.engine.model_manager import ModelManager, Selection
from webui.engine.weights import SafetensorsFile, byte_size

CPU = torch.device("cpu")
COMPUTE = Compute(CPU, torch.float32, torch.float32, 1)
REQUEST = GenerationRequest(prompt="a cat", width=64, height=64, steps=2, seed=1, sampler="Euler", schedule="Uniform")
SMALL = sum(byte_size(network) for network in tiny_components().values())


@pytest.fixture
def choices(tiny_library):
    return [Selection(tiny_library.find("checkpoint", name)) for name in ("a", "b")]


def drawn(models, selection):
    events = generate_batch(REQUEST, 0, models, selection, Options(preview="off"))
    *_, picture = events
    return picture.image.tobytes()


def files_read(monkeypatch):
    read, get = [], SafetensorsFile.get

    def counted(file, name):
        read.append(name)
        return get(file, name)

    monkeypatch.setattr(SafetensorsFile, "get", counted)
    return read


@pytest.mark.parametrize(("budget", "ram"), [(SMALL * 3, 0), (SMALL * 3 // 2, 0), (SMALL * 3 // 2, SMALL * 2)])
def test_two_checkpoints_in_turn_forty_times_leave_memory_flat_and_pictures_the_same(choices, budget, ram):
    models = ModelManager(COMPUTE, budget, ram=ram)
    first = [drawn(models, selection) for selection in choices]
    assert first[0] != first[1]
    held, resident = models.loaded_bytes, 0
    for turn in range(20):
        assert [drawn(models, selection) for selection in choices] == first
        assert models.loaded_bytes == held
        assert models.held.on_device <= budget and models.held.aside <= ram
        if turn == 4:
            resident = psutil.Process().memory_info().rss
    assert psutil.Process().memory_info().rss < resident + 10 * SMALL  # forty copies would be far more


def test_what_is_let_go_of_is_gone(choices):
    models = ModelManager(COMPUTE, SMALL * 3 // 2)
    list(models.load(choices[0]))
    with models.use(choices[0]) as model:
        gone = [weakref.ref(network) for network in (model.checkpoint, model.checkpoint.unet, model.vae)]
    del model
    list(models.load(choices[1]))
    gc.collect()
    assert [ref() for ref in gone] == [None] * 3


def test_a_checkpoint_put_aside_comes_back_without_its_file(choices, monkeypatch):
    models = ModelManager(COMPUTE, SMALL * 3 // 2, ram=SMALL * 2)
    pictures = [drawn(models, selection) for selection in choices]
    assert (models.held.on_device, models.held.aside) == (SMALL, SMALL)
    read = files_read(monkeypatch)
    assert [drawn(models, selection) for selection in choices] == pictures
    assert read == []


def test_ram_too_has_its_budget(choices, monkeypatch):
    models = ModelManager(COMPUTE, SMALL * 3 // 2, ram=SMALL // 2)
    for selection in choices:
        list(models.load(selection))
    assert (models.held.on_device, models.held.aside) == (SMALL, 0)
    read = files_read(monkeypatch)
    list(models.load(choices[0]))
    assert read


def test_one_network_at_a_time_draws_the_same_picture(choices, monkeypatch):
    expected = drawn(ModelManager(COMPUTE, SMALL * 3), choices[0])
    most: list[int] = []
    with monkeypatch.context() as watched:
        moved = ModelManager(COMPUTE, SMALL * 3, ram=SMALL * 3, low_memory="model")
        bring = moved.held.bring

        def counting(network, *, alone):
            bring(network, alone=alone)
            most.append(sum(part.on_device for part in moved.held.pinned_parts()))

        watched.setattr(moved.held, "bring", counting)
        assert drawn(moved, choices[0]) == expected
    assert set(most) == {1}


def test_networks_that_do_not_fit_together_take_turns_by_themselves(choices):
    sizes = {name: byte_size(network) for name, network in tiny_components().items()}
    largest = max(sizes.values())
    models = ModelManager(COMPUTE, largest, ram=SMALL * 3)
    assert drawn(models, choices[0]) == drawn(ModelManager(COMPUTE, SMALL * 3), choices[0])
    assert models.held.on_device <= largest


def test_when_memory_runs_out_all_but_the_network_at_work_waits_in_ram(choices):
    models = ModelManager(COMPUTE, SMALL * 3, ram=SMALL * 3)
    list(models.load(choices[0]))
    with models.use(choices[0]) as model:
        models.free_unused()
        assert models.held.on_device == 0
        model.ready(model.vae)
        assert models.held.on_device == byte_size(model.vae)


def test_layer_by_layer_draws_the_same_picture(choices):
    models = ModelManager(COMPUTE, SMALL * 3, ram=SMALL * 3, low_memory="sequential")
    assert drawn(models, choices[0]) == drawn(ModelManager(COMPUTE, SMALL * 3), choices[0])
    assert [part.lends for part in models.held.pinned_parts()] == [True, True, False]  # text encoder, U-Net, VAE


@pytest.mark.parametrize("component", ["unet", "text_encoder"])
def test_a_lent_network_computes_wherever_its_input_is(component):
    """On torch's meta device a weight that stayed behind would be an error, as on a card."""
    network = tiny_components()[component]
    before = dict(network.named_parameters())
    lend_every_layer(network, torch.device("meta"))
    if component == "unet":
        x = torch.zeros(1, 4, 8, 8, device="meta")
        text = torch.zeros(1, 77, TINY_CONFIGS["unet"]["cross_attention_dim"], device="meta")
        answer = network(x, 500, encoder_hidden_states=text, return_dict=False)[0]
    else:
        answer = network(torch.zeros(1, 77, dtype=torch.int64, device="meta"), output_hidden_states=True)[0]
    assert answer.device.type == "meta"
    assert all(parameter is before[name] for name, parameter in network.named_parameters())
    assert {parameter.device for parameter in network.parameters()} == {CPU}
