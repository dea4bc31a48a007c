"""SHA-256 of model files, remembered, because a file of several gigabytes takes many seconds to hash.

The first ten hex digits are the short hash that stands in pictures ("Model hash: 6ce0161689") and after a name in brackets.
Of LoRAs pictures name the hash that kohya's trainer introduced: of a safetensors file without its header, so that editing
the metadata does not change it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from webui.errors import UnreadableModel
from webui.library.cache_database import CacheDatabase

_CHUNK = 1 << 20
_COLUMNS = "(path TEXT PRIMARY KEY, mtime_ns INTEGER NOT NULL, size INTEGER NOT NULL, sha256 TEXT NOT NULL)"


class HashCache:
    """Hashes by (path, time of change, size). May be used from several threads and processes at once.

    ``without_header`` takes them of what comes behind the header of a safetensors file; of other files, of the whole.
    """

    def __init__(self, db_path: Path, *, without_header: bool = False) -> None:
        self._table = "tensor_hashes" if without_header else "hashes"
        self._without_header = without_header
        self._database = CacheDatabase(db_path, f"CREATE TABLE IF NOT EXISTS {self._table} {_COLUMNS}")

    def sha256(self, path: Path) -> str:
        """64 hex digits. A file that cannot be read raises ``UnreadableModel``."""
        try:
            before = path.stat()
            known = self.known(path, before.st_mtime_ns, before.st_size)
            if known:
                return known
            digest = _sha256(path, self._without_header and path.suffix.lower() == ".safetensors")
            after = path.stat()
        except OSError as error:
            raise UnreadableModel(f"{path.name} cannot be read: {error.strerror or error}.") from error
        stamp = (before.st_mtime_ns, before.st_size)
        if stamp == (after.st_mtime_ns, after.st_size):  # else it was written to in the meantime
            self._database.write(
                f"INSERT OR REPLACE INTO {self._table} VALUES (?, ?, ?, ?)", [(str(path), *stamp, digest)]
            )
        return digest

    def known(self, path: Path, mtime_ns: int, size: int) -> str:
        """The hash if it has been computed before for the file as it is now, else ""."""
        rows = self._database.rows(
            f"SELECT sha256 FROM {self._table} WHERE path = ? AND mtime_ns = ? AND size = ?",
            (str(path), mtime_ns, size),
        )
        return str(rows[0][0]) if rows else ""

    def paths(self, beginning: str) -> set[tuple[str, int, int]]:
        """(path, mtime_ns, size) of the files known to have a hash that begins so; they may have changed since."""
        query = f"SELECT path, mtime_ns, size FROM {self._table} WHERE substr(sha256, 1, ?) = ?"
        rows = self._database.rows(query, (len(beginning), beginning.lower()))
        return {(str(path), int(mtime_ns), int(size)) for path, mtime_ns, size in rows}


def legacy_hash(path: Path) -> str:
    """The 8 digits that pictures of 2022 carry: A1111 then hashed only 64 KiB of the file, from 1 MiB on."""
    try:
        with path.open("rb") as file:
            file.seek(0x100000)
            return hashlib.sha256(file.read(0x10000)).hexdigest()[:8]
    except OSError as error:
        raise UnreadableModel(f"{path.name} cannot be read: {error.strerror or error}.") from error


def _sha256(path: Path, without_header: bool) -> str:
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        if without_header:
            file.seek(8 + int.from_bytes(file.read(8), "little"))
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
