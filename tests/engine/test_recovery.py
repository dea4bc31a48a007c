"""Memory and precision that run out. The shortage is made by hooks on the real networks; all else is real."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch

from webui.domain.events import Notice
from webui.domain.request import GenerationRequest
from webui.engine.device import Compute
from webui.engine.drawn import Drawn
from webui.engine.generate import Options, generate_batch
from webui.engine.model_manager import ModelManager, Selection
from webui.errors import NumericalFailure, OutOfMemory

CPU = torch.device("cpu")
REQUEST = GenerationRequest(prompt="a cat", width=64, height=64, steps=2, seed=1, sampler="Euler")
QUICK = Options(preview="off")


def selection(library, vae=None):
    return Selection(library.find("checkpoint", "a"), vae and library.find("vae", vae))


def draw(models, request, library, options=QUICK):
    happened = list(generate_batch(request, 0, models, selection(library), options))
    notices = [event.text for event in happened if isinstance(event, Notice)]
    return [event.image.tobytes() for event in happened if isinstance(event, Drawn)], notices


@contextmanager
def shortage(models, library, component, fails):
    """The component of checkpoint "a" runs out of memory whenever ``fails(its input)``."""
    list(models.load(selection(library)))
    with models.use(selection(library)) as model:
        module = getattr(model.checkpoint, component)
        module = module.decoder if component == "vae" else module

    def refuse(module, inputs):
        if fails(inputs[0]):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    hook = module.register_forward_pre_hook(refuse)
    try:
        yield
    finally:
        hook.remove()


@pytest.fixture
def sharing() -> ModelManager:
    """As on a GPU: all pictures of a batch share a call of the network."""
    return ModelManager(Compute(CPU, torch.float32, torch.float32, None), budget=2**33)


def test_a_batch_that_does_not_fit_is_split(sharing, tiny_library):
    request = replace(REQUEST, batch_size=4)
    alone = [draw(sharing, request.picture(index), tiny_library)[0][0] for index in range(4)]
    with shortage(sharing, tiny_library, "unet", lambda x: len(x) > 2):
        pictures, notices = draw(sharing, request, tiny_library)
    assert pictures == alone
    assert notices == [
        "Out of memory: let go of models that are not in use, and try again.",
        "Out of memory: 2 of the 4 pictures at a time.",
        "Out of memory: 1 of the 4 pictures at a time.",
    ]


def test_a_decoding_that_does_not_fit_is_done_in_tiles(sharing, tiny_library):
    request = replace(REQUEST, width=160, height=96)
    with shortage(sharing, tiny_library, "vae", lambda latents: latents.shape[-1] > 8):
        pictures, notices = draw(sharing, request, tiny_library)
    assert len(pictures[0]) == 160 * 96 * 3
    assert notices[-1] == "Out of memory: decoded in strips."


def test_large_pictures_are_decoded_in_tiles_from_the_start(sharing, tiny_library):
    request = replace(REQUEST, width=160, height=96)
    with shortage(sharing, tiny_library, "vae", lambda latents: latents.shape[-1] > 8):
        _, notices = draw(sharing, request, tiny_library, Options(preview="off", tile_vae_above=96))
    assert notices == []


def test_when_nothing_helps_a_sentence_says_so_and_the_next_picture_works(sharing, tiny_library):
    with (
        shortage(sharing, tiny_library, "unet", lambda x: True),
        pytest.raises(OutOfMemory, match=r"Out of memory on cpu while sampling.*smaller width"),
    ):
        draw(sharing, REQUEST, tiny_library)
    assert draw(sharing, REQUEST, tiny_library)[1] == []


def test_other_models_are_let_go_before_anything_is_given_up(sharing, tiny_library):
    list(sharing.load(Selection(tiny_library.find("checkpoint", "b"))))
    list(sharing.load(selection(tiny_library)))
    both = sharing.loaded_bytes
    held = []

    def fails_while_both_are_held(x):
        held.append(sharing.loaded_bytes)
        return sharing.loaded_bytes == both

    with shortage(sharing, tiny_library, "unet", fails_while_both_are_held):
        draw(sharing, REQUEST, tiny_library)
    assert held[0] == both > held[-1]


def test_half_precision_that_overflows_is_repeated_in_full(tiny_library):
    full = ModelManager(Compute(CPU, torch.float32, torch.float32, 1), budget=2**33)
    half = ModelManager(Compute(CPU, torch.float16, torch.float32, 1), budget=2**33)
    list(half.load(selection(tiny_library)))
    with half.use(selection(tiny_library)) as model:
        unet = model.checkpoint.unet

    def overflow(module, inputs, output):  # as SD 2.1 and some merges do in half precision
        return (output[0] * (float("nan") if output[0].dtype == torch.float16 else 1.0),)

    hook = unet.register_forward_hook(overflow)
    pictures, notices = draw(half, REQUEST, tiny_library)
    hook.remove()
    assert notices == [
        "The network's prediction at step 1 is not a number. Repeated in full precision (float32), which is slower."
    ]
    assert unet.dtype == torch.float16
    expected = torch.frombuffer(bytearray(draw(full, REQUEST, tiny_library)[0][0]), dtype=torch.uint8)
    actual = torch.frombuffer(bytearray(pictures[0]), dtype=torch.uint8)
    # the weights were rounded to half precision once, so the pictures are alike and not equal
    assert (expected.int() - actual.int()).abs().float().mean() < 2


def test_a_damaged_file_gives_a_sentence_and_no_black_picture(models, tiny_library):
    list(models.load(selection(tiny_library)))
    with models.use(selection(tiny_library)) as model, torch.no_grad():
        model.vae.decoder.conv_out.weight.fill_(float("nan"))
    with pytest.raises(NumericalFailure, match=r"VAE's picture is not a number.*try another VAE"):
        draw(models, REQUEST, tiny_library)
