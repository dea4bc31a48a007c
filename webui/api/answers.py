"""How the API answers: JSON that any text fits into, and errors in A1111's shape with a sentence in ``detail``."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Coroutine, Mapping
from types import MappingProxyType
from typing import Any

from fastapi.exceptions import HTTPException, RequestValidationError
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from webui.errors import (
    InvalidRequest,
    JobNotFound,
    ModelNotFound,
    NotAllowed,
    StorageFailure,
    TooManyRequests,
    UnreadablePicture,
    WebUIError,
)

LONGEST_SENTENCE = 600  # a sentence that repeats what was sent is cut here

# What most programs understand. Others of our errors are 500: they come from the server's files or devices.
_STATUS: Mapping[type[WebUIError], int] = MappingProxyType(
    {
        InvalidRequest: 422,
        ModelNotFound: 422,
        UnreadablePicture: 422,
        JobNotFound: 404,
        NotAllowed: 403,
        TooManyRequests: 429,
        StorageFailure: 507,
    }
)


class NotHere(WebUIError):
    """The address is known from A1111, and what stands behind it is not part of Lucid."""


class NoSuchThing(WebUIError):
    """What is asked for is not there: a picture of a job, an input picture."""


class JobFailed(WebUIError):
    """The job came to nothing; its own sentence says why."""


class Answer(Response):
    """JSON in ASCII, since no other encoding holds every text that can be sent to us."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")


def status_of(error: WebUIError) -> int:
    if isinstance(error, NotHere):
        return 501
    if isinstance(error, NoSuchThing):
        return 404
    return next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 500)


def refusal(error: WebUIError) -> Response:
    """A1111's shape; ``field`` is ours, and names what is wrong as it was sent."""
    sentence = str(error)
    if len(sentence) > LONGEST_SENTENCE:
        sentence = sentence[:LONGEST_SENTENCE] + " ..."
    content = {"error": type(error).__name__, "detail": sentence, "body": "", "errors": sentence}
    if isinstance(error, InvalidRequest) and error.field is not None:
        content["field"] = error.field
    headers = {"Retry-After": str(error.seconds)} if isinstance(error, TooManyRequests) else {}
    return Answer(content, status_of(error), headers)


class ApiRoute(APIRoute):
    """A route that answers every error a person can cure with its sentence, and says how long it took, as A1111 does."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            began = time.perf_counter()
            try:
                response = await handle(request)
            except WebUIError as error:
                response = refusal(error)
            except RequestValidationError as error:
                response = refusal(_invalid(error))
            except HTTPException as error:
                response = Answer(
                    {"error": "HTTPException", "detail": str(error.detail), "body": "", "errors": ""},
                    error.status_code,
                )
            except ClientDisconnect:
                response = Response(status_code=400)  # nobody reads it
            response.headers["X-Process-Time"] = f"{time.perf_counter() - began:.4f}"
            return response

        return answer


def _invalid(error: RequestValidationError) -> InvalidRequest:
    """The first thing that is wrong with a path or a query, as a sentence."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first.get("loc", ())[1:])
    return InvalidRequest(f"{place}: {first.get('msg', 'cannot be read')}.", place or None)


async def internal_error(request: Request, error: Exception) -> Response:
    """For what nobody foresaw. It is logged by whoever called; the client must be told in JSON, and nothing of the inside."""
    sentence = "Internal error, which is a fault of Lucid and not yours: see its log for what happened."
    return Answer({"error": "InternalError", "detail": sentence, "body": "", "errors": ""}, 500)
