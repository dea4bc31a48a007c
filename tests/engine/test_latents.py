from __future__ import annotations

import io

import pytest
import torch
from PIL import Image
from tiny import tiny_components

from webui.engine.latents import decode, fit_preview, linear_preview, preview_jpeg, to_images


def test_pixels_are_truncated_to_8_bits_as_a1111_does():
    pixels = torch.tensor([-2.0, -1.0, 0.0, 0.999, 1.0, 3.0]).reshape(1, 1, 1, 6).expand(1, 3, 1, 6)
    image = to_images(pixels)[0]
    assert [image.getpixel((x, 0))[0] for x in range(6)] == [0, 0, 127, 254, 255, 255]


def test_a_decoded_picture_does_not_depend_on_its_batch():
    vae = tiny_components()["vae"]
    latents = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(decode(vae, latents, tiled=False)[1:2], decode(vae, latents[1:2], tiled=False))


def test_a_picture_decoded_in_strips_is_the_whole_picture():
    vae = tiny_components()["vae"]
    latents = torch.randn(2, 4, 20, 12, generator=torch.Generator().manual_seed(0))
    whole, tiled = decode(vae, latents, tiled=False), decode(vae, latents, tiled=True)
    assert tiled.shape == whole.shape == (2, 3, 160, 96)
    assert torch.allclose(tiled, whole, atol=2e-5)


def test_a_preview_sheet_shows_every_picture_of_the_batch():
    colours = torch.tensor([[1.0, -1, -1], [-1, 1, -1], [-1, -1, 1], [1, 1, 1]])[:, :, None, None].expand(4, 3, 8, 8)
    sheet = Image.open(io.BytesIO(preview_jpeg(colours, 64, 64)))
    assert sheet.size == (128, 128)
    brightest = [max(range(3), key=sheet.getpixel(place).__getitem__) for place in ((32, 32), (96, 32), (32, 96))]
    assert brightest == [0, 1, 2]


def test_a_preview_is_no_larger_than_512_a_side():
    sheet = Image.open(io.BytesIO(preview_jpeg(torch.zeros(1, 3, 96, 64), 1024, 1536)))
    assert sheet.size == (341, 512)


@pytest.fixture(scope="module")
def starter_vae(starter, tmp_path_factory):
    from webui.engine.device import Hardware, choose_compute
    from webui.engine.model_manager import ModelManager, Selection
    from webui.library.index import Library

    library = Library({"checkpoint": (starter.parent,)}, tmp_path_factory.mktemp("hashes") / "hashes.sqlite3")
    library.rescan()
    models = ModelManager(choose_compute("cpu", "auto", Hardware()), 2**33)
    selection = Selection(library.find("checkpoint", "lucid-starter"))
    list(models.load(selection))
    with models.use(selection) as model:
        yield model.vae


def test_fitted_previews_have_the_colours_of_the_picture(starter_vae):
    """The starter's latents are not SD 1.5's, so its factors are fitted; they must tell plain colours apart."""
    factors = fit_preview(starter_vae)
    names = {"red": (0.9, -0.8, -0.8), "green": (-0.7, 0.6, -0.6), "blue": (-0.7, -0.5, 0.8), "white": (1.0, 1.0, 1.0)}
    for name, colour in names.items():
        picture = torch.tensor(colour, dtype=torch.float32).reshape(1, 3, 1, 1).expand(1, 3, 64, 64)
        with torch.no_grad():
            latents = starter_vae.encode(picture).latent_dist.mean * starter_vae.config.scaling_factor
        seen = linear_preview(latents, factors).mean(dim=(0, 2, 3))
        assert torch.dist(seen, torch.tensor(colour, dtype=torch.float32)) < 0.5, (name, seen)
