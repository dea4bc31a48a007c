from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from spandrel.architectures.Compact import Compact

from webui.domain.enlarging import EnlargeRequest
from webui.domain.infotext import write
from webui.domain.request import GenerationRequest
from webui.errors import InvalidRequest, ModelNotFound
from webui.jobs.pictures import read_infotext
from webui.runtime import MODEL_FOLDERS, Runtime
from webui.settings import Settings


@pytest.fixture
def runtime(tmp_path: Path):
    for folder in MODEL_FOLDERS.values():
        (tmp_path / "models" / folder).mkdir(parents=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_file(
            Compact(num_feat=8, num_conv=3, upscale=2).state_dict(),
            tmp_path / "models" / "upscalers" / "Twice.safetensors",
        )
    runtime = Runtime(Settings(data_dir=tmp_path, device="cpu"))
    runtime.start()
    yield runtime
    runtime.close()


def png(colour: str, size=(24, 16)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "PNG")
    return file.getvalue()


def test_pictures_are_enlarged_saved_and_found_again(runtime: Runtime) -> None:
    ids = [runtime.add_input(png(colour)) for colour in ("red", "blue")]
    source = write(GenerationRequest(prompt="a red sun", seed=7), version="1")
    asked = EnlargeRequest(
        pictures=",".join(ids), infotexts=f'["", {source!r}]'.replace("'", '"'), upscaler_1="twice", scale_by=3.0
    )
    done = runtime.enlarge(asked).wait()
    assert (done.state, done.error, done.kind) == ("done", "", "extras")
    assert done.request.upscaler_1 == "Twice"
    assert [(saved.width, saved.height, saved.seed) for saved in done.pictures] == [(72, 48, 0), (72, 48, 7)]
    files = [runtime.outputs.resolve(saved.path) for saved in done.pictures]
    assert all(file.parts[-3] == "extras" for file in files) and files[1].name == "00001-7.png"
    with Image.open(files[0]) as enlarged:
        assert enlarged.size == (72, 48)
    first, second = (read_infotext(file) for file in files)
    assert first.fields["Postprocess upscaler"] == "Twice" and first.prompt == ""
    assert second.prompt == "a red sun" and second.fields["Postprocess upscale by"] == "3"
    made = runtime.history.search("local", "red sun")
    assert [row.saved.path for row in made] == [done.pictures[1].path] and made[0].kind == "extras"
    assert made[0].request.ids == (ids[1],)


def test_what_cannot_be_enlarged_is_told_at_once(runtime: Runtime) -> None:
    id = runtime.add_input(png("red"), "anna")
    with pytest.raises(InvalidRequest, match="hand it in again"):
        runtime.enlarge(EnlargeRequest(pictures=id), "bert")
    with pytest.raises(ModelNotFound, match="Twice"):
        runtime.enlarge(EnlargeRequest(pictures=id, upscaler_1="twize"), "anna")
    large = runtime.add_input(png("red", (4000, 3000)), "anna")
    with pytest.raises(InvalidRequest, match="would become 32000 x 24000"):
        runtime.enlarge(EnlargeRequest(pictures=large, scale_by=8.0), "anna")
