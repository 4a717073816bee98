"""Where an MP4 file whose end is torn is still good.

FFmpeg reads Matroska and AVI up to where they break off. It refuses a whole MP4 when its last fragment is half a
description, though everything before that is good: a kill or a power cut leaves such files. So does a copy that was not
completed of a file that was, whose index is at its end.
"""

from __future__ import annotations

import os
from typing import BinaryIO

__all__ = ["whole_fragments"]

_NESTED = frozenset([b"moof", b"traf"])
_INSIDE = frozenset([b"mfhd", b"traf", b"tfhd", b"tfdt", b"trun"])
_TOP = frozenset([b"ftyp", b"free", b"moov", b"moof", b"mdat"])
_LONGEST_MOOF = 1 << 20


def whole_fragments(path: str) -> tuple[int, int]:
    """Return where the part of an MP4 file that can be read begins and ends, twice 0 where none has been begun by us."""
    try:
        size = os.path.getsize(path)
        with open(path, "rb") as file:
            start = _inside_first_mdat(file)
            return start, _end_of_whole_boxes(file, start, size)
    except OSError:
        return 0, 0


def _inside_first_mdat(file: BinaryIO) -> int:
    """Return where the boxes begin that tell of frames: within an ``mdat``, where a file has been complete and was cut.

    When a file is closed, an ``mdat`` is put around its fragments, and its index behind that.
    """
    file.seek(0)
    at = int.from_bytes(file.read(4), "big")  # behind ftyp
    file.seek(at)
    head = file.read(24)
    return at + 16 if head[:8] == b"\0\0\0\1mdat" and head[20:24] == b"moov" else 0


def _end_of_whole_boxes(file: BinaryIO, start: int, size: int) -> int:
    """Walk the boxes of ISO/IEC 14496-12 that follow each other up to the last frame that is whole."""
    at, good = start, 0
    while at + 8 <= size:
        file.seek(at)
        header = file.read(8)
        length, kind = int.from_bytes(header[:4], "big"), header[4:]
        if kind not in _TOP or length < 8 or at + length > size:
            break
        if kind == b"moof" and (length > _LONGEST_MOOF or not _is_whole(file.read(length - 8))):
            break
        at += length
        if kind == b"mdat":
            good = at
    return good


def _is_whole(content: bytes) -> bool:
    """Whether boxes fill the place that they are said to fill, and are those of a fragment."""
    at = 0
    while at + 8 <= len(content):
        length, kind = int.from_bytes(content[at : at + 4], "big"), content[at + 4 : at + 8]
        if kind not in _INSIDE or length < 8 or at + length > len(content):
            return False
        if kind in _NESTED and not _is_whole(content[at + 8 : at + length]):
            return False
        at += length
    return at == len(content) > 0
