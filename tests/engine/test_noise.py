"""The numbers are those of AUTOMATIC1111's web UI 1.10 and of torch."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from webui.domain.request import GenerationRequest
from webui.engine.noise import BatchNoise, PictureNoise, generator, paste_centred, slerp
from webui.engine.philox import PhiloxGenerator

CPU = torch.device("cpu")
SHAPE = (4, 8, 8)


def noise(seed=1, shape=SHAPE, **options):
    return PictureNoise(seed, shape, CPU, **options)


def float32(text):
    return np.array([float(value) for value in text.split()], dtype=np.float32)


class TestNvidiasStream:
    def test_seed_0(self):
        """The first draw as A1111 quotes it from CUDA, the second as its own arithmetic gives it."""
        stream = PhiloxGenerator(0)
        first = float32(
            "-0.92466259 -0.42534415 -2.6438457 0.14518388 -0.12086647 -0.57972564 -0.62285122 -0.32838709 "
            "-1.07454231 -0.36314407 -1.67105067 2.26550497"
        )
        assert stream.randn((3, 4)) == pytest.approx(first.reshape(3, 4), abs=3e-7)
        assert np.array_equal(stream.randn((4,)), float32("0.18082589 -0.55226272 0.92381340 -0.73497033"))

    @pytest.mark.parametrize(
        ("seed", "values"),
        [
            (42, "0.19401887 2.16137385 -0.17205095 0.84906000"),
            (2**32 - 1, "-0.03415844 0.39044499 1.52723527 0.18699038"),
        ],
    )
    def test_other_seeds(self, seed, values):
        assert PhiloxGenerator(seed).randn((4,)) == pytest.approx(float32(values), rel=0, abs=5e-9)

    def test_a_whole_latent(self):
        drawn = PhiloxGenerator(42).randn((4, 64, 64))
        assert drawn.dtype == np.float32
        assert drawn.mean(dtype=np.float64) == pytest.approx(0.00310879, abs=5e-9)
        assert drawn.std() == pytest.approx(0.99689680, abs=5e-9)
        assert np.array_equal(drawn.reshape(-1)[-4:], float32("0.54676837 -0.14494470 -0.95267481 0.08298858"))

    def test_seeds_of_64_bits_use_them_all(self):
        low, high = PhiloxGenerator(5).randn((4,)), PhiloxGenerator(5 + 2**32).randn((4,))
        assert not np.array_equal(low, high)


def test_torchs_cpu_stream():
    drawn = noise(42, (4, 64, 64), source="CPU").first()
    assert drawn.flatten()[:4].tolist() == pytest.approx([1.9269152880, 1.4872840643, 0.9007171988, -2.1055209637])
    assert torch.equal(drawn, torch.randn(4, 64, 64, generator=torch.Generator().manual_seed(42)))


def test_the_devices_own_stream_on_a_cpu_is_torchs_cpu_stream():
    assert torch.equal(noise(source="GPU").first(), noise(source="CPU").first())


def test_an_unknown_source_is_refused():
    with pytest.raises(ValueError, match="NV, CPU or GPU"):
        generator(1, "TPU", CPU)


@pytest.mark.parametrize("source", ["NV", "CPU", "GPU"])
class TestOnePicture:
    def test_is_reproducible_and_uses_no_global_seed(self, source):
        state = torch.get_rng_state()
        one, other = noise(source=source), noise(source=source)
        assert torch.equal(one.first(), other.first()) and torch.equal(one.next(), other.next())
        assert torch.equal(torch.get_rng_state(), state)
        assert one.first().shape == SHAPE and one.first().dtype == torch.float32

    def test_the_stream_goes_on_after_the_first_noise(self, source):
        stream = generator(1, source, CPU)
        expected = [stream(SHAPE) for _ in range(3)]
        drawn = noise(source=source)
        assert all(map(torch.equal, [drawn.first(), drawn.next(), drawn.next()], expected))

    def test_the_first_noise_is_the_same_whenever_it_is_asked_for(self, source):
        drawn, late = noise(source=source), noise(source=source)
        following = late.next()
        assert torch.equal(late.first(), drawn.first()) and torch.equal(following, drawn.next())

    def test_is_the_same_alone_and_in_a_batch(self, source):
        seeds = [3, 1, 2]
        batch = BatchNoise([noise(seed, source=source) for seed in seeds])
        first, second = batch.first(), batch.next()
        for place, seed in enumerate(seeds):
            alone = noise(seed, source=source)
            assert torch.equal(first[place], alone.first()) and torch.equal(second[place], alone.next())

    def test_ensd_restarts_from_another_seed(self, source):
        shifted = noise(source=source, ensd=31337)
        assert torch.equal(shifted.first(), noise(source=source).first())
        assert torch.equal(shifted.next(), noise(1 + 31337, source=source).first())

    def test_the_largest_seed_works(self, source):
        assert torch.isfinite(noise(2**63 - 1, source=source, ensd=2**32 - 1).next()).all()


class TestVariation:
    def test_equals_a1111s(self):
        mixed = noise(1, variation_seed=2, variation_strength=0.3).first()
        expected = [-0.25661898, 2.40031981, 0.19656272, -0.88753700]
        assert mixed.flatten()[:4].tolist() == pytest.approx(expected, abs=1e-6)
        assert mixed.std().item() == pytest.approx(1.018057, abs=1e-6)

    def test_strength_1_is_the_variation_seeds_noise(self):
        mixed = noise(1, variation_seed=2, variation_strength=1.0).first()
        assert torch.allclose(mixed, noise(2).first(), atol=1e-5)

    def test_the_sampling_noise_stays_the_seeds(self):
        assert torch.equal(noise(1, variation_seed=2, variation_strength=0.3).next(), noise(1).next())

    def test_equal_noises_are_mixed_the_other_way_round(self):
        low = noise(1).first()
        assert torch.allclose(slerp(0.25, low, low * 2), low * 0.25 + low * 2 * 0.75)

    @given(st.floats(0, 1), st.integers(1, 3))
    def test_is_finite_for_any_size(self, strength, height):
        shape = (1, height, 5)
        assert torch.isfinite(slerp(strength, noise(1, shape).first(), noise(2, shape).first())).all()


class TestResizedSeed:
    def test_smaller_noise_stands_in_the_middle(self):
        drawn = noise(1, (4, 16, 12), resize_from=(8, 8)).first()
        canvas = noise(1, (4, 16, 12)).first()
        assert torch.equal(drawn[:, 4:12, 2:10], noise(1, (4, 8, 8)).first())
        assert torch.equal(drawn[:, :4], canvas[:, :4]) and torch.equal(drawn[:, :, 10:], canvas[:, :, 10:])

    def test_larger_noise_is_cut_to_its_middle(self):
        drawn = noise(1, (4, 8, 8), resize_from=(12, 8)).first()
        assert torch.equal(drawn, noise(1, (4, 12, 8)).first()[:, 2:10])

    def test_the_same_size_changes_nothing(self):
        assert torch.equal(noise(1, resize_from=(8, 8)).first(), noise(1).first())

    def test_a_variation_is_drawn_at_the_other_size_too(self):
        drawn = noise(1, (4, 16, 16), resize_from=(8, 8), variation_seed=2, variation_strength=0.3).first()
        mixed = noise(1, variation_seed=2, variation_strength=0.3).first()
        assert torch.equal(drawn[:, 4:12, 4:12], mixed)

    @given(*[st.integers(1, 12)] * 4)
    def test_any_two_sizes_go_together(self, inner_height, inner_width, height, width):
        result = paste_centred(torch.ones(1, inner_height, inner_width), torch.zeros(1, height, width))
        assert result.shape == (1, height, width)
        if inner_height <= height and inner_width <= width:
            assert result.sum() == inner_height * inner_width


def test_noise_of_a_request():
    request = GenerationRequest(
        width=128,
        height=64,
        seed=7,
        variation_seed=9,
        variation_strength=0.5,
        seed_resize_width=64,
        seed_resize_height=72,
        ensd=5,
        rng="CPU",
        batch_size=2,
    )
    drawn = PictureNoise.of(request.picture(1), 4, CPU)
    options = {"variation_seed": 10, "variation_strength": 0.5, "resize_from": (9, 8), "ensd": 5, "source": "CPU"}
    expected = noise(7, (4, 8, 16), **options)
    assert torch.equal(drawn.first(), expected.first()) and torch.equal(drawn.next(), expected.next())


def test_seed_resize_needs_both_sides():
    request = GenerationRequest(width=128, height=64, seed=7, seed_resize_width=64)
    assert torch.equal(PictureNoise.of(request, 4, CPU).first(), noise(7, (4, 8, 16)).first())
