"""All routes for programs, and what they share."""

from __future__ import annotations

from fastapi import FastAPI

from webui.api import docs, extras, generation, information, jobs, models, openai, progress, settings_view
from webui.api.answers import internal_error
from webui.api.parts import parts_of
from webui.runtime import Runtime

SUBJECTS = (generation, extras, progress, settings_view, models, information, jobs, openai)


def add_routes(served: FastAPI, runtime: Runtime) -> None:
    """Put them into the application. Add them before the page, which takes every path that is left."""
    parts = parts_of(runtime)
    routes = [route for subject in SUBJECTS for route in subject.router(parts).routes]
    served.router.routes.extend([*routes, *docs.router(routes).routes])
    served.add_exception_handler(Exception, internal_error)
