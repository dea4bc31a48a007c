"""The numbers are those of AUTOMATIC1111's web UI 1.10."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webui.domain.sizes import (
    RATIOS,
    Box,
    Extension,
    HiresTarget,
    Placement,
    Size,
    crop_and_resize,
    hires_target,
    masked_region,
    old_first_pass_size,
    on_grid,
    resize_and_fill,
    size_of_ratio,
)

LENGTHS = st.integers(1, 4096)
SIZES = st.builds(Size, LENGTHS, LENGTHS)


@pytest.mark.parametrize(("pixels", "rounded"), [(512, 512), (515.9, 512), (516, 520), (665.6, 664), (1, 8), (0, 8)])
def test_on_grid(pixels, rounded):
    assert on_grid(pixels) == rounded


class TestRatios:
    @pytest.mark.parametrize(
        ("ratio", "native", "size"),
        [
            ((1, 1), 512, (512, 512)),
            ((16, 9), 512, (680, 384)),
            ((3, 2), 512, (624, 416)),
            ((16, 9), 1024, (1368, 768)),
        ],
    )
    def test_size(self, ratio, native, size):
        assert size_of_ratio(*ratio, native) == size

    @pytest.mark.parametrize("ratio", RATIOS)
    @pytest.mark.parametrize("native", [256, 512, 768, 1024])
    def test_ratio_and_area_are_kept_nearly(self, ratio, native):
        size = size_of_ratio(*ratio, native)
        assert size.width % 8 == size.height % 8 == 0
        assert size.width / size.height == pytest.approx(ratio[0] / ratio[1], rel=0.04)
        assert size.width * size.height == pytest.approx(native**2, rel=0.04)
        assert size_of_ratio(ratio[1], ratio[0], native) == size.swapped()

    def test_a_coarser_grid(self):
        assert size_of_ratio(16, 9, 512, multiple=64) == (704, 384)


class TestResizing:
    def test_crop(self):
        assert crop_and_resize(Size(800, 600), Size(512, 512)) == Placement(682, 512, -85, 0)
        assert crop_and_resize(Size(600, 800), Size(512, 512)) == Placement(512, 682, 0, -85)

    def test_fill(self):
        assert resize_and_fill(Size(800, 600), Size(512, 512)) == Placement(512, 384, 0, 64)
        assert resize_and_fill(Size(600, 800), Size(512, 512)) == Placement(384, 512, 64, 0)

    @given(SIZES)
    def test_the_same_ratio_is_only_scaled(self, size):
        doubled = Size(size.width * 2, size.height * 2)
        assert crop_and_resize(size, doubled) == resize_and_fill(size, doubled) == (*doubled, 0, 0)

    @given(SIZES, SIZES)
    def test_crop_covers_the_target(self, picture, target):
        placed = crop_and_resize(picture, target)
        assert placed.width >= target.width and placed.height >= target.height
        assert placed.x <= 0 and placed.y <= 0
        assert placed.x + placed.width >= target.width and placed.y + placed.height >= target.height

    @given(SIZES, SIZES)
    def test_fill_stays_inside_the_target(self, picture, target):
        placed = resize_and_fill(picture, target)
        assert 1 <= placed.width <= target.width and 1 <= placed.height <= target.height
        assert placed.width == target.width or placed.height == target.height
        assert placed.x >= 0 and placed.y >= 0
        assert placed.x + placed.width <= target.width and placed.y + placed.height <= target.height


class TestHires:
    @pytest.mark.parametrize(
        ("first", "options", "target"),
        [
            ((512, 512), {"scale": 2}, (1024, 1024, 0, 0)),
            ((512, 768), {"scale": 1.5}, (768, 1152, 0, 0)),
            ((512, 512), {"scale": 1.3}, (665, 665, 0, 0)),
            ((512, 768), {"resize_to": (1024, 0)}, (1024, 1536, 0, 0)),
            ((512, 768), {"resize_to": (0, 1024)}, (682, 1024, 0, 0)),
            ((512, 768), {"resize_to": (1024, 1024)}, (1024, 1536, 0, 64)),
            ((512, 512), {"resize_to": (1024, 768)}, (1024, 1024, 0, 32)),
            ((512, 512), {"resize_to": (768, 1024)}, (1024, 1024, 32, 0)),
        ],
    )
    def test_target(self, first, options, target):
        assert hires_target(Size(*first), **options) == HiresTarget(*target)

    @pytest.mark.parametrize(
        ("first", "options", "picture"),
        [
            ((512, 512), {"scale": 1.3}, (664, 664)),
            ((512, 768), {"resize_to": (0, 1024)}, (680, 1024)),
            ((512, 768), {"resize_to": (1024, 1024)}, (1024, 1024)),
            ((512, 512), {"resize_to": (1024, 768)}, (1024, 768)),
        ],
    )
    def test_picture(self, first, options, picture):
        assert hires_target(Size(*first), **options).picture == picture

    @pytest.mark.parametrize(
        ("target", "first"), [((1024, 1024), (512, 512)), ((1024, 768), (640, 448)), ((1920, 1080), (704, 384))]
    )
    def test_first_pass_of_old_pictures(self, target, first):
        assert old_first_pass_size(Size(*target)) == first


class TestOnlyMasked:
    @pytest.mark.parametrize(
        ("picture", "mask", "padding", "region"),
        [
            ((512, 512), (100, 120, 200, 160), 32, (68, 58, 232, 222)),
            ((1024, 768), (960, 700, 1024, 768), 32, (924, 668, 1024, 768)),
            ((800, 600), (100, 100, 228, 132), 0, (100, 52, 228, 180)),
        ],
    )
    def test_region(self, picture, mask, padding, region):
        assert masked_region(Box(*mask), padding, Size(*picture), Size(512, 512)) == region

    def test_a_region_wider_than_the_picture_is_all_of_it(self):
        assert masked_region(Box(0, 0, 100, 100), 0, Size(100, 100), Size(1024, 512)) == (0, 0, 100, 100)

    @given(SIZES, SIZES, st.integers(0, 256), st.data())
    def test_holds_the_mask_and_stays_in_the_picture(self, picture, drawn, padding, data):
        left = data.draw(st.integers(0, picture.width - 1))
        top = data.draw(st.integers(0, picture.height - 1))
        right = data.draw(st.integers(left + 1, picture.width))
        bottom = data.draw(st.integers(top + 1, picture.height))
        region = masked_region(Box(left, top, right, bottom), padding, picture, drawn)
        assert 0 <= region.left <= left and right <= region.right <= picture.width
        assert 0 <= region.top <= top and bottom <= region.bottom <= picture.height


class TestExtending:
    def test_canvas(self):
        assert Extension(64, 0, 8, 128).canvas(Size(512, 384)) == (576, 520)

    @pytest.mark.parametrize(
        ("extension", "kept"),
        [
            (Extension(), (0, 0, 90, 60)),
            (Extension(left=64), (72, 0, 154, 60)),
            (Extension(right=64), (0, 0, 82, 60)),
            (Extension(64, 64, 32, 32), (72, 40, 146, 84)),
        ],
    )
    def test_only_the_sides_that_grow_are_drawn_over(self, extension, kept):
        assert extension.kept(Size(90, 60), overlap=8) == kept

    @given(SIZES, st.builds(Extension, LENGTHS, LENGTHS, LENGTHS, LENGTHS), st.integers(0, 512))
    def test_something_of_the_picture_stays(self, picture, extension, overlap):
        kept, canvas = extension.kept(picture, overlap), extension.canvas(picture)
        assert 0 <= kept.left < kept.right <= canvas.width
        assert 0 <= kept.top < kept.bottom <= canvas.height
