"""What an enlarged picture says of itself: how its source was made, and what was done to it then."""

from __future__ import annotations

import dataclasses

from webui.domain.enlarging import BY_FACTOR, NO_UPSCALER, EnlargeRequest
from webui.domain.infotext import to_request
from webui.domain.infotext_grammar import compose, parse
from webui.domain.request import GenerationRequest


def source_request(request: EnlargeRequest, index: int) -> GenerationRequest:
    """How picture ``index`` was drawn, as far as it said; file names are made of it."""
    source, _, _ = to_request(parse(request.source_infotext(index)))
    return dataclasses.replace(source, seed=max(0, source.seed))


def enlarged_infotext(request: EnlargeRequest, index: int) -> str:
    """The source's infotext with what was done to the picture; that alone where the source said nothing."""
    text = request.source_infotext(index)
    if request.upscaler_1 == NO_UPSCALER:
        return text
    source = parse(text)
    before = {key: value for key, value in source.fields.items() if not key.startswith("Postprocess ")}
    return compose(dataclasses.replace(source, fields={**before, **postprocess_fields(request)}))


def postprocess_fields(request: EnlargeRequest) -> dict[str, str]:
    """What an enlarged picture says of its enlarging, under A1111's keys."""
    fields = {}
    if request.scale_mode == BY_FACTOR:
        fields["Postprocess upscale by"] = f"{request.scale_by:g}"
        if request.max_side:
            fields["Max side length"] = str(request.max_side)
    else:
        fields["Postprocess upscale to"] = f"{request.width}x{request.height}"
        if request.crop:
            fields["Postprocess crop to"] = f"{request.width}x{request.height}"
    fields["Postprocess upscaler"] = request.upscaler_1
    if request.upscaler_2 != NO_UPSCALER and request.upscaler_2_visibility:
        fields["Postprocess upscaler 2"] = request.upscaler_2
        fields["Postprocess upscaler 2 visibility"] = f"{request.upscaler_2_visibility:g}"
    return fields
