"""Styles, variants and wildcards, from a job's submission to its pictures and back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from PIL import Image

from webui.domain.infotext import parse, to_request
from webui.domain.request import GenerationRequest
from webui.domain.styles import Style
from webui.runtime import Runtime
from webui.settings import Settings

REQUEST = GenerationRequest(prompt="a cat", negative_prompt="blurry", width=64, height=64, steps=2, seed=5)
TEMPLATE = "a __colour__ {cat|dog}, __nope__"


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    from tiny import write_tiny_checkpoint

    folder = tmp_path_factory.mktemp("data")
    for name in ("models/checkpoints", "styles", "wildcards/animals"):
        (folder / name).mkdir(parents=True)
    write_tiny_checkpoint(folder / "models" / "checkpoints" / "alpha.safetensors", seed=1)
    (folder / "styles" / "styles.csv").write_text("name,prompt,negative_prompt\nFilm,film of {prompt},cartoon\n")
    (folder / "wildcards" / "colour.txt").write_text("red\nblue\ngreen\n")
    runtime = Runtime(Settings(data_dir=folder, device="cpu", preview="off"))
    runtime.start()
    yield runtime
    runtime.close()


def draw(runtime: Runtime, request: GenerationRequest, owner: str = "local"):
    """What was saved of a job that must succeed, the pixels, and what the job had to say."""
    done = runtime.generate(request, owner).wait()
    assert done.state == "done", done.error
    pixels = [Image.open(runtime.outputs.resolve(saved.path)).tobytes() for saved in done.pictures]
    return done.pictures, pixels, done.notices


def test_a_style_draws_what_writing_it_would(runtime):
    runtime.styles.save("local", Style("Dark", "at night"))
    (styled,), pixels, notices = draw(runtime, replace(REQUEST, styles=("Film", "dark")))
    written = replace(REQUEST, prompt="film of a cat, at night", negative_prompt="blurry, cartoon")
    assert pixels == draw(runtime, written)[1]
    assert pixels != draw(runtime, REQUEST)[1]
    assert notices == ()
    again, unused, remarks = to_request(parse(styled.infotext))
    assert (again.prompt, again.styles, unused, remarks) == (written.prompt, (), {}, ())


def test_a_style_is_its_owners(runtime):
    runtime.styles.save("anna", Style("Mine", "at night"))
    for owner, told in (("anna", 0), ("bob", 1)):
        (saved,), _, notices = draw(runtime, replace(REQUEST, styles=("Mine",)), owner)
        assert len(notices) == told
        assert saved.infotext.startswith("a cat, at night" if owner == "anna" else "a cat\n")
    assert 'There is no style "Mine"' in notices[0]


def test_each_picture_of_a_batch_has_its_own_choices_and_is_the_same_alone(runtime):
    batches = replace(REQUEST, prompt=TEMPLATE, negative_prompt="{dim|dark}", batch_size=3, batch_count=2)
    saved, pixels, notices = draw(runtime, batches)
    assert [picture.index for picture in saved] == [*range(6)]
    prompts = [parse(picture.infotext).prompt for picture in saved]
    assert len(set(prompts)) > 2
    assert len(notices) == 1
    assert "__nope__ is read as text" in notices[0]
    for place in (1, 3):
        alone = draw(runtime, replace(REQUEST, prompt=TEMPLATE, negative_prompt="{dim|dark}", seed=5 + place))
        assert alone[1] == [pixels[place]]
        assert alone[0][0].infotext == saved[place].infotext


def test_a_picture_tells_its_choices_and_pasted_draws_itself_again(runtime):
    (saved,), pixels, _ = draw(runtime, replace(REQUEST, prompt=TEMPLATE, styles=("Film",)))
    told = parse(saved.infotext)
    assert told.fields["Template"] == f"film of {TEMPLATE}"
    again, unused, remarks = to_request(told)
    assert "{" not in again.prompt
    assert unused == {}
    assert remarks == (f"The seed chose this out of the template film of {TEMPLATE}",)
    assert draw(runtime, again)[1] == pixels
    written = replace(REQUEST, prompt=told.prompt.replace("\\", ""), negative_prompt="blurry, cartoon")
    assert draw(runtime, written)[1] == pixels


def test_choices_that_come_out_alike_stay_a_batch_and_a_network_may_be_chosen(runtime):
    saved, pixels, notices = draw(runtime, replace(REQUEST, prompt="a {cat|cat}<lora:{gone|gone}:1>", batch_size=2))
    assert pixels == draw(runtime, replace(REQUEST, batch_size=2))[1]
    assert [parse(picture.infotext).fields["Template"] for picture in saved] == ["a {cat|cat}<lora:{gone|gone}:1>"] * 2
    assert 'There is no LoRA "gone"' in notices[0]


def test_a_new_line_of_a_wildcard_counts_at_once(runtime):
    path = runtime.settings.wildcards_dir / "new.txt"
    for line in ("one", "two"):
        path.write_text(line)
        (saved,), _, _ = draw(runtime, replace(REQUEST, prompt="__new__"))
        assert saved.infotext.startswith(f"{line}\n")
