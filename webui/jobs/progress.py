"""How far a running job has come, and when it will be done. Kept in memory only: a restart begins anew."""

from __future__ import annotations

from webui.domain.any_request import AnyRequest
from webui.domain.enlarging import EnlargeRequest
from webui.domain.events import JobEvent, Loading, Preview, Saved, Step

_SMOOTHING = 0.3  # weight of the newest step in the moving average of seconds per step


def work_units(request: AnyRequest) -> float:
    """Work of one picture: steps x pixels. Enlarging one is taken for a picture in one step, until it tells its pace."""
    if isinstance(request, EnlargeRequest):
        return 512.0 * 512.0
    return float(request.steps * request.width * request.height)


class Progress:
    """Follows the events of one run of a job, of which ``done`` pictures were saved by earlier runs.

    ``now`` is any steady clock, in seconds.
    """

    def __init__(self, request: AnyRequest, done: int, now: float) -> None:
        self._request = request
        self.loading: Loading | None = None
        self.step: Step | None = None
        self.steps_per_second = 0.0
        self.preview = b""
        self.preview_number = 0
        self._fraction = done / request.picture_count  # 0 ... 1 of the whole job
        self._saved = 0
        self._drawing_since = now
        self._step_at = now
        self._first_step: tuple[float, float] | None = None  # its time and fraction

    def follow(self, event: JobEvent, now: float) -> None:
        if isinstance(event, Loading):
            self.loading = event
            self._drawing_since = now
        elif isinstance(event, Step):
            self._follow_step(event, now)
        elif isinstance(event, Preview):
            self.preview = event.jpeg
            self.preview_number += 1
        elif isinstance(event, Saved):
            self._saved += 1

    def end(self) -> None:
        """Let go of what only a running job shows."""
        self.loading = None
        self.preview = b""

    def seconds_left(self, seconds_per_unit: float | None) -> float | None:
        """Until the job is done: at the speed of this run, else at ``seconds_per_unit``, else unknown (None).

        Unknown too while a sampler is at work that itself decides when it is done.
        """
        if self._is_open_ended:
            return None
        left = 1 - self._fraction
        if self._first_step is not None:
            began, fraction = self._first_step
            if self._fraction > fraction:
                return left * (self._step_at - began) / (self._fraction - fraction)
        if seconds_per_unit is None:
            return None
        return left * work_units(self._request) * self._request.picture_count * seconds_per_unit

    def measured(self, now: float) -> tuple[float, float]:
        """Seconds since the models were loaded, and work units of the pictures saved by this run, if these tell its pace."""
        is_drawing = not isinstance(self._request, EnlargeRequest)  # whose units are no measure of other jobs
        units = 0.0 if self._is_open_ended or not is_drawing else self._saved * work_units(self._request)
        return now - self._drawing_since, units

    @property
    def _is_open_ended(self) -> bool:
        return self.step is not None and self.step.steps == 0

    def _follow_step(self, step: Step, now: float) -> None:
        before = self.step
        if before is not None and before.batch == step.batch and step.step > before.step and now > self._step_at:
            newest = (step.step - before.step) / (now - self._step_at)
            average = self.steps_per_second or newest
            # averaged as seconds per step, which is what adds up
            self.steps_per_second = 1 / ((1 - _SMOOTHING) / average + _SMOOTHING / newest)
        self.loading = None
        self.step, self._step_at = step, now
        share = step.step / step.steps if step.steps else 0.0
        self._fraction = (step.batch + share) / step.batches
        if self._first_step is None:
            self._first_step = now, self._fraction
