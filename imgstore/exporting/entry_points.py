"""How chunks are opened for their packets, and from which of these can decoding begin, exactly: flags say it of more."""

from __future__ import annotations

import os
from collections.abc import Iterator

__all__ = ["OWN_FILE_ALONE", "address", "begins_anew", "has_lengths", "parameter_sets"]

# Options of FFmpeg, which goes by content: a text in place of a video may be a list of other files, or of addresses.
OWN_FILE_ALONE = {"format_whitelist": "mov,mp4,matroska,webm,avi", "enable_drefs": "0", "use_absolute_path": "0"}

# Codecs whose packets that are flagged as key frames are what they say
_AS_FLAGGED = frozenset(["mjpeg", "ffv1", "mpeg4", "av1", "vp8", "vp9", "rawvideo", "png", "huffyuv"])
_NAL_CODECS = {"h264": 4, "hevc": 21}  # which byte of their description says how long the lengths of units are


def address(path: str | os.PathLike[str]) -> str:
    """Return a file's path as FFmpeg takes it, which else takes what comes before a colon for a protocol."""
    return f"file:{os.path.abspath(path)}"


def begins_anew(codec: str, extradata: bytes | None, data: memoryview, flagged: bool) -> bool:
    """Whether a packet's picture refers to none before, and nothing behind it, as it is shown, to one before it.

    Whether pictures that are shown before it come after it in the file is for the caller to see.
    """
    if codec not in _NAL_CODECS:
        return flagged and codec in _AS_FLAGGED
    # ITU-T H.264, table 7-1: 5 is a slice of an IDR picture. H.265, table 7-1: 16 to 21 are BLA, IDR and CRA.
    for kind, _ in _units(codec, extradata, data):
        if codec == "h264" and 1 <= kind <= 5:
            return kind == 5
        if codec == "hevc" and kind < 32:
            return 16 <= kind <= 21
    return False


def parameter_sets(codec: str, extradata: bytes | None, data: memoryview) -> list[bytes]:
    """Return the parameter sets that a packet brings with it."""
    wanted = {"h264": (7, 8), "hevc": (32, 33, 34)}.get(codec, ())
    return [unit for kind, unit in _units(codec, extradata, data) if kind in wanted] if wanted else []


def has_lengths(codec: str, extradata: bytes | None) -> bool:
    """Whether units of H.264 and HEVC have their lengths before them, as MP4 and Matroska hold them."""
    return codec not in _NAL_CODECS or (extradata is not None and len(extradata) > 6 and extradata[0] == 1)


def _units(codec: str, extradata: bytes | None, data: memoryview) -> Iterator[tuple[int, bytes]]:
    """Give the kind of each unit, and of parameter sets the whole unit; of others the first bytes."""
    assert extradata is not None
    size, at = (extradata[_NAL_CODECS[codec]] & 3) + 1, 0
    while at + size < len(data):
        length = int.from_bytes(data[at : at + size], "big")
        at += size
        if not length:
            continue
        kind = data[at] & 31 if codec == "h264" else data[at] >> 1 & 63
        yield kind, bytes(data[at : at + min(length, 4096)]) if kind in (7, 8, 32, 33, 34) else b""
        at += length
