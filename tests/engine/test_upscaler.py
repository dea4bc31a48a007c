from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file
from spandrel.architectures.Compact import Compact
from spandrel.architectures.ESRGAN import ESRGAN
from spandrel.architectures.SPAN import SPAN
from spandrel.architectures.SwinIR import SwinIR

from webui.domain.events import Loading
from webui.engine.memory import Budgets
from webui.engine.upscaler import MARGIN, Upscaler
from webui.errors import IncompatibleModel, NumericalFailure, UnreadableModel, UnsafeModel
from webui.library.index import Library


def compact(scale=2, seed=0, **options):
    """Real-ESRGAN's small network for videos: as many convolutions one after another, so it looks a few pixels far."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Compact(num_feat=8, num_conv=3, upscale=scale, **options)


def random_network(build, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build()


ARCHITECTURES = {
    "ESRGAN": (lambda: ESRGAN(num_filters=8, num_blocks=1, scale=4), 4),
    "Compact": (lambda: compact(2), 2),
    "SPAN": (lambda: SPAN(num_in_ch=3, num_out_ch=3, feature_channels=12, upscale=2), 2),
    "SwinIR": (
        lambda: SwinIR(
            img_size=16, window_size=8, embed_dim=12, depths=[2], num_heads=[2], upscale=2, upsampler="pixelshuffle"
        ),
        2,
    ),
}


def saved(folder, network, name="net", wrapper=""):
    folder.mkdir(exist_ok=True)
    save_file(
        {wrapper + key: tensor.contiguous() for key, tensor in network.state_dict().items()},
        folder / f"{name}.safetensors",
    )


def library_of(folder):
    folder.mkdir(exist_ok=True)
    library = Library({"upscaler": (folder,)}, folder / "hashes.sqlite3")
    library.rescan()
    return library


def brought(models, library, name="net") -> Upscaler:
    file = library.find("upscaler", name)
    list(models.load_upscalers([file]))
    return models.upscaler(file)


def enlarged(upscaler, pixels, **options):
    working = upscaler.enlarge(pixels, **options)
    told = []
    while True:
        try:
            told.append(next(working))
        except StopIteration as finished:
            return finished.value, told


@pytest.mark.filterwarnings("ignore:torch.meshgrid:UserWarning")  # SwinIR
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_each_architecture_is_recognised_and_runs_as_the_network_itself_does(name, models, tmp_path):
    build, scale = ARCHITECTURES[name]
    network = random_network(build).eval()
    saved(tmp_path / "up", network, wrapper="params_ema.")
    library = library_of(tmp_path / "up")
    assert library.files("upscaler")[0].problem == ""
    upscaler = brought(models, library)
    assert name in upscaler.architecture and upscaler.scale == scale
    pixels = torch.rand(3, 24, 32)
    result, told = enlarged(upscaler, pixels)
    with torch.inference_mode():
        assert torch.allclose(result, network(pixels[None])[0].clamp(0, 1), atol=1e-6)
    assert told == [(1, 1)]


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_is_read_without_being_opened(legacy, models, tmp_path):
    folder = tmp_path / "up"
    folder.mkdir()
    network = compact()
    content = {"params": compact(seed=9).state_dict(), "params_ema": network.state_dict(), "iter": 5000}
    torch.save(content, folder / "net.pth", _use_new_zipfile_serialization=not legacy)
    upscaler = brought(models, library_of(folder))
    pixels = torch.rand(3, 8, 8)
    with torch.inference_mode():  # of the two sets of weights, the averaged
        assert torch.allclose(enlarged(upscaler, pixels)[0], network(pixels[None])[0].clamp(0, 1), atol=1e-6)


def test_a_pickle_that_runs_code_is_refused(models, tmp_path):
    class Hostile:
        def __reduce__(self):
            return print, ("opened!",)

    folder = tmp_path / "up"
    folder.mkdir()
    torch.save({"params": Hostile()}, folder / "net.pth")
    with pytest.raises((UnsafeModel, UnreadableModel), match=r"net\.pth"):
        library_of(folder).find("upscaler", "net")


def test_tiles_equal_the_whole_picture_where_the_network_looks_no_further_than_they_overlap(models, tmp_path):
    saved(tmp_path / "up", compact(scale=2))  # five convolutions: 5 pixels far
    upscaler = brought(models, library_of(tmp_path / "up"))
    pixels = torch.rand(3, 150, 199)
    whole, _ = enlarged(upscaler, pixels, tile=512)
    tiled, told = enlarged(upscaler, pixels, tile=64)
    assert [done for done, _ in told] == list(range(1, 13)) and {total for _, total in told} == {12}
    assert torch.allclose(tiled, whole, atol=2e-6)


def test_where_the_network_looks_at_everything_tiles_still_meet_without_a_seam(models, tmp_path):
    network = random_network(lambda: ESRGAN(num_filters=8, num_blocks=3, scale=2))
    saved(tmp_path / "up", network)
    upscaler = brought(models, library_of(tmp_path / "up"))
    y, x = torch.meshgrid(torch.linspace(0, 1, 80), torch.linspace(0, 1, 112), indexing="ij")
    pixels = torch.stack((x, y, (x + y) / 2))
    whole, _ = enlarged(upscaler, pixels, tile=512)
    tiled, _ = enlarged(upscaler, pixels, tile=64)
    steps_tiled, steps_whole = (image.diff(dim=2).abs() for image in (tiled, whole))
    edge = slice(2 * (64 - MARGIN), 2 * (64 + MARGIN))
    assert steps_tiled[:, :, edge].max() < steps_whole[:, :, edge].max() + 1e-3


def test_a_network_for_grey_pictures_takes_each_colour_for_one(models, tmp_path):
    network = compact(num_in_ch=1, num_out_ch=1)
    saved(tmp_path / "up", network)
    upscaler = brought(models, library_of(tmp_path / "up"))
    pixels = torch.rand(3, 8, 8)
    with torch.inference_mode():
        assert torch.allclose(enlarged(upscaler, pixels)[0], network(pixels[:, None])[:, 0].clamp(0, 1), atol=1e-6)


def test_what_is_loaded_is_kept_and_told_and_let_go_under_the_budget(models, tmp_path):
    saved(tmp_path / "up", compact(seed=1), "one")
    saved(tmp_path / "up", compact(seed=2), "two")
    library = library_of(tmp_path / "up")
    one, two = library.find("upscaler", "one"), library.find("upscaler", "two")
    assert next(event for event in models.load_upscalers([one])) == Loading("loading one", 0.0)
    list(models.load_upscalers([one]))
    first = models.upscaler(one)
    assert list(models.load_upscalers([one])) == [] and models.upscaler(one) is first
    models.held.budgets = Budgets(first.size)
    list(models.load_upscalers([two]))
    assert models.loaded_bytes == models.upscaler(two).size


def test_other_networks_are_refused_with_a_sentence(models, tmp_path):
    folder = tmp_path / "up"
    folder.mkdir()
    save_file({"something.weight": torch.zeros(3)}, folder / "unknown.safetensors")
    broken = compact().state_dict()
    broken["body.2.weight"] = torch.zeros(3, 3)
    save_file(broken, folder / "broken.safetensors")
    saved(folder, compact(num_in_ch=6), "six")
    library = library_of(folder)
    with pytest.raises(IncompatibleModel, match="not of an upscaling architecture"):
        brought(models, library, "unknown")
    with pytest.raises(UnreadableModel, match="do not fit together"):
        brought(models, library, "broken")
    with pytest.raises(IncompatibleModel, match="does not turn a colour picture"):
        brought(models, library, "six")


def test_numbers_that_are_none_are_told(models, tmp_path):
    network = compact()
    with torch.no_grad():
        network.body[0].bias.fill_(float("nan"))
    saved(tmp_path / "up", network)
    upscaler = brought(models, library_of(tmp_path / "up"))
    with pytest.raises(NumericalFailure, match=r"net\.safetensors"):
        enlarged(upscaler, torch.rand(3, 8, 8))
