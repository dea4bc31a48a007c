"""What a form holds becomes a request, and a request is shown in a form, without a loss."""

from __future__ import annotations

import gradio as gr
import pytest
from hypothesis import given
from hypothesis import strategies as st

from webui.domain.request import PARAMETERS, GenerationRequest
from webui.domain.samplers import SAMPLERS
from webui.errors import InvalidRequest
from webui.tabs.components import Form

FORM = Form({name: gr.Textbox() for name in PARAMETERS})
NUMBERS = [parameter for parameter in PARAMETERS.values() if parameter.type in (int, float)]

requests = st.builds(
    GenerationRequest,
    prompt=st.text(),
    negative_prompt=st.text(),
    sampler=st.sampled_from([sampler.name for sampler in SAMPLERS]),
    steps=st.integers(1, 1000),
    cfg_scale=st.floats(0, 100),
    seed=st.integers(-1, 2**63 - 1),
    width=st.integers(8, 1024).map(lambda latents: 8 * latents),
    variation_seed=st.integers(-1, 2**63 - 1),
    variation_strength=st.floats(0, 1),
    rng=st.sampled_from(PARAMETERS["rng"].choices or ()),
)


@given(requests)
def test_a_request_shown_in_a_form_is_read_back_the_same(request: GenerationRequest) -> None:
    shown = FORM.show({name: getattr(request, name) for name in PARAMETERS})
    assert FORM.request(shown) == request


@pytest.mark.parametrize("parameter", NUMBERS, ids=lambda parameter: parameter.name)
@pytest.mark.parametrize("typed", ["", "   ", "many", "nan", "-5", "1e400", "12 000", "1,2,3", None, True, [], {}])
def test_an_unusable_number_is_refused_in_the_name_of_its_field(parameter: object, typed: object) -> None:
    declared = PARAMETERS[parameter.name]  # type: ignore[attr-defined]
    values = FORM.show({name: each.default for name, each in PARAMETERS.items()})
    values[FORM.widgets[declared.name]] = typed
    with pytest.raises(InvalidRequest, match=declared.label) as refused:
        FORM.request(values)
    assert refused.value.field == declared.name


def test_a_dropdown_without_a_choice_is_an_empty_name() -> None:
    values = FORM.show({name: each.default for name, each in PARAMETERS.items()})
    values[FORM.widgets["checkpoint"]] = None
    assert FORM.request(values).checkpoint == ""
