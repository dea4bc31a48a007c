"""Loopback: how strong each loop is, with which seed, and what its picture says."""

from __future__ import annotations

import math

import pytest

from webui.domain.infotext import parse, to_request, write
from webui.domain.loopback_options import AGGRESSIVE, LAZY, LINEAR, strength_of_loop
from webui.domain.request import GenerationRequest
from webui.errors import InvalidRequest

CHAIN = GenerationRequest(
    init_image="here", seed=10, loops=3, batch_count=2, denoising_strength=0.8, final_denoising_strength=0.4
)


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        (LINEAR, [0.9, 0.7, 0.5, 0.3, 0.1]),
        (AGGRESSIVE, [0.9, 0.593853, 0.334315, 0.160896, 0.1]),
        (LAZY, [0.9, 0.839104, 0.665685, 0.406147, 0.1]),
    ],
)
def test_the_curves(curve: str, expected: list[float]) -> None:
    assert [strength_of_loop(0.9, 0.1, loop, 5, curve) for loop in range(5)] == pytest.approx(expected, abs=1e-6)


def test_one_loop_has_the_first_strength_and_a_rising_curve_rises() -> None:
    assert strength_of_loop(0.6, 0.1, 0, 1, LINEAR) == 0.6
    assert strength_of_loop(0.2, 0.8, 1, 3, AGGRESSIVE) == pytest.approx(0.2 + 0.6 * math.sin(math.pi / 4))


def test_each_loop_is_a_picture_with_a_seed_of_its_own() -> None:
    assert (CHAIN.picture_count, CHAIN.runs, CHAIN.pictures_per_run) == (6, 2, 3)
    alone = [CHAIN.picture(index) for index in range(6)]
    assert [one.seed for one in alone] == [10, 11, 12, 13, 14, 15]
    assert [one.denoising_strength for one in alone] == pytest.approx([0.8, 0.6, 0.4] * 2)
    assert all((one.loops, one.batch_count) == (1, 1) for one in alone)


def test_what_lies_under_a_mask_is_asked_for_in_the_first_loop_only() -> None:
    chain = GenerationRequest(init_image="here", mask="there", seed=1, loops=3, masked_content="fill")
    assert [chain.picture(index).masked_content for index in range(3)] == ["fill", "original", "original"]


def test_without_a_picture_loops_mean_nothing() -> None:
    request = GenerationRequest(loops=5, seed=1)
    assert request.picture_count == 1 and "Loops" not in write(request, version="")


def test_the_text_has_a1111s_keys() -> None:
    text = write(CHAIN, version="")
    fields = parse(text).fields
    assert (fields["Loops"], fields["Final denoising strength"], fields["Denoising curve"]) == ("3", "0.4", "Linear")
    back, unused, remarks = to_request(parse(text))
    assert (back.loops, back.final_denoising_strength, unused, remarks) == (3, 0.4, {}, ())


def test_ways_that_exclude_one_another_are_refused() -> None:
    for more in ({"extend_left": 64}, {"sd_upscale": True}):
        with pytest.raises(InvalidRequest, match="loop"):
            GenerationRequest(init_image="here", loops=2, **more).check_ways()
    with pytest.raises(InvalidRequest, match="mask"):
        GenerationRequest(init_image="here", mask="there", sd_upscale=True).check_ways()


def test_sd_upscale_is_read_back_from_a1111s_keys() -> None:
    request = GenerationRequest(init_image="here", sd_upscale=True, sd_upscale_overlap=32, sd_upscale_by=1.5)
    back, _, _ = to_request(parse(write(request, version="")))
    assert (back.sd_upscale, back.sd_upscale_overlap, back.sd_upscale_by) == (True, 32, 1.5)
    a1111 = "a\nSteps: 20, Sampler: Euler, Seed: 1, Size: 512x512, SD upscale overlap: 64, SD upscale upscaler: Lanczos"
    read, unused, _ = to_request(parse(a1111))
    assert (read.sd_upscale, read.sd_upscale_upscaler, unused) == (True, "Lanczos", {})
    assert not to_request(parse("a\nSteps: 20, Seed: 1, Size: 512x512"), request)[0].sd_upscale
