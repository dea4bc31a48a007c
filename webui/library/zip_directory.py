"""Where the members of a zip archive lie in the file, if it is one that nothing has to be unpacked from.

``torch.save`` writes such archives: every member is stored as it is. The directory at the end of the file (PKWARE,
APPNOTE.TXT 4.3.12 to 4.3.16) is checked against the members' own headers, and no two members may share a byte: the two ways in
which a small archive pretends to be a large one are compression and overlap.
"""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import BinaryIO

from webui.errors import UnreadableModel

Span = tuple[int, int]  # first byte, and the one behind the last

MAX_DIRECTORY_BYTES = 8_000_000
_END = struct.Struct("<4s4H2LH")  # "end of central directory record"
_ENTRY = struct.Struct("<4s6H3L5H2L")  # "central directory header"
_LOCAL = struct.Struct("<4s5H3L2H")  # "local file header", before each member
_ENCRYPTED = 1


def zip_members(file: BinaryIO, size: int, label: str) -> dict[str, Span]:
    """Name and place of each member. Anything unusual raises ``UnreadableModel`` that begins with ``label``."""
    try:
        return _members(file, size)
    except (ValueError, struct.error) as error:
        reason = str(error) if isinstance(error, _Refused) else "its directory makes no sense"
        raise UnreadableModel(f"{label} is not an archive as torch writes it: {reason}. Download it again.") from error


class _Refused(ValueError):
    pass


def _members(file: BinaryIO, size: int) -> dict[str, Span]:
    file.seek(max(size - _END.size, 0))
    mark, _, _, _, count, length, begin, comment = _END.unpack(file.read(_END.size))
    if mark != b"PK\x05\x06" or comment:
        raise _Refused("it is cut short or has something behind its end")
    if length > MAX_DIRECTORY_BYTES or begin + length > size - _END.size:
        raise _Refused("its directory is too large")
    file.seek(begin)
    directory = file.read(length)
    members: dict[str, Span] = {}
    headers: list[Span] = []
    place = 0
    for _ in range(count):
        entry = _ENTRY.unpack_from(directory, place)
        mark, flags, method, packed, unpacked = entry[0], entry[3], entry[4], entry[8], entry[9]
        name_length, extra_length, comment_length, header_at = entry[10], entry[11], entry[12], entry[16]
        place += _ENTRY.size
        name = directory[place : place + name_length].decode()
        place += name_length + extra_length + comment_length
        if mark != b"PK\x01\x02" or name in members:
            raise _Refused("its directory names a member twice or wrongly")
        if method or packed != unpacked or flags & _ENCRYPTED:
            raise _Refused(f'"{name[:80]}" is compressed or encrypted, which torch never does')
        file.seek(header_at)
        local = _LOCAL.unpack(file.read(_LOCAL.size))
        data = header_at + _LOCAL.size + local[9] + local[10]
        if local[0] != b"PK\x03\x04" or file.read(local[9]) != name.encode():
            raise _Refused(f'"{name[:80]}" is not where the directory says')
        members[name] = (data, data + unpacked)
        headers.append((header_at, data + unpacked))
    headers.sort()
    if any(before[1] > after[0] for before, after in pairwise(headers)) or (headers and headers[-1][1] > begin):
        raise _Refused("its members overlap")
    return members
