"""The kinds of request that the queue takes, as it stores them: by the kind of job, as JSON values."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from webui.domain import enlarging, request
from webui.domain.enlarging import EnlargeRequest
from webui.domain.request import GenerationRequest

AnyRequest = GenerationRequest | EnlargeRequest


def input_ids(any_request: AnyRequest) -> tuple[str, ...]:
    """The input pictures that the request needs."""
    if isinstance(any_request, EnlargeRequest):
        return any_request.ids
    of_batch = (str(entry["init_image"]) for entry in any_request.batch_entries)
    return tuple(id for id in (any_request.init_image, any_request.mask, any_request.depth_map, *of_batch) if id)


def to_values(any_request: AnyRequest) -> dict[str, Any]:
    """The request as plain JSON values."""
    return dataclasses.asdict(any_request)


def from_values(kind: str, values: Mapping[str, Any]) -> AnyRequest:
    """The request of a job of that kind. What this version does not know raises ``InvalidRequest``."""
    return enlarging.enlarge_from_dict(values) if kind == enlarging.KIND else request.from_dict(values)
