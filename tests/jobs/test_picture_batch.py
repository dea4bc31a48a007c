"""Several input pictures in one job: each drawn over by its own request, counted through, stopped and gone on with as one."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from webui.domain.any_request import input_ids
from webui.domain.events import Saved, Step
from webui.domain.infotext import parse
from webui.domain.request import GenerationRequest
from webui.errors import InvalidRequest
from webui.jobs.job import Assignment
from webui.jobs.outputs import Outputs
from webui.jobs.picture_batch import each_picture, resolved_each
from webui.jobs.tasks import Draw, run

RequestOf = Callable[..., GenerationRequest]
IDS = [str(n) * 32 for n in range(1, 4)]
ENTRIES = [{"init_image": IDS[0]}, {"init_image": IDS[1], "prompt": "own", "seed": 50}, {"init_image": IDS[2]}]


@pytest.fixture
def several(request_of: RequestOf) -> GenerationRequest:
    return request_of(prompt="all", init_image=IDS[0], batch_pictures=json.dumps(ENTRIES), batch_count=2, seed=7)


def test_each_picture_is_drawn_over_with_what_is_its_own(
    draw: Draw, outputs: Outputs, rescue: Outputs, several: GenerationRequest
) -> None:
    drawn: list[tuple[str, str, int]] = []

    def noting(request: GenerationRequest, batch: int) -> Iterator[Any]:
        drawn.append((request.init_image, request.prompt, batch))
        yield from draw(request, batch)

    job = Assignment("00ff", "anna", "img2img", several, frozenset({0, 1}), threading.Event(), threading.Event())
    happened = list(run(job, draw=each_picture(noting), outputs=outputs, rescue=rescue))
    assert drawn == [(IDS[1], "own", 0), (IDS[1], "own", 1), (IDS[2], "all", 0), (IDS[2], "all", 1)]
    saved = [event for event in happened if isinstance(event, Saved)]
    assert [(one.index, one.seed) for one in saved] == [(2, 50), (3, 51), (4, 7), (5, 8)]
    assert [parse(one.infotext).fields["Init image hash"] for one in saved] == [IDS[1], IDS[1], IDS[2], IDS[2]]
    steps = [event for event in happened if isinstance(event, Step)]
    assert {event.batches for event in steps} == {6} and [event.batch for event in steps[::3]] == [2, 3, 4, 5]


def test_all_its_pictures_are_kept_for_it(several: GenerationRequest) -> None:
    assert set(input_ids(several)) == set(IDS)
    assert (several.picture_count, several.runs, several.pictures_per_run) == (6, 6, 1)
    assert several.picture(3) == replace(
        several, batch_pictures="", init_image=IDS[1], prompt="own", seed=51, batch_count=1
    )


def test_names_are_resolved_for_each_and_errors_tell_of_which(several: GenerationRequest) -> None:
    def resolve(request: GenerationRequest) -> GenerationRequest:
        if request.prompt == "wrong":
            raise InvalidRequest("The prompt is wrong.", "prompt")
        return replace(request, sampler=request.sampler.title(), seed=99 if request.seed == -1 else request.seed)

    entries = [{"init_image": IDS[0]}, {"init_image": IDS[1], "sampler": "heun", "seed": -1}]
    told = resolved_each(replace(several, batch_pictures=json.dumps(entries)), resolve)
    assert json.loads(told.batch_pictures) == [entries[0], {"init_image": IDS[1], "seed": 99, "sampler": "Heun"}]
    with pytest.raises(InvalidRequest, match="Picture 1: The prompt is wrong") as refusal:
        wrong = json.dumps([{"init_image": IDS[0], "prompt": "wrong"}])
        resolved_each(replace(several, batch_pictures=wrong), resolve)
    assert refusal.value.field == "batch_pictures"


@pytest.mark.parametrize(
    "text", ["words", "[]", "{}", "[1]", '[{"init_image": "x"}]', json.dumps([{"init_image": IDS[0], "width": 64}])]
)
def test_what_is_no_list_of_pictures_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        assert GenerationRequest(init_image=IDS[0], batch_pictures=text).batch_entries


def test_one_picture_is_drawn_as_ever(draw: Draw, request_of: RequestOf) -> None:
    request = request_of(batch_size=2)
    assert list(each_picture(draw)(request, 0)) == list(draw(request, 0))
