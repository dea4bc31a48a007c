"""Which running program a job belongs to, so that nobody takes over the jobs of one that is still alive.

The command line may draw while the server runs on the same data folder; and a server that was killed leaves jobs behind
that the next one must adopt. Each running program holds the lock on a file of its own; the job table names it.
"""

from __future__ import annotations

import os
from pathlib import Path

from webui.errors import StorageFailure
from webui.jobs.file_lock import create_locked, is_abandoned

_SUFFIX = ".lock"


class Instance:
    """This running program, known by ``id`` until it is closed or dies."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._descriptor, self._path = create_locked(folder, "", _SUFFIX)
        except OSError as error:
            raise StorageFailure(
                f"The data folder {folder} cannot be written: {error.strerror}. "
                "Allow writing to it, or choose another with --data-dir."
            ) from error
        self.id = self._path.name.removesuffix(_SUFFIX)

    def is_alive(self, instance_id: str) -> bool:
        """Whether the program of that id (this one included) still runs."""
        path = self._folder / f"{instance_id}{_SUFFIX}"
        return path.exists() and not is_abandoned(path)

    def forget_dead(self) -> None:
        """Remove the files of programs that died."""
        for path in self._folder.glob(f"*{_SUFFIX}"):
            if path != self._path and is_abandoned(path):
                path.unlink(missing_ok=True)

    def close(self) -> None:
        os.close(self._descriptor)
        self._path.unlink(missing_ok=True)
