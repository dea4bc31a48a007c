"""``/metrics``: how the server fares, in the text format that Prometheus reads. No prompt, no name of a user or a model."""

from __future__ import annotations

from collections.abc import Iterable

import psutil
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from webui import __version__
from webui.runtime import Runtime

_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def route(runtime: Runtime) -> Route:
    def metrics(request: Request) -> PlainTextResponse:
        return PlainTextResponse("".join(lines(runtime)), media_type=_TYPE)

    return Route("/metrics", metrics)


def lines(runtime: Runtime) -> Iterable[str]:
    jobs = [job.snapshot() for job in runtime.jobs(None)]
    running = [job for job in jobs if job.state == "running"]
    tally = runtime.queue.tally()
    yield _metric("lucid_info", "gauge", "The version that runs.", [(f'version="{__version__}"', 1)])
    yield _metric("lucid_ready", "gauge", "1 when pictures can be drawn.", [("", int(runtime.readiness().ready))])
    yield _metric("lucid_jobs_waiting", "gauge", "Jobs in the queue.", [("", len(jobs) - len(running))])
    yield _metric("lucid_jobs_running", "gauge", "Jobs being drawn.", [("", len(running))])
    yield _metric(
        "lucid_jobs_ended_total",
        "counter",
        "Jobs that came to their end since the start.",
        [(f'state="{state}"', tally[state]) for state in ("done", "stopped", "failed")],
    )
    yield _metric("lucid_pictures_total", "counter", "Pictures saved since the start.", [("", tally["pictures"])])
    paces = [job.steps_per_second for job in running if job.steps_per_second]
    if paces:
        yield _metric(
            "lucid_step_seconds", "gauge", "Seconds per sampling step of the running jobs.", [("", 1 / max(paces))]
        )
    yield _metric(
        "process_resident_memory_bytes", "gauge", "Memory of the process.", [("", psutil.Process().memory_info().rss)]
    )


def _metric(name: str, kind: str, help: str, values: Iterable[tuple[str, float]]) -> str:
    told = "".join(
        f"{name}{{{labels}}} {value:.10g}\n" if labels else f"{name} {value:.10g}\n" for labels, value in values
    )
    return f"# HELP {name} {help}\n# TYPE {name} {kind}\n{told}"
