"""Our Brownian paths against torchsde's, to the last bit."""

from __future__ import annotations

import math
import random
from itertools import pairwise

import pytest
import torch
import torchsde

from webui.domain.noise_levels import NoiseModel, scaled_linear_alphas_cumprod
from webui.domain.schedules import find_schedule
from webui.engine.brownian import BrownianNoise, BrownianPath, bounds
from webui.engine.noise import BatchNoise, PictureNoise, generator
from webui.engine.philox import PhiloxGenerator

CPU = torch.device("cpu")
SHAPE = (4, 8, 8)
MODEL = NoiseModel.from_alphas_cumprod(scaled_linear_alphas_cumprod())


def path(seed=1, low=0.03, high=14.6, shape=SHAPE, source="CPU"):
    return BrownianPath(seed, low, high, lambda node: generator(node, source, CPU)(shape))


def picture(seed=1, source="CPU", **more):
    return PictureNoise(seed, SHAPE, CPU, source=source, **more)


@pytest.fixture(params=["Karras", "Exponential", "Uniform"])
def levels(request):
    """As k-diffusion has them: in float32."""
    return torch.tensor(find_schedule(request.param).sigmas(20, MODEL), dtype=torch.float32)


@pytest.mark.filterwarnings(
    "ignore:Should have t[ab]:UserWarning"
)  # torchsde rounds the ends, and not what it is asked
def test_equals_the_tree_of_k_diffusion(levels):
    """Its ``BrownianTreeNoiseSampler``, asked as DPM++ SDE asks: half a step, then the whole one."""
    noise = BatchNoise([picture(seed) for seed in (0, 7, 2**32 + 5)]).brownian(levels.tolist())
    low, high = levels[levels > 0].min(), levels.max()
    trees = [torchsde.BrownianTree(low, torch.zeros(SHAPE), high, entropy=seed) for seed in (0, 7, 2**32 + 5)]
    for sigma, sigma_next in pairwise(levels[:-1]):
        for to in ((sigma * sigma_next).sqrt(), sigma_next):
            drawn = -torch.stack([tree(to, sigma) for tree in trees]) / (sigma - to).abs().sqrt()
            assert torch.equal(noise(sigma.item(), to.item()), drawn)


def test_equals_it_over_the_whole_range_of_pure_noise_and_of_a_thousand_steps():
    for low, high, count in ((0.0291675, 4518.7637, 20), (0.0291675, 14.6146, 1000)):
        times = torch.linspace(low, high, count).tolist()
        ours, theirs = path(3, low, high), torchsde.BrownianTree(low, torch.zeros(SHAPE), high, entropy=3)
        for start, end in pairwise(times[:: count // 20]):
            assert torch.equal(ours.increment(start, end), theirs(start, end))


def test_draws_from_the_nvidia_stream_as_a1111_makes_torchsde_do(monkeypatch):
    def randn(size, dtype, device, seed):
        return torch.from_numpy(PhiloxGenerator(int(seed)).randn(size))

    monkeypatch.setattr("torchsde._brownian.brownian_interval._randn", randn)
    tree = torchsde.BrownianTree(0.03, torch.zeros(SHAPE), 14.6, entropy=5)
    assert torch.equal(picture(5, "NV").path(0.03, 14.6).increment(1.5, 2.25), tree(1.5, 2.25))


def test_is_the_same_in_whatever_order_it_is_asked():
    times = [0.03, 0.2, 0.2000005, 1.0, 3.7, 9.1, 14.6]
    questions = [(start, end) for i, start in enumerate(times) for end in times[i + 1 :]]
    asked_in_order = path()
    answers = {question: asked_in_order.increment(*question) for question in questions}
    random.Random(0).shuffle(questions)
    shuffled = path()
    assert all(torch.equal(shuffled.increment(*question), answers[question]) for question in questions)


def test_increments_sum_up():
    one = path()
    parts = one.increment(0.5, 2.0) + one.increment(2.0, 7.0)
    torch.testing.assert_close(parts, one.increment(0.5, 7.0), atol=1e-5, rtol=0)


def test_is_of_unit_variance_and_independent_where_intervals_do_not_overlap():
    noise = BrownianNoise([path(shape=(4, 64, 64))])
    one, next_one, both = noise(14.6, 9.0), noise(9.0, 2.0), noise(14.6, 2.0)
    for drawn in (one, next_one, both):
        assert drawn.mean().item() == pytest.approx(0, abs=0.03)
        assert drawn.std().item() == pytest.approx(1, abs=0.03)
    assert (one * next_one).mean().item() == pytest.approx(0, abs=0.03)
    assert (one * both).mean().item() == pytest.approx(math.sqrt(5.6 / 12.6), abs=0.03)


def test_a_picture_has_the_same_path_alone_and_in_a_batch():
    levels = [14.6, 3.0, 0.5, 0.03, 0.0]
    together = BatchNoise([picture(seed, "NV") for seed in (4, 1, 9)]).brownian(levels)
    drawn = [together(14.6, 3.0), together(3.0, 0.5)]
    alone = BatchNoise([picture(1, "NV")]).brownian(levels)
    assert torch.equal(alone(3.0, 0.5)[0], drawn[1][1])
    assert torch.equal(alone(14.6, 3.0)[0], drawn[0][1])


def test_comes_from_the_seed_whatever_else_is_drawn():
    """Variations share their path, and ENSD does not touch it, as in A1111."""
    plain = picture().path(0.03, 14.6).increment(1, 2)
    other = picture(ensd=31337, variation_seed=5, variation_strength=0.5)
    other.next()
    assert torch.equal(other.path(0.03, 14.6).increment(1, 2), plain)
    assert not torch.equal(picture(2).path(0.03, 14.6).increment(1, 2), plain)


def test_draws_few_numbers_and_keeps_few():
    draws = []

    def unit_noise(seed):
        draws.append(seed)
        return torch.zeros(1)

    one = BrownianPath(1, 0.0291675, 14.6146, unit_noise)
    levels = find_schedule("Karras").sigmas(150, MODEL)[:-1]
    for sigma, sigma_next in pairwise(levels):
        one.increment(sigma_next, sigma)
        assert len(one._left_halves) <= 2 * 25
    assert len(draws) <= 25 * len(levels)
    assert len(set(draws)) > len(draws) * 0.9, "what the last question needed is still known at the next"


def test_stands_still_beyond_its_ends_and_between_equal_levels():
    one = path()
    assert torch.equal(one.increment(-3, 20), one.increment(0.03, 14.6))
    assert not one.increment(15, 20).any()
    assert not BrownianNoise([one])(2.0, 2.0).any()


def test_lies_between_the_last_level_above_0_and_the_first():
    assert bounds((14.6146, 3.0, 0.0291675, 0.0)) == pytest.approx((0.0291675, 14.6146), rel=1e-7)
