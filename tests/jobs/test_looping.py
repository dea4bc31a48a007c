"""Loopback in a job: each loop begins with what the one before has drawn, and each picture can be drawn again alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from webui.domain.events import Preview, Saved, Step
from webui.domain.infotext import parse, to_request
from webui.domain.request import GenerationRequest
from webui.engine.drawn import Drawn
from webui.engine.generate import Options
from webui.jobs.drawing import Workplace, model_manager, set_up
from webui.jobs.inputs import InputPictures, picture_id
from webui.jobs.job import Assignment
from webui.jobs.looping import looping
from webui.jobs.outputs import Outputs
from webui.jobs.tasks import Draw, run
from webui.library.index import Library

RequestOf = Callable[..., GenerationRequest]


def assignment(request: GenerationRequest, done: frozenset[int] = frozenset()) -> Assignment:
    return Assignment("00ff", "anna", "img2img", request, done, threading.Event(), threading.Event())


@pytest.fixture
def inputs(tmp_path: Path) -> InputPictures:
    return InputPictures(tmp_path / "inputs")


def test_each_loop_begins_with_the_picture_before(
    draw: Draw, inputs: InputPictures, outputs: Outputs, rescue: Outputs, request_of: RequestOf
) -> None:
    drawn_from: list[tuple[str, int, float]] = []

    def noting(request: GenerationRequest, batch: int) -> Iterator[Any]:
        drawn_from.append((request.init_image, request.seed, round(request.denoising_strength, 6)))
        yield from draw(request, batch)

    request = request_of(init_image="first", loops=3, batch_size=2, seed=7, final_denoising_strength=0.25)
    keep = partial(inputs.keep, owner="anna")
    happened = list(run(assignment(request), draw=looping(noting, keep), outputs=outputs, rescue=rescue))
    saved = [event for event in happened if isinstance(event, Saved)]
    assert [(one.index, one.seed) for one in saved] == [(n, 7 + n) for n in range(6)]
    ids = [picture_id(Image.open(outputs.resolve(one.path))) for one in saved]
    sources = ["first", ids[0], ids[1], "first", ids[3], ids[4]]
    assert drawn_from == [(source, 7 + n, (0.75, 0.5, 0.25)[n % 3]) for n, source in enumerate(sources)]
    steps = [event for event in happened if isinstance(event, Step)]
    assert [event.batch for event in steps] == [n for n in range(6) for _ in range(3)]
    assert {event.batches for event in steps} == {6}
    assert {event.batch for event in happened if isinstance(event, Preview)} == set(range(6))

    told = parse(saved[4].infotext).fields
    assert told["Init image hash"] == ids[3] and told["Loop"] == "2 of 3" and told["Denoising strength"] == "0.5"
    assert (told["Final denoising strength"], told["Denoising curve"]) == ("0.25", "Linear")
    again, unused, _ = to_request(parse(saved[4].infotext))
    assert (again.seed, again.loops, unused) == (11, 1, {})


def test_what_is_saved_already_is_not_saved_twice_and_a_skip_leaves_the_rest_of_a_chain(
    draw: Draw, inputs: InputPictures, outputs: Outputs, rescue: Outputs, request_of: RequestOf
) -> None:
    request = request_of(init_image="first", loops=3, batch_count=3)
    looped = looping(draw, partial(inputs.keep, owner="anna"))
    job = assignment(request, frozenset({0, 1, 2, 3}))
    saved = []
    for event in run(job, draw=looped, outputs=outputs, rescue=rescue):
        if isinstance(event, Saved):
            saved.append(event.index)
            if event.index == 4:
                job.skip.set()
    assert saved == [4, 6, 7, 8]


def test_without_loops_nothing_is_changed(draw: Draw, request_of: RequestOf) -> None:
    request = request_of(batch_size=2, loops=5)  # txt2img: loops mean nothing
    assert list(looping(draw, lambda picture: "")(request, 0)) == list(draw(request, 0))


def test_on_the_starter_loops_lead_on_and_each_is_img2img_of_the_one_before(
    starter: Path, inputs: InputPictures, tmp_path: Path
) -> None:
    library = Library({"checkpoint": (starter.parent,)}, tmp_path / "hashes.sqlite3")
    library.rescan()
    draw = partial(set_up(library, model_manager(Workplace("cpu")), Options(preview="off"), inputs), owner="anna")
    y, x = np.mgrid[:128, :128]
    disc = np.where(((x - 64) ** 2 + (y - 64) ** 2 < 42**2)[..., None], (215, 40, 45), (255, 255, 255))
    source = Image.fromarray(disc.astype(np.uint8))
    request = GenerationRequest(
        prompt="a blue square on a yellow background",
        init_image=inputs.keep(source, "anna"),
        checkpoint="lucid-starter",
        width=128,
        height=128,
        cfg_scale=2.5,
        steps=10,
        seed=3,
        loops=3,
        denoising_strength=0.4,
        final_denoising_strength=0.6,
    )
    happened = looping(draw, partial(inputs.keep, owner="anna"))(request, 0)
    drawn = [event for event in happened if isinstance(event, Drawn)]
    far = [float(np.abs(np.asarray(one.image, float) - disc).mean()) for one in drawn]
    assert far == sorted(far) and far[2] > 1.5 * far[0]
    second = GenerationRequest(**{**vars(request.picture(1)), "init_image": inputs.keep(drawn[0].image, "anna")})
    (alone,) = (event.image for event in draw(second, 0) if isinstance(event, Drawn))
    assert alone.tobytes() == drawn[1].image.tobytes()
