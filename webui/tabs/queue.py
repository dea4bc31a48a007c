"""Everybody's jobs in the order in which they will be drawn: whose, how far, how long yet.

What a job draws is told to its owner, and to administrators; others see that it is there.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from webui.accounts.account import Account
from webui.domain.request import GenerationRequest
from webui.errors import WebUIError
from webui.jobs.job import JobSnapshot
from webui.runtime import LOCAL_OWNER, Runtime
from webui.tabs.components import asker, asset, widget_html
from webui.tabs.models import ModelBar

NAME = "queue"
TITLE = "Queue"
_MOST_SHOWN = 200


def build(runtime: Runtime, models: ModelBar) -> None:
    def poll(asked: dict[str, Any], request: gr.Request) -> dict[str, Any]:
        return everybodys(runtime, asker(request))

    def stop(asked: dict[str, Any], request: gr.Request) -> dict[str, Any]:
        account = asker(request)
        try:
            runtime.job(str(asked.get("job")), _whose(account)).stop()
        except WebUIError as error:
            return {"error": str(error)}
        return everybodys(runtime, account)

    def stop_waiting(asked: dict[str, Any], request: gr.Request) -> dict[str, Any]:
        account = asker(request)
        runtime.queue.stop_waiting(LOCAL_OWNER if account is None else account.name)
        return everybodys(runtime, account)

    widget_html(
        asset("queue.html"), "queue", "lucid.queue(element, server)", server_functions=[poll, stop, stop_waiting]
    )


def everybodys(runtime: Runtime, account: Account | None) -> dict[str, Any]:
    """All jobs that run or wait, in turn, as ``account`` may see them (None: there are no accounts)."""
    jobs = [job.snapshot() for job in runtime.jobs(None)]
    return {"jobs": [_row(job, account) for job in jobs[:_MOST_SHOWN]], "more": max(0, len(jobs) - _MOST_SHOWN)}


def _row(job: JobSnapshot, account: Account | None) -> dict[str, Any]:
    is_own = account is None or job.owner == account.name
    is_told = is_own or (account is not None and account.is_admin)
    request = job.request
    prompt = request.prompt[:200] if isinstance(request, GenerationRequest) else ""
    return {
        "id": job.id,
        "owner": None if account is None else job.owner,
        "own": is_own,
        "stoppable": is_told,
        "kind": job.kind,
        "state": job.state,
        "place": job.place,
        "eta": job.eta,
        "count": request.picture_count,
        "finished": len(job.pictures),
        "prompt": prompt if is_told else None,
        "loading": job.loading.text if job.loading and is_told else None,
        "step": [job.step.step, job.step.steps] if job.step else None,
    }


def _whose(account: Account | None) -> str | None:
    """Whose jobs the asker may stop; None: anybody's."""
    return LOCAL_OWNER if account is None else None if account.is_admin else account.name
