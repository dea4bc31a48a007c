"""Every error that a person can cause or cure.

    WebUIError
    ├── InvalidRequest        a parameter is out of range, of the wrong type, or names something unknown
    ├── InvalidSettings       config.yaml, an environment variable or a flag is wrong
    ├── ModelNotFound         no model file of that name (near matches are named)
    ├── UnreadableModel       the file is truncated, corrupt, or of a layout that we do not know
    ├── UnreadablePicture     the file is no picture, is broken, or would take absurdly much memory
    ├── UnsafeModel           the file could run code when opened
    ├── IncompatibleModel     a sound file that does not fit what it is used with
    ├── OutOfMemory           freeing, tiling and splitting did not help
    ├── NumericalFailure      the network produced NaN, also in full precision
    ├── StorageFailure        a picture or the database cannot be written (disk full, read-only)
    ├── JobNotFound           no job of that id belongs to the asker
    ├── NotAllowed            the asker may not do this
    └── TooManyRequests       the asker has to wait a while

A message is a sentence for the person who must act: what happened, to which file or field, what to
try. It is raised where the fault is first known, translated at a border with ``raise ... from error``,
and shown by each front end in one place (``gr.Error``, HTTP status and ``detail``, exit code). Any other
exception is a bug: logged with its traceback and shown as "internal error", never swallowed.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class WebUIError(Exception):
    """Base of the tree; ``str(error)`` is the sentence to show."""


class InvalidRequest(WebUIError):
    """A generation parameter cannot be used. ``field`` is its name in ``GenerationRequest``."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class InvalidSettings(WebUIError):
    """A setting cannot be used; the message names its key and where it was read."""


class ModelNotFound(WebUIError):
    """No model file answers to the name."""


class UnreadableModel(WebUIError):
    """A model file cannot be read; the message names the file and what is wrong with it."""


class UnreadablePicture(WebUIError):
    """A picture cannot be read; the message names the file, where there is one, and what is wrong with it."""


class UnsafeModel(WebUIError):
    """Opening the file could run code, so it was not opened."""


class IncompatibleModel(WebUIError):
    """The file is sound but does not fit what it is used with."""


class OutOfMemory(WebUIError):
    """Memory ran out after everything that saves it had been tried."""


class NumericalFailure(WebUIError):
    """The network produced NaN or infinity, also in full precision."""


class StorageFailure(WebUIError):
    """Something could not be written to disk."""


class JobNotFound(WebUIError):
    """There is no such job, or it belongs to somebody else."""


class NotAllowed(WebUIError):
    """The asker may not do this."""


class TooManyRequests(WebUIError):
    """The asker has to wait ``seconds`` before asking again."""

    def __init__(self, message: str, seconds: int) -> None:
        super().__init__(message)
        self.seconds = seconds


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The second half of an "unknown name" sentence: near matches, else what there is.

    >>> did_you_mean("Euler A", ["Euler", "Euler a", "DDIM"])
    'Did you mean "Euler a" or "Euler"?'
    """
    by_folded = {candidate.casefold(): candidate for candidate in known}
    near = get_close_matches(name.casefold(), by_folded, n=3, cutoff=0.5)
    if near:
        quoted = [f'"{by_folded[match]}"' for match in near]
        return f"Did you mean {' or '.join(quoted)}?"
    if not by_folded:
        return "There are none."
    shown = list(by_folded.values())
    listed = ", ".join(f'"{candidate}"' for candidate in shown[:12])
    return f"There are: {listed}{' and more' if len(shown) > 12 else ''}."
