"""The boxes of MP4 files (ISO/IEC 14496-12), for tests that change them or put them together."""

from __future__ import annotations

import struct
from collections.abc import Iterator


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def full(kind: bytes, content: bytes, flags: int = 0) -> bytes:
    """A box with version 0 and flags."""
    return box(kind, struct.pack(">I", flags) + content)


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        yield kind, data[at + 8 : at + size]
        at += size


def inside(data: bytes, *path: bytes) -> bytes:
    """Return the content of the first box of a kind, in the first one of the kind before it, and so on."""
    for kind in path:
        data = next(content for found, content in boxes(data) if found == kind)
    return data


def replaced(data: bytes, kind: bytes, content: bytes) -> bytes:
    """Give other content to the boxes of a kind, at the outermost level, behind what the places of frames depend on."""
    return b"".join(box(found, content if found == kind else old) for found, old in boxes(data))
