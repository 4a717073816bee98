"""Matroska that can be read at any moment while it is written, and is an ordinary one when it is closed.

Each frame is a cluster of its own (RFC 9559, section 10). When the file is closed, an index of the key frames is
appended (``Cues``), and only then the beginning is rewritten, which now says where that is and how long everything is.

    EBML | Segment of unknown size: SeekHead Void Info Tracks | Cluster | Cluster | ...
    EBML | Segment:                 SeekHead      Info Tracks | Cluster | Cluster | ... | Cues
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

from imgstore_codecs.video.writing.growing import GrowingFile, Sample

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.stream import VideoStream

__all__ = ["MkvFile"]

# RFC 9559, section 5 and RFC 8794, section 11
_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
_SEEK_HEAD, _SEEK, _SEEK_ID, _SEEK_POSITION = b"\x11\x4d\x9b\x74", b"\x4d\xbb", b"\x53\xab", b"\x53\xac"
_INFO, _DURATION, _TRACKS = b"\x15\x49\xa9\x66", b"\x44\x89", b"\x16\x54\xae\x6b"
_CLUSTER, _TIMESTAMP, _SIMPLE_BLOCK = b"\x1f\x43\xb6\x75", b"\xe7", b"\xa3"
_CUES, _CUE_POINT, _CUE_TIME, _CUE_TRACK_POSITIONS = b"\x1c\x53\xbb\x6b", b"\xbb", b"\xb3", b"\xb7"
_CUE_TRACK, _CUE_CLUSTER_POSITION = b"\xf7", b"\xf1"
_VOID, _CRC = b"\xec", b"\xbf"

_UNKNOWN_SIZE = b"\x01" + b"\xff" * 7
_BLOCK_OF_TRACK_1 = struct.Struct(">BhB")  # track number, time relative to the cluster's, flags
_KEY = 0x80
_TICKS_PER_SECOND = 1000  # FFmpeg writes milliseconds


class MkvFile(GrowingFile):
    """A Matroska file with one video track; `GrowingFile` has the parameters."""

    _ticks_per_second = _TICKS_PER_SECOND

    def __init__(
        self,
        path: str,
        rate: Fraction,
        describe: Callable[[Packet[VideoStream]], bytes],
        sample: Callable[[bytes], bytes],
    ) -> None:
        super().__init__(path, rate, describe, sample)
        self._last = 0  # latest time
        self._keys: list[tuple[int, int]] = []  # time and place

    def _begin(self, described: bytes) -> bytes:
        self._parts = _parts(described)
        # where the segment's content begins, from which places in it are counted
        self._content = len(self._parts[_EBML]) + len(_SEGMENT) + 8
        return self._beginning()

    def _packed(self, sample: Sample) -> bytes:
        block = _BLOCK_OF_TRACK_1.pack(0x81, 0, _KEY if sample.is_key else 0)
        block_head = _SIMPLE_BLOCK + _size(len(block) + len(sample.data)) + block
        timestamp = _element(_TIMESTAMP, _unsigned(sample.pts))
        crc = zlib.crc32(sample.data, zlib.crc32(timestamp + block_head))
        pieces = (_element(_CRC, struct.pack("<I", crc)), timestamp, block_head, sample.data)
        return b"".join((_CLUSTER, _size(sum(map(len, pieces))), *pieces))

    def _note(self, sample: Sample, at: int, packed: bytes) -> None:
        self._last = max(self._last, sample.pts)
        if sample.is_key:
            self._keys.append((sample.pts, at - self._content))

    def _beginning(self, size: bytes = _UNKNOWN_SIZE, duration: float = 0.0, cues: int | None = None) -> bytes:
        """Put together everything before the frames; its length is always the same."""
        info = _SEEK_HEAD + _size(3 * _SEEK_LENGTH)
        after = len(info) + 3 * _SEEK_LENGTH
        described = _with_duration(self._parts[_INFO], duration)
        entries = [_seek(_INFO, after), _seek(_TRACKS, after + len(described))]
        if cues is not None:
            entries.append(_seek(_CUES, cues))
        else:
            entries.append(_VOID + _size(_SEEK_LENGTH - 2) + bytes(_SEEK_LENGTH - 2))
        return b"".join((self._parts[_EBML], _SEGMENT, size, info, *entries, described, self._parts[_TRACKS]))

    def _finish(self) -> None:
        points = [
            _element(
                _CUE_POINT,
                _element(_CUE_TIME, _unsigned(time))
                + _element(
                    _CUE_TRACK_POSITIONS,
                    _element(_CUE_TRACK, b"\x01") + _element(_CUE_CLUSTER_POSITION, _unsigned(place)),
                ),
            )
            for time, place in self._keys
        ]
        cues = self._append(_element(_CUES, b"".join(points))) - self._content
        size = (self._end - self._content | 1 << 56).to_bytes(8, "big")
        duration = self._last + float(_TICKS_PER_SECOND / self._rate)
        self._rewrite(0, self._beginning(size, duration, cues))


def _size(value: int) -> bytes:
    """Write a size in as few bytes as it takes (RFC 8794, section 4); all ones would mean that it is not known."""
    length = 1
    while value >= (1 << 7 * length) - 1:
        length += 1
    return (value | 1 << 7 * length).to_bytes(length, "big")


def _unsigned(value: int) -> bytes:
    return value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")


def _element(kind: bytes, content: bytes) -> bytes:
    return kind + _size(len(content)) + content


def _seek(kind: bytes, position: int) -> bytes:
    """Say where an element is; always in the same number of bytes."""
    return _element(_SEEK, _element(_SEEK_ID, kind) + _element(_SEEK_POSITION, position.to_bytes(8, "big")))


_SEEK_LENGTH = len(_seek(_CUES, 0))


def _elements(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Give identity and content of the elements that follow each other."""
    at = 0
    while at < len(data):
        length = 9 - data[at].bit_length()
        kind, at = data[at : at + length], at + length
        length = 9 - data[at].bit_length()
        size, at = int.from_bytes(data[at : at + length], "big") & ((1 << 7 * length) - 1), at + length
        yield kind, data[at : at + size]
        at += size


def _parts(described: bytes) -> dict[bytes, bytes]:
    """Take the elements that describe the stream out of a file."""
    outer = dict(_elements(described))
    segment = dict(_elements(outer[_SEGMENT]))
    return {
        _EBML: _element(_EBML, outer[_EBML]),
        _INFO: segment[_INFO],
        _TRACKS: _element(_TRACKS, segment[_TRACKS]),
    }


def _with_duration(info: bytes, duration: float) -> bytes:
    kept = [_element(kind, content) for kind, content in _elements(info) if kind not in (_CRC, _DURATION)]
    return _element(_INFO, b"".join([*kept, _element(_DURATION, struct.pack(">d", duration))]))
