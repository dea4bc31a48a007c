"""Files that tell whether the process that made them is still alive: the system drops a lock when its holder dies.

A process id would not do: ids are used again, and two machines may share one outputs folder.
"""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

if sys.platform == "win32":
    import msvcrt

    _FAR = 0x7FFFFFFE  # Windows keeps others from reading locked bytes, so lock one where no picture has any

    def _try_lock(descriptor: int) -> None:
        before = os.lseek(descriptor, 0, os.SEEK_CUR)
        os.lseek(descriptor, _FAR, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        finally:
            os.lseek(descriptor, before, os.SEEK_SET)
else:
    import fcntl

    def _try_lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def create_locked(folder: Path, prefix: str, suffix: str) -> tuple[int, Path]:
    """A new file with a random name in ``folder``, locked until its descriptor is closed. Raises OSError."""
    while True:
        path = folder / f"{prefix}{secrets.token_hex(6)}{suffix}"
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_BINARY", 0), 0o666)
        try:
            _try_lock(descriptor)
            # Between creation and lock another process may have taken the file for a dead one's and removed it.
            if os.fstat(descriptor).st_ino == path.stat().st_ino:
                return descriptor, path
        except FileNotFoundError:
            pass
        except (BlockingIOError, PermissionError):
            pass  # somebody is just trying whether it is abandoned
        except OSError:
            return descriptor, path  # a file system without locks: files of its dead processes are found too early
        os.close(descriptor)
        path.unlink(missing_ok=True)


def is_abandoned(path: Path) -> bool:
    """Whether no living process holds ``path`` (made by :func:`create_locked`); False if it has gone."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        _try_lock(descriptor)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return True
