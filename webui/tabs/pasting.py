"""An infotext into the form: the arrow under Generate, "send to txt2img", a dropped picture."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from webui.domain.chosen_prompts import PROMPTS
from webui.domain.infotext import parse, to_request
from webui.domain.request import GenerationRequest
from webui.domain.samplers import find_sampler
from webui.domain.schedules import AUTOMATIC
from webui.errors import InvalidRequest, ModelNotFound, WebUIError
from webui.runtime import LOCAL_OWNER, VAE_CHOICES, ModelFile, Runtime

_UNUSED_SHOWN = 12
_SHORT_HASH = 10  # hex digits that pictures carry; those with 8 are of 2022 and not of the whole file
_HASHED_AT_ONCE = 2**28  # bytes: a larger file is compared only if its hash is known


def pasted(
    runtime: Runtime, text: str, current: Mapping[str, Any], owner: str = LOCAL_OWNER
) -> tuple[dict[str, Any], list[str]]:
    """The form's new values by parameter name, and a remark on each thing that could not be taken over.

    ``current`` is what the form holds, by parameter name; what cannot be used of it does not stand in the way. Styles of the
    ``owner`` that are found in the prompts are chosen instead of written out, as in A1111.
    """
    base = _usable(current)
    request, unused, remarks = to_request(parse(text), base)
    notes = list(remarks)
    if not any(getattr(request, name) for name in PROMPTS[2:]):  # those of a second pass would be styled twice
        prompt, negative, styles = runtime.styles.recognised(owner, request.prompt, request.negative_prompt)
        request = dataclasses.replace(request, prompt=prompt, negative_prompt=negative, styles=styles)
    civitai = unused.pop("Civitai resources", "")
    request, about_networks = runtime.with_networks_here(request, civitai)
    request, about_models = _with_models_here(runtime, request, base)
    notes += [*about_networks, *about_models]
    if not find_sampler(request.sampler).accepts(request.schedule):
        notes.append(f"{request.sampler} does not take the schedule type {request.schedule}, which is left out.")
        request = dataclasses.replace(request, schedule=AUTOMATIC.name)
    if unused:
        named = ", ".join(list(unused)[:_UNUSED_SHOWN])
        more = f" and {len(unused) - _UNUSED_SHOWN} more" if len(unused) > _UNUSED_SHOWN else ""
        notes.append(f"Not taken over, for want of a field: {named}{more}.")
    return dataclasses.asdict(request), notes


def _usable(current: Mapping[str, Any]) -> GenerationRequest:
    """The form as a request, without what is not yet a value ("" in a number field)."""
    request = GenerationRequest()
    for name, value in current.items():
        try:
            request = dataclasses.replace(request, **{name: value})
        except InvalidRequest:
            continue
    return request


def _with_models_here(
    runtime: Runtime, request: GenerationRequest, base: GenerationRequest
) -> tuple[GenerationRequest, list[str]]:
    """The request with its models as they are called here (found by hash if renamed), or those of ``base``."""
    notes = []
    for kind, words in (("checkpoint", ("",)), ("vae", VAE_CHOICES)):
        name, sha256 = getattr(request, kind), getattr(request, f"{kind}_hash")
        if (name in words or name == getattr(base, kind)) and not sha256:
            continue
        try:
            found = runtime.library.find(kind, name, sha256)
        except WebUIError as error:
            kept = getattr(base, kind)
            if name != kept:
                shown = kept or "the default one"
                notes.append(f"{error} Kept {shown}." if isinstance(error, ModelNotFound) else str(error))
        else:
            kept, note = _of_the_hash(runtime, kind, found, sha256)
            notes += [note] if note else []
        request = dataclasses.replace(request, **{kind: kept, f"{kind}_hash": ""})  # type: ignore[arg-type]
    return request, notes


def _of_the_hash(runtime: Runtime, kind: str, found: ModelFile, sha256: str) -> tuple[str, str]:
    """The file's name, unless it has another hash and some other file has this one; and what is to be said of it."""
    known = runtime.library.known_hash(found)
    if not known and found.size <= _HASHED_AT_ONCE:
        known = runtime.library.hash(found)
    if len(sha256) < _SHORT_HASH or not known or known.startswith(sha256.lower()):
        return found.name, ""
    same = [file for file in runtime.library.with_hash(kind, sha256) if not file.problem]
    if same:
        return same[0].name, ""
    return found.name, (
        f'"{found.name}" is another file here than the one of that name that the picture was drawn with: its hash is '
        f"{known[:_SHORT_HASH]} and not {sha256}."
    )
