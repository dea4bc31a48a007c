"""What programs send: JSON objects, and pictures in base64 within them."""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any, NoReturn

from starlette.requests import Request

from webui.errors import InvalidRequest, UnreadablePicture
from webui.runtime import Runtime

_DATA_URL = re.compile(r"data:[\w.+-]*/?[\w.+-]*(?:;[\w=.+-]+)*,", re.IGNORECASE)
_INPUT_ID = re.compile("[0-9a-f]{32}")
_ADDRESS = re.compile(r"\s*https?://", re.IGNORECASE)


async def json_object(request: Request) -> dict[str, Any]:
    """The body as a JSON object; an empty one is ``{}``. Raises ``InvalidRequest``.

    Whatever the header says of its type, as real clients do not always say it.
    """
    body = await request.body()
    if not body.strip():
        return {}
    try:
        value = json.loads(body, parse_constant=_no_number)
    except RecursionError as error:
        raise InvalidRequest("The body is nested too deeply.") from error
    except ValueError as error:  # broken JSON, other encodings, numbers of thousands of digits
        raise InvalidRequest(f"The body is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise InvalidRequest("The body must be a JSON object: {...}.")
    try:
        clean: dict[str, Any] = _clean(value)
    except RecursionError as error:
        raise InvalidRequest("The body is nested too deeply.") from error
    return clean


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number in JSON")


def _clean(value: Any) -> Any:
    """Halves of surrogate pairs, which JSON can spell and nothing can store, become question marks."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if isinstance(value, dict):
        return {_clean(key): _clean(item) for key, item in value.items()}
    return value


def picture_bytes(text: Any, field: str) -> bytes:
    """A picture file out of base64 or a ``data:`` URL. Raises ``InvalidRequest``."""
    if not isinstance(text, str):
        raise InvalidRequest(f"{field} must be a picture file in base64.", field)
    if _ADDRESS.match(text):
        raise InvalidRequest(
            f"{field} is an address. Lucid fetches no pictures from other computers: send the file itself, in base64.",
            field,
        )
    start = _DATA_URL.match(text)
    encoded = "".join((text[start.end() :] if start else text).split())
    try:
        data = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest(f"{field} is no base64, or is cut off. Send a picture file in base64.", field) from error
    if not data:
        raise InvalidRequest(f"{field} is empty. Send a picture file in base64.", field)
    return data


def input_picture(runtime: Runtime, value: Any, field: str, owner: str) -> str:
    """The id of a picture that was sent in the body, or of one that the owner has handed in before, by its id."""
    if isinstance(value, str) and _INPUT_ID.fullmatch(value):
        return value
    try:
        return runtime.add_input(picture_bytes(value, field), owner)
    except UnreadablePicture as error:
        raise InvalidRequest(f"{field}: {error}", field) from error
