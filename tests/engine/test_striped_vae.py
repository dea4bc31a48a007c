from __future__ import annotations

import pytest
import torch
from tiny import tiny_components
from torch import nn

from webui.engine.striped_vae import Strips

SMALL = Strips(strip_bytes=3000)  # of these sizes: one to a few rows a strip


@pytest.fixture(scope="module")
def vae():
    return tiny_components()["vae"].requires_grad_(False)


def noise(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("size", [(12, 20), (1, 1), (7, 3), (33, 8)])
def test_decoding_in_strips_equals_the_vae(vae, size):
    latents = noise(1, 4, *size)
    with torch.inference_mode():
        assert torch.allclose(SMALL.decode(vae, latents), vae.decode(latents, return_dict=False)[0], atol=2e-5)


@pytest.mark.parametrize("size", [(96, 160), (8, 8), (56, 24), (70, 90)])
def test_encoding_in_strips_equals_the_vae(vae, size):
    pixels = noise(1, 3, *size).clamp(-1, 1)
    with torch.inference_mode():
        assert torch.allclose(SMALL.encode(vae, pixels), vae.encode(pixels).latent_dist.parameters, atol=2e-5)


def test_states_may_be_kept_elsewhere(vae):
    latents = noise(1, 4, 12, 12)
    with torch.inference_mode():
        kept = Strips(strip_bytes=3000, keep_on=torch.device("cpu")).decode(vae, latents)
        assert torch.equal(kept, SMALL.decode(vae, latents))


def test_half_precision_is_as_good_as_that_of_the_vae(vae):
    half = tiny_components()["vae"].requires_grad_(False).to(torch.bfloat16)
    latents = noise(1, 4, 12, 12)
    with torch.inference_mode():
        exact = vae.decode(latents, return_dict=False)[0]
        whole = half.decode(latents.to(torch.bfloat16), return_dict=False)[0]
        strips = SMALL.decode(half, latents.to(torch.bfloat16))
    assert strips.dtype == torch.bfloat16
    assert (strips - exact).abs().mean() < 1.2 * (whole - exact).abs().mean()


def test_seamless_edges_see_each_other(vae):
    """Against the same network whose convolutions are told so: torch's own circular padding, both ways."""
    circular = tiny_components()["vae"].requires_grad_(False)
    for conv in circular.decoder.modules():
        if isinstance(conv, nn.Conv2d) and conv.padding != (0, 0):
            conv.padding_mode = "circular"
            conv._reversed_padding_repeated_twice = [1, 1, 1, 1]
    latents = noise(1, 4, 8, 12)
    with torch.inference_mode():
        expected = circular.decode(latents, return_dict=False)[0]
        assert torch.allclose(Strips(3000, wrap=(True, True)).decode(vae, latents), expected, atol=2e-5)


def test_a_strip_needs_a_fraction_of_the_memory(vae):
    """Bytes that are alive at once, counted by torch as it allocates them."""
    latents = noise(1, 4, 64, 64)

    def peak(run):
        with torch.inference_mode(), torch.profiler.profile(profile_memory=True) as profile:
            run()
        alive = most = 0
        for event in profile.profiler.kineto_results.events():
            if event.name() == "[memory]":
                alive += event.nbytes()
                most = max(most, alive)
        return most

    whole = peak(lambda: vae.decode(latents, return_dict=False))
    strips = peak(lambda: Strips(strip_bytes=200_000).decode(vae, latents))
    assert strips < 0.6 * whole
