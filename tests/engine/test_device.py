from __future__ import annotations

import pytest
import torch

from webui.engine.device import Compute, Hardware, choose_compute, is_out_of_memory
from webui.errors import InvalidSettings

AMPERE_AND_TURING = Hardware(cuda=((8, 6), (7, 5)))
APPLE = Hardware(mps=True)
PLAIN = Hardware()


@pytest.mark.parametrize(
    ("hardware", "asked", "device", "network", "vae", "per_call"),
    [
        (PLAIN, "auto", "cpu", torch.float32, torch.float32, 1),
        (AMPERE_AND_TURING, "auto", "cuda:0", torch.float16, torch.bfloat16, None),
        (AMPERE_AND_TURING, "cuda", "cuda:0", torch.float16, torch.bfloat16, None),
        (AMPERE_AND_TURING, "cuda:1", "cuda:1", torch.float16, torch.float32, None),
        (AMPERE_AND_TURING, "cpu", "cpu", torch.float32, torch.float32, 1),
        (APPLE, "auto", "mps", torch.float16, torch.float32, None),
        (Hardware(xpu=1), "auto", "xpu:0", torch.float16, torch.float32, None),
    ],
)
def test_device_and_precision_follow_the_hardware(hardware, asked, device, network, vae, per_call):
    chosen = choose_compute(asked, "auto", hardware)
    assert (str(chosen.device), chosen.network, chosen.vae, chosen.pictures_per_call) == (
        device,
        network,
        vae,
        per_call,
    )


def test_a_named_precision_is_obeyed():
    chosen = choose_compute("cuda:1", "bfloat16", AMPERE_AND_TURING)
    assert (chosen.network, chosen.vae) == (torch.bfloat16, torch.bfloat16)


def test_a_device_that_is_not_there_is_named_with_what_is():
    with pytest.raises(InvalidSettings, match=r'no "cuda" on this machine.*"cpu"'):
        choose_compute("cuda", "auto", PLAIN)


def test_a_real_allocation_failure_is_told_from_other_errors():
    with pytest.raises(RuntimeError) as failure:
        torch.empty(2**60)
    assert is_out_of_memory(failure.value)
    with pytest.raises(RuntimeError) as mismatch:
        torch.ones(2) + torch.ones(3)
    assert not is_out_of_memory(mismatch.value)


def test_attention_is_pytorchs_own_unless_xformers_is_asked_for_and_there():
    with_xformers = Hardware(cuda=((8, 6),), xformers=True)
    assert choose_compute("auto", "auto", with_xformers).attention == "sdpa"
    assert choose_compute("auto", "auto", with_xformers, attention="xformers").attention == "xformers"
    with pytest.raises(InvalidSettings, match="works on CUDA only"):
        choose_compute("cpu", "auto", with_xformers, attention="xformers")
    with pytest.raises(InvalidSettings, match="is not installed"):
        choose_compute("auto", "auto", AMPERE_AND_TURING, attention="xformers")


@pytest.mark.parametrize(
    ("family", "dtype", "computed"),
    [
        ("sd1", torch.float16, torch.float16),
        ("sd2", torch.float16, torch.float16),
        ("sdxl", torch.float16, torch.float32),
        ("sdxl-refiner", torch.float16, torch.float32),
        ("sdxl", torch.bfloat16, torch.bfloat16),
    ],
)
def test_the_vae_of_sdxl_never_computes_in_float16(family, dtype, computed):
    assert Compute(torch.device("cpu"), dtype, dtype, 1).vae_for(family) == computed
