"""Each flavour's ΔW against its formula, written out index by index."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lora_files import random_tensor, read, write_adapter
from torch import Tensor

from webui.engine.adapters import FLAVOURS
from webui.engine.adapters.layer import Factors, Layer

LINEAR, CONV = (6, 8), (6, 4, 3, 3)
ALPHA = torch.tensor(3.0)


def r(*shape: int, seed: int = 1) -> Tensor:
    return random_tensor(*shape, seed=seed, size=0.5)


def delta_of(tmp_path, base: Tensor, parts: dict[str, Tensor], rank: int | None = None) -> Tensor:
    """ΔW as it comes from a file with these parts."""
    adapter = read(
        write_adapter(tmp_path / "x.safetensors", {f"lora_unet_x.{name}": part for name, part in parts.items()})
    )
    (layer,) = adapter.layers
    assert layer.fits("weight", base.shape)
    return layer.delta(base, rank)


def product(up: Tensor, down: Tensor) -> Tensor:
    """Σ_r up[o, r] down[r, i ...]"""
    total = torch.zeros(len(up), *down.shape[1:])
    for rank in range(len(down)):
        for output in range(len(up)):
            total[output] += up[output, rank].flatten()[0] * down[rank]
    return total


def cp(core: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Σ_mn core[m, n, ...] a[m, o] b[n, i]"""
    total = torch.zeros(a.shape[1], b.shape[1], *core.shape[2:])
    for m in range(len(a)):
        for n in range(len(b)):
            for o in range(a.shape[1]):
                for i in range(b.shape[1]):
                    total[o, i] += core[m, n] * a[m, o] * b[n, i]
    return total


def close(actual: Tensor, expected: Tensor) -> bool:
    return torch.allclose(actual, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [LINEAR, CONV], ids=["linear", "convolution"])
def test_lora(tmp_path, shape):
    up, down = r(shape[0], 4, *(1 for _ in shape[2:])), r(4, *shape[1:], seed=2)
    parts = {"lora_up.weight": up, "lora_down.weight": down}
    base = r(*shape, seed=9)
    assert close(delta_of(tmp_path, base, parts), product(up, down))  # no alpha: scale 1
    assert close(delta_of(tmp_path, base, {**parts, "alpha": ALPHA}), product(up, down) * 3 / 4)
    assert close(
        delta_of(tmp_path, base, {**parts, "alpha": ALPHA, "scale": torch.tensor(0.3)}), product(up, down) * 0.3
    )


def test_dynamic_rank_uses_the_first_rows_at_the_scale_of_all(tmp_path):
    up, down = r(6, 4), r(4, 8, seed=2)
    parts = {"lora_up.weight": up, "lora_down.weight": down, "alpha": ALPHA}
    expected = product(up[:, :2], down[:2]) * 3 / 4
    assert close(delta_of(tmp_path, r(*LINEAR), parts, rank=2), expected)
    assert close(delta_of(tmp_path, r(*LINEAR), parts, rank=100), product(up, down) * 3 / 4)


def test_a_linear_lora_fits_a_convolution_of_one_pixel(tmp_path):
    up, down = r(6, 4), r(4, 8, seed=2)
    actual = delta_of(tmp_path, r(6, 8, 1, 1), {"lora_up.weight": up, "lora_down.weight": down})
    assert close(actual, product(up, down)[..., None, None])


def test_locon_with_a_middle(tmp_path):
    up, down, mid = r(6, 3, 1, 1), r(3, 4, 1, 1, seed=2), r(3, 3, 3, 3, seed=3)
    parts = {"lora_up.weight": up, "lora_down.weight": down, "lora_mid.weight": mid, "alpha": ALPHA}
    assert close(delta_of(tmp_path, r(*CONV), parts), cp(mid, up[..., 0, 0].T, down[..., 0, 0]))


@pytest.mark.parametrize("shape", [LINEAR, CONV], ids=["linear", "convolution"])
def test_loha(tmp_path, shape):
    columns = torch.Size(shape[1:]).numel()
    a1, b1, a2, b2 = r(6, 2), r(2, columns, seed=2), r(6, 2, seed=3), r(2, columns, seed=4)
    parts = {"hada_w1_a": a1, "hada_w1_b": b1, "hada_w2_a": a2, "hada_w2_b": b2, "alpha": ALPHA}
    expected = (product(a1, b1) * product(a2, b2) * 3 / 2).reshape(shape)
    assert close(delta_of(tmp_path, r(*shape), parts), expected)


def test_loha_with_cores(tmp_path):
    sides = [(r(2, 2, 3, 3, seed=n), r(2, 6, seed=n + 1), r(2, 4, seed=n + 2)) for n in (1, 5)]
    parts = {"alpha": ALPHA}
    for number, (t, a, b) in enumerate(sides, 1):
        parts |= {f"hada_t{number}": t, f"hada_w{number}_a": a, f"hada_w{number}_b": b}
    assert close(delta_of(tmp_path, r(*CONV), parts), cp(*sides[0]) * cp(*sides[1]) * 3 / 2)


def kron(w1: Tensor, w2: Tensor) -> Tensor:
    """w1[a, b] w2[c, d ...] at row a·C + c, column b·D + d."""
    total = torch.zeros(len(w1) * len(w2), w1.shape[1] * w2.shape[1], *w2.shape[2:])
    for a in range(len(w1)):
        for b in range(w1.shape[1]):
            for c in range(len(w2)):
                for d in range(w2.shape[1]):
                    total[a * len(w2) + c, b * w2.shape[1] + d] = w1[a, b] * w2[c, d]
    return total


@pytest.mark.parametrize("w1_is_whole", [True, False])
@pytest.mark.parametrize(
    ("shape", "kind"), [(LINEAR, "whole"), (LINEAR, "product"), (CONV, "whole"), (CONV, "product"), (CONV, "core")]
)
def test_lokr(tmp_path, shape, kind, w1_is_whole):
    parts: dict[str, Tensor] = {"alpha": ALPHA}
    if w1_is_whole:
        parts["lokr_w1"] = w1 = r(2, 2)
    else:
        parts |= {"lokr_w1_a": (a := r(2, 2)), "lokr_w1_b": (b := r(2, 2, seed=2))}
        w1 = product(a, b)
    inner = (shape[0] // 2, shape[1] // 2, *shape[2:])
    if kind == "whole":
        parts["lokr_w2"] = w2 = r(*inner, seed=3)
    elif kind == "product":
        parts |= {"lokr_w2_a": (a := r(inner[0], 2, seed=3)), "lokr_w2_b": (b := r(2, *inner[1:], seed=4))}
        w2 = product(a, b)
    else:
        core, a, b = r(2, 2, *inner[2:], seed=5), r(2, inner[0], seed=3), r(2, inner[1], seed=4)
        parts |= {"lokr_t2": core, "lokr_w2_a": a, "lokr_w2_b": b}
        w2 = cp(core, a, b)
    scale = 1.0 if kind == "whole" and w1_is_whole else 3 / 2
    assert close(delta_of(tmp_path, r(*shape, seed=9), parts), kron(w1, w2) * scale)


def test_glora_in_both_orders_of_its_factors(tmp_path):
    base, a, b = r(*LINEAR, seed=9), (r(8, 2), r(2, 8, seed=2)), (r(6, 2, seed=3), r(2, 8, seed=4))
    expected = (base @ product(*a) + product(*b)) * 3 / 2
    now = {"a1.weight": a[0], "a2.weight": a[1], "b1.weight": b[0], "b2.weight": b[1], "alpha": ALPHA}
    once = {"a1.weight": a[1], "a2.weight": a[0], "b1.weight": b[1], "b2.weight": b[0], "alpha": ALPHA}
    assert close(delta_of(tmp_path, base, now), expected)
    assert close(delta_of(tmp_path, base, once), expected)


@pytest.mark.parametrize("on_input", [True, False])
def test_ia3(tmp_path, on_input):
    base = r(*LINEAR, seed=9)
    weight = r(8 if on_input else 6)
    expected = base * (weight[None, :] if on_input else weight[:, None])
    assert close(delta_of(tmp_path, base, {"weight": weight, "on_input": torch.tensor(int(on_input))}), expected)


def rotation(block: Tensor, bound: float = 0.0, norm: float = 1.0) -> Tensor:
    skew = block - block.T
    if bound and norm > bound:
        skew = skew * bound / norm
    return torch.linalg.solve((torch.eye(len(block)) - skew).T, (torch.eye(len(block)) + skew).T).T


@pytest.mark.parametrize("constraint", [0.0, 0.02])
def test_oft(tmp_path, constraint):
    base, blocks = r(*LINEAR, seed=9), r(2, 3, 3)
    norm = torch.stack([block - block.T for block in blocks]).norm()
    turns = [rotation(block, constraint * 6, norm) for block in blocks]
    assert all(close(turn @ turn.T, torch.eye(3)) for turn in turns)
    expected = torch.block_diag(*turns).T @ base - base
    parts = {"oft_blocks": blocks, "alpha": torch.tensor(constraint)}
    assert close(delta_of(tmp_path, base, parts), expected)
    rescale = r(6, 1, seed=4) + 1
    assert close(delta_of(tmp_path, base, {**parts, "rescale": rescale}), rescale * (expected + base) - base)


@pytest.mark.parametrize(("part", "shape"), [("diff", LINEAR), ("diff", CONV), ("w_norm", (6,))])
def test_a_difference_is_the_change(tmp_path, part, shape):
    assert torch.equal(delta_of(tmp_path, r(*shape), {part: r(*shape, seed=2)}), r(*shape, seed=2))


@pytest.mark.parametrize("shape", [LINEAR, CONV, (6, 6)], ids=["linear", "convolution", "square"])
@pytest.mark.parametrize("axis", [0, 1], ids=["per output", "per input"])
def test_dora(tmp_path, shape, axis):
    up, down = r(shape[0], 4, *(1 for _ in shape[2:])), r(4, *shape[1:], seed=2)
    base = r(*shape, seed=9)
    magnitude = r(shape[axis], seed=5).abs() + 1
    whole = base + product(up, down) * 3 / 4
    expected = torch.empty_like(whole)
    for index, length in enumerate(magnitude):
        part = whole.select(axis, index)
        expected.select(axis, index).copy_(part / part.norm() * length)
    stored = magnitude.reshape([-1 if each == axis else 1 for each in range(len(shape))])
    parts = {"lora_up.weight": up, "lora_down.weight": down, "alpha": ALPHA, "dora_scale": stored}
    assert close(delta_of(tmp_path, base, parts), expected - base)


def test_peft_writes_the_magnitudes_of_a_convolution_as_those_of_its_outputs(tmp_path):
    up, down, base = r(6, 4, 1, 1), r(4, 6, 3, 3, seed=2), r(6, 6, 3, 3, seed=9)
    magnitude = r(6, seed=5).abs() + 1
    lora = {"lora_B.weight": up, "lora_A.weight": down}
    peft = delta_of(tmp_path, base, {**lora, "lora_magnitude_vector": magnitude.reshape(1, 6, 1, 1)})
    assert torch.equal(peft, delta_of(tmp_path, base, {**lora, "dora_scale": magnitude.reshape(6, 1, 1, 1)}))


SHAPES = st.lists(st.integers(0, 6), max_size=5)


@given(st.data(), st.sampled_from(FLAVOURS), st.sampled_from([LINEAR, CONV, (6,)]))
def test_whatever_shapes_a_file_claims_it_fits_or_not_but_never_fails(data, flavour, shape):
    extra = data.draw(
        st.sets(st.sampled_from(["dora_scale", "mid", "rescale", "hada_t1", "lokr_t2", "up_bias", "bias"]))
    )
    tensors = {part: torch.zeros(data.draw(SHAPES)) for part in sorted({*flavour.marks, *extra} - {"on_input"})}
    layer = Layer("x", flavour, Factors(tensors, {"alpha": 1.0, "on_input": 1.0}))
    if layer.fits("weight", torch.Size(shape)):
        assert layer.delta(torch.zeros(shape), None).shape == shape
    if layer.fits("bias", torch.Size(shape[:1])):
        assert layer.bias_delta().shape == shape[:1]
