"""SD upscale on the starter: one tile is img2img, many leave no seam, and memory stays that of one."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from webui.domain.events import Preview, Step
from webui.domain.request import GenerationRequest
from webui.domain.sizes import Size
from webui.domain.tile_grid import tile_rows
from webui.engine.drawn import Drawn
from webui.engine.generate import Options, Sources, generate_batch
from webui.engine.tiled_upscale import _joined

REQUEST = GenerationRequest(
    prompt="a red circle on a blue background",
    init_image="here",
    sd_upscale=True,
    sd_upscale_overlap=32,
    width=128,
    height=128,
    cfg_scale=2.5,
    steps=10,
    denoising_strength=0.3,
    seed=3,
)


def source(side: int = 128) -> Image.Image:
    """A red disc on blue."""
    y, x = np.mgrid[:side, :side]
    inside = (x - side / 2) ** 2 + (y - side / 2) ** 2 < (side / 3) ** 2
    return Image.fromarray(np.where(inside[..., None], (215, 40, 45), (45, 85, 205)).astype(np.uint8))


def events(starter_models, request, picture, preview="off"):
    models, selection = starter_models
    options = Options(preview=preview, preview_every=3)
    return list(generate_batch(request, 0, models, selection, options, Sources(picture)))


def draw(starter_models, request, picture):
    return [event.image for event in events(starter_models, request, picture) if isinstance(event, Drawn)]


def test_one_tile_is_plain_img2img_of_the_enlarged_picture(starter_models):
    picture = source(64)
    (tiled,) = draw(starter_models, REQUEST, picture)
    large = picture.resize((128, 128), Image.Resampling.LANCZOS)
    (plain,) = draw(starter_models, replace(REQUEST, sd_upscale=False), large)
    assert tiled.tobytes() == plain.tobytes()


def test_four_tiles_of_seeds_that_follow_one_another_leave_no_seam(starter_models):
    """Along the edges of tiles neighbouring pixels differ no more than elsewhere in the ground."""
    request = replace(REQUEST, sd_upscale_by=1.75)
    happened = events(starter_models, request, source(), preview="linear")
    drawn = next(event.image for event in happened if isinstance(event, Drawn))
    assert drawn.size == (224, 224)
    steps = [event for event in happened if isinstance(event, Step)]
    assert [event.batch for event in steps] == [tile for tile in range(4) for _ in range(len(steps) // 4)]
    assert {event.batches for event in steps} == {4}
    previews = [event for event in happened if isinstance(event, Preview)]
    assert all(Image.open(io.BytesIO(event.jpeg)).size == (224, 224) for event in previews)

    pixels = np.asarray(drawn, float)
    across = np.abs(np.diff(pixels, axis=1)).mean((0, 2))
    down = np.abs(np.diff(pixels, axis=0)).mean((1, 2))
    edges = [95, 96, 127, 128]  # where the second tile begins, and where the first ends
    for differences in (across, down):
        within = np.delete(differences, edges)
        assert differences[edges].mean() <= within.mean() and differences[edges].max() <= np.percentile(within, 90)
    # and it is the picture still
    before = np.asarray(source().resize((224, 224), Image.Resampling.LANCZOS), float)
    assert np.abs(pixels - before).mean() < 25


def test_pictures_of_a_batch_are_those_that_their_seeds_draw_alone(starter_models):
    request = replace(REQUEST, sd_upscale_by=1.5, batch_size=2, steps=4)
    both = draw(starter_models, request, source())
    assert both[0] != both[1]
    assert [draw(starter_models, request.picture(index), source())[0] for index in range(2)] == both


def test_at_strength_0_it_is_the_enlarged_picture(starter_models):
    request = replace(REQUEST, denoising_strength=0.0)
    (drawn,) = draw(starter_models, request, source())
    assert drawn.tobytes() == source().resize((256, 256), Image.Resampling.LANCZOS).tobytes()


def test_the_network_never_sees_more_than_a_tile(starter_models):
    models, selection = starter_models
    with models.use(selection) as model:
        seen = set()
        hook = model.unets[0].register_forward_pre_hook(
            lambda module, args, kwargs: seen.add(tuple((args or (kwargs["sample"],))[0].shape[-2:])), with_kwargs=True
        )
        try:
            draw(starter_models, replace(REQUEST, sd_upscale_by=4, steps=2), source(64))
        finally:
            hook.remove()
    assert seen == {(16, 16)}


@pytest.mark.parametrize(("overlap", "shares"), [(0, [1, 1, 1, 1]), (2, [0, 0.5, 1, 1]), (4, [0, 0.25, 0.5, 0.75])])
def test_neighbours_go_over_into_one_another_evenly(overlap, shares):
    size, tile = Size(16 - overlap, 8), Size(8, 8)
    rows = tile_rows(size, tile, overlap)
    black, white = Image.new("RGB", tile), Image.new("RGB", tile, "white")
    joined = np.asarray(_joined(rows, [black, white], size, overlap), float)[3, :, 0] / 255
    begin = rows[0][1].left
    assert joined[begin : begin + 4] == pytest.approx(shares, abs=0.01) and joined[begin - 1] == 0
