from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webui.domain.request import PARAMETERS, GenerationRequest, from_dict, to_dict
from webui.errors import InvalidRequest


@pytest.mark.parametrize(
    ("values", "field", "sentence"),
    [
        ({"steps": 0}, "steps", "Sampling steps must be between 1 and 1000, not 0."),
        ({"steps": 2.5}, "steps", "Sampling steps must be a whole number, not 2.5."),
        ({"steps": "20"}, "steps", "Sampling steps must be a whole number, not '20'."),
        ({"steps": True}, "steps", "Sampling steps must be a whole number, not True."),
        ({"cfg_scale": float("nan")}, "cfg_scale", "CFG scale must be between 0 and 100, not nan."),
        ({"cfg_scale": float("inf")}, "cfg_scale", "CFG scale must be between 0 and 100, not inf."),
        ({"width": 500}, "width", "Width must be a multiple of 8, not 500. Try 496."),
        ({"height": 10**400}, "height", None),
        ({"seed": 2**63}, "seed", "Seed must be between -1 and 9223372036854775807, not 9223372036854775808."),
        ({"prompt": None}, "prompt", "Prompt must be text, not None."),
        ({"rng": "nv"}, "rng", "Random number source must be one of NV, GPU, CPU, not 'nv'."),
    ],
)
def test_bad_values_are_refused_with_their_name(values, field, sentence):
    with pytest.raises(InvalidRequest) as refused:
        GenerationRequest(**values)
    assert refused.value.field == field
    assert sentence is None or str(refused.value) == sentence


def test_whole_numbers_are_taken_in_either_form():
    request = GenerationRequest(steps=30.0, cfg_scale=7, seed=2**63 - 1)  # type: ignore[arg-type]
    assert (request.steps, type(request.steps), type(request.cfg_scale)) == (30, int, float)
    assert request.seed == 2**63 - 1


def test_a_request_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        GenerationRequest().steps = 5  # type: ignore[misc]


def test_pictures_of_a_batch_follow_a1111s_seeds():
    request = GenerationRequest(seed=100, variation_seed=7, batch_count=2, batch_size=3)
    assert [request.picture(index).seed for index in range(6)] == [100, 101, 102, 103, 104, 105]
    varied = dataclasses.replace(request, variation_strength=0.5)
    assert {varied.picture(index).seed for index in range(6)} == {100}
    assert [varied.picture(index).variation_seed for index in range(6)] == [7, 8, 9, 10, 11, 12]
    assert request.picture(4).picture_count == 1


@given(st.text(), st.integers(-1, 2**63 - 1), st.floats(0, 100))
def test_a_request_survives_json(prompt, seed, cfg_scale):
    request = GenerationRequest(prompt=prompt, seed=seed, cfg_scale=cfg_scale)
    assert from_dict(json.loads(json.dumps(to_dict(request)))) == request


def test_an_unknown_key_is_refused():
    with pytest.raises(InvalidRequest, match=r'no parameter "stepz"\. Did you mean "steps"'):
        from_dict({"stepz": 3})


def test_every_parameter_has_what_a_form_needs():
    for parameter in PARAMETERS.values():
        assert parameter.label
        assert parameter.help.endswith(".")
        if parameter.type in (int, float):
            assert parameter.minimum is not None
            assert parameter.minimum <= parameter.default <= parameter.maximum
            assert parameter.step
