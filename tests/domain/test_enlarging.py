from __future__ import annotations

import json

import pytest

from webui.domain.any_request import from_values, input_ids, to_values
from webui.domain.enlarged_infotext import enlarged_infotext, source_request
from webui.domain.enlarging import ENLARGE_PARAMETERS, KIND, EnlargeRequest
from webui.domain.infotext_grammar import parse
from webui.domain.request import GenerationRequest
from webui.domain.sizes import Box, Size
from webui.errors import InvalidRequest

ONE, TWO = "0" * 32, "f" * 32
SOURCE = (
    "a cat, red\nNegative prompt: blurry\nSteps: 20, Sampler: Euler a, Seed: 5, Size: 512x768, Model: x, Version: 1"
)


def request(**fields) -> EnlargeRequest:
    return EnlargeRequest(**{"pictures": ONE, **fields})


@pytest.mark.parametrize(
    ("fields", "picture", "size", "crop"),
    [
        ({"scale_by": 2.0}, (512, 768), (1024, 1536), None),
        ({"scale_by": 1.5}, (101, 33), (152, 50), None),
        ({"scale_by": 0.1}, (3, 3), (1, 1), None),
        ({"scale_by": 4.0, "max_side": 1000}, (500, 250), (1000, 500), None),
        ({"scale_by": 2.0, "max_side": 4000}, (500, 250), (1000, 500), None),
        ({"scale_mode": "Scale to", "width": 1024, "height": 1024}, (512, 512), (1024, 1024), Box(0, 0, 1024, 1024)),
        ({"scale_mode": "Scale to", "width": 1024, "height": 1024}, (512, 768), (1024, 1536), Box(0, 256, 1024, 1280)),
        ({"scale_mode": "Scale to", "width": 1024, "height": 1024, "crop": False}, (512, 768), (1024, 1536), None),
        ({"scale_mode": "Scale to", "width": 1024, "height": 512}, (512, 512), (1024, 1024), Box(0, 256, 1024, 768)),
        ({"scale_mode": "Scale to", "width": 100, "height": 100}, (333, 333), (100, 100), Box(0, 0, 100, 100)),
    ],
)
def test_how_large_a_picture_becomes(fields, picture, size, crop):
    target = request(**fields).target(Size(*picture))
    assert (tuple(target.size), target.crop) == (size, crop)
    assert crop is None or target.result == (fields["width"], fields["height"])


def test_absurd_sizes_are_refused_with_what_they_would_be():
    with pytest.raises(InvalidRequest, match="would become 64000 x 64000"):
        request(scale_by=16.0).target(Size(4000, 4000))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"pictures": ""}, "no picture to enlarge"),
        ({"pictures": "../../etc"}, "not the id of an input picture"),
        ({"pictures": ",".join([ONE] * 101)}, "101 pictures are too many"),
        ({"infotexts": "{"}, "JSON list"),
        ({"infotexts": "[1]"}, "JSON list"),
        ({"scale_by": 0.0}, "Factor must be between"),
        ({"scale_mode": "bigger"}, "Resize must be one of"),
    ],
)
def test_what_cannot_be_is_refused(fields, sentence):
    with pytest.raises(InvalidRequest, match=sentence):
        request(**fields)


def test_a_job_of_several_pictures_is_one_of_single_ones():
    both = request(pictures=f"{ONE}, {TWO}", infotexts=json.dumps(["", SOURCE]), scale_by=2.0)
    assert (both.picture_count, both.batch_count, both.batch_size) == (2, 2, 1)
    second = both.picture(1)
    assert (second.ids, second.source_infotext(0), second.scale_by) == ((TWO,), SOURCE, 2.0)
    assert both.source_infotext(0) == "" == request().source_infotext(0)


def test_the_queue_stores_each_kind_of_request():
    enlarge, draw = request(upscaler_1="Nearest"), GenerationRequest(init_image=ONE)
    assert from_values(KIND, json.loads(json.dumps(to_values(enlarge)))) == enlarge
    assert from_values("img2img", json.loads(json.dumps(to_values(draw)))) == draw
    assert input_ids(enlarge) == (ONE,) == input_ids(draw)
    with pytest.raises(InvalidRequest, match="Unknown parameter 'steps'"):
        from_values(KIND, {"pictures": ONE, "steps": 20})


def test_an_enlarged_picture_says_how_its_source_was_drawn_and_what_was_done_then():
    asked = request(infotexts=json.dumps([SOURCE]), scale_by=2.0, upscaler_1="4x-UltraSharp")
    read = parse(enlarged_infotext(asked, 0))
    assert (read.prompt, read.negative_prompt, read.fields["Seed"], read.fields["Size"]) == (
        "a cat, red",
        "blurry",
        "5",
        "512x768",
    )
    assert read.fields["Postprocess upscale by"] == "2"
    assert read.fields["Postprocess upscaler"] == "4x-UltraSharp"
    assert "Postprocess upscaler 2" not in read.fields
    assert source_request(asked, 0).seed == 5


def test_a_picture_of_unknown_origin_says_what_was_done():
    asked = request(scale_mode="Scale to", width=100, height=80, upscaler_2="Nearest", upscaler_2_visibility=0.25)
    read = parse(enlarged_infotext(asked, 0))
    assert read.prompt == ""
    assert dict(read.fields) == {
        "Postprocess upscale to": "100x80",
        "Postprocess crop to": "100x80",
        "Postprocess upscaler": "Lanczos",
        "Postprocess upscaler 2": "Nearest",
        "Postprocess upscaler 2 visibility": "0.25",
    }
    assert source_request(asked, 0).seed == 0


def test_enlarged_again_it_tells_of_the_last_time():
    once = enlarged_infotext(request(infotexts=json.dumps([SOURCE]), scale_mode="Scale to"), 0)
    again = enlarged_infotext(request(infotexts=json.dumps([once]), scale_by=3.0), 0)
    assert again.count("Postprocess upscaler:") == 1 and "Postprocess upscale by: 3" in again
    assert "Postprocess upscale to" not in again


def test_without_an_upscaler_nothing_was_done():
    assert enlarged_infotext(request(infotexts=json.dumps([SOURCE]), upscaler_1="None"), 0) == SOURCE


def test_every_parameter_is_declared_for_people():
    assert all(declared.label and declared.help.endswith(".") for declared in ENLARGE_PARAMETERS.values())
