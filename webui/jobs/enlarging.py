"""Jobs that enlarge finished pictures: where the pictures come from, and which networks they want.

Imported in the worker's thread only, because it loads torch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from PIL import Image

from webui.domain.enlarged_infotext import source_request
from webui.domain.enlarging import RESAMPLERS, EnlargeRequest
from webui.domain.events import Loading, Notice, Step
from webui.engine.drawn import Drawn
from webui.engine.model_manager import ModelManager
from webui.jobs.inputs import InputPictures
from webui.jobs.tasks import Draw
from webui.library.index import Library
from webui.postprocess.enlarge import enlarged, used_upscalers


def enlarging(owner: str, models: ModelManager, library: Library, inputs: InputPictures) -> Draw:
    """The function that enlarges one picture of the owner's request, in the place of one that draws a batch."""
    return lambda request, index: enlarge_picture(request, index, owner, models, library, inputs)


def enlarge_picture(
    request: EnlargeRequest, index: int, owner: str, models: ModelManager, library: Library, inputs: InputPictures
) -> Iterator[Loading | Step | Notice | Drawn]:
    """Enlarge picture ``index`` of the request, like a batch that holds this one alone."""
    picture = inputs.open(request.ids[index], owner)
    files = {name: library.find("upscaler", name) for name in used_upscalers(request) if name not in RESAMPLERS}
    yield from models.load_upscalers(list(files.values()))
    upscalers = {name: models.upscaler(file) for name, file in files.items()}
    result: Image.Image | None = None
    working = enlarged(picture, request, upscalers, models)
    while result is None:
        try:
            event = next(working)
        except StopIteration as finished:
            result = finished.value
        else:
            yield (
                dataclasses.replace(event, batch=index, batches=request.batch_count)
                if isinstance(event, Step)
                else event
            )
    yield Drawn(index, source_request(request, index).seed, result)
