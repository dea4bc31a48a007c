from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

from webui.domain.events import Notice, Saved
from webui.domain.request import GenerationRequest
from webui.engine.drawn import Drawn
from webui.jobs.job import Assignment
from webui.jobs.outputs import Outputs
from webui.jobs.pictures import read_metadata
from webui.jobs.tasks import Draw, run

RequestOf = Callable[..., GenerationRequest]


def _assignment(request: GenerationRequest, done: set[int] = frozenset()) -> Assignment:  # type: ignore[assignment]
    return Assignment("00ff", "anna", "txt2img", request, frozenset(done), threading.Event(), threading.Event())


def test_what_an_earlier_run_has_saved_is_not_drawn_or_not_saved_again(
    draw: Draw, outputs: Outputs, rescue: Outputs, request_of: RequestOf
) -> None:
    drawn_batches = []

    def counting(request: GenerationRequest, batch: int) -> Iterator[Any]:
        drawn_batches.append(batch)
        yield from draw(request, batch)

    job = _assignment(request_of(batch_count=3, batch_size=2), done={0, 1, 3})
    saved = [event for event in run(job, draw=counting, outputs=outputs, rescue=rescue) if isinstance(event, Saved)]
    assert drawn_batches == [1, 2]
    assert [event.index for event in saved] == [2, 4, 5]
    assert len(list(outputs.folder.rglob("*.png"))) == 3


def test_what_drawing_tells_goes_into_names_and_infotext(draw: Draw, rescue: Outputs, request_of: RequestOf) -> None:
    outputs = Outputs(rescue.folder.parent / "outputs", filename_pattern="[model_name] [model_hash] [vae]")

    def with_facts(request: GenerationRequest, batch: int) -> Iterator[Any]:
        for event in draw(request, batch):
            if isinstance(event, Drawn):
                facts = {"checkpoint_hash": "6ce0161689", "vae": "ft-mse.safetensors", "Pad conds": "True"}
                event = Drawn(event.index, event.seed, event.image, facts)
            yield event

    job = _assignment(request_of(checkpoint="v1-5-pruned"))
    saved = [
        e for e in run(job, draw=with_facts, outputs=outputs, rescue=rescue, version="1.0") if isinstance(e, Saved)
    ]
    assert saved[0].path == f"txt2img/{date.today()}/v1-5-pruned 6ce0161689 ft-mse.png"
    for part in ("Model hash: 6ce0161689", "VAE: ft-mse.safetensors", "Pad conds: True", "Version: "):
        assert part in saved[0].infotext


def test_half_a_surrogate_pair_in_a_prompt_loses_no_picture(
    draw: Draw, outputs: Outputs, rescue: Outputs, request_of: RequestOf
) -> None:
    job = _assignment(request_of(prompt="a \ud83d cat"))
    saved = [event for event in run(job, draw=draw, outputs=outputs, rescue=rescue) if isinstance(event, Saved)]
    assert saved[0].infotext.encode("utf-8").startswith(b"a ")
    assert read_metadata(outputs.resolve(saved[0].path))["parameters"] == saved[0].infotext


def test_a_picture_too_large_for_its_format_becomes_a_png_and_says_so(
    draw: Draw, rescue: Outputs, request_of: RequestOf
) -> None:
    outputs = Outputs(rescue.folder.parent / "outputs", format="webp")

    def huge(request: GenerationRequest, batch: int) -> Iterator[Any]:
        for event in draw(request, batch):
            if isinstance(event, Drawn) and event.index == 0:
                event = Drawn(event.index, event.seed, event.image.resize((16384, 8)), event.facts)
            yield event

    events = list(run(_assignment(request_of(batch_count=2)), draw=huge, outputs=outputs, rescue=rescue))
    suffixes = [outputs.resolve(event.path).suffix for event in events if isinstance(event, Saved)]
    assert suffixes == [".png", ".webp"]
    (notice,) = (event.text for event in events if isinstance(event, Notice))
    assert "Saved as PNG" in notice and "16383" in notice
