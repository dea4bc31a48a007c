from __future__ import annotations

import pytest
import torch
from diffusers import AutoencoderTiny
from safetensors.torch import save_file

from webui.domain.events import Preview
from webui.domain.request import GenerationRequest
from webui.engine.generate import Options, generate_batch
from webui.engine.latents import tiny_preview
from webui.engine.model_manager import Selection
from webui.library.index import Library


@pytest.fixture(scope="module")
def taesd() -> AutoencoderTiny:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return AutoencoderTiny().eval()


def as_published(state):
    """The published file is one list that begins with the clamp, so each number is one higher."""
    decoder = {key: tensor for key, tensor in state.items() if key.startswith("decoder.layers.")}
    renamed = {}
    for key, tensor in decoder.items():
        number, rest = key.removeprefix("decoder.layers.").split(".", 1)
        renamed[f"{int(number) + 1}.{rest}"] = tensor
    return renamed


@pytest.mark.parametrize("layout", [as_published, dict])
def test_both_layouts_give_diffusers_preview(models, tiny_library, taesd, tmp_path, layout):
    save_file(layout(taesd.state_dict()), tmp_path / "taesd_decoder.safetensors")
    library = Library({"taesd": (tmp_path,)}, tmp_path / "hashes.sqlite3")
    library.rescan()
    file = library.find("taesd", "taesd_decoder")
    selection = Selection(tiny_library.find("checkpoint", "a"), taesd=file)
    list(models.load(selection))
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    with models.use(selection) as model, torch.no_grad():
        torch.testing.assert_close(tiny_preview(model.taesd, latents), taesd.decode(latents).sample)

    request = GenerationRequest(prompt="a cat", width=64, height=64, steps=3, seed=1)
    happened = list(generate_batch(request, 0, models, selection, Options(preview="taesd")))
    assert sum(isinstance(event, Preview) for event in happened) == 2
