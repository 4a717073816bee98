"""MP4 that can be read at any moment while it is written, and is an ordinary one when it is closed.

While it grows (ISO/IEC 14496-12, 8.8: movie fragments), each frame stands in a fragment of its own. When it is closed,
an index of all frames is appended, and only then the box in front, so far an empty one, becomes the head of one
``mdat`` that spans everything up to that index, fragments included. FFmpeg's muxer does the same when asked for
``hybrid_fragmented``.

    ftyp | free (16 bytes) | moov without frames | moof mdat | moof mdat | ...
    ftyp | mdat ( ...................................................... ) | moov
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from imgstore_codecs.video.writing.growing import GrowingFile, Sample

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.stream import VideoStream

__all__ = ["Mp4File"]

_CONTAINERS = frozenset([b"moov", b"trak", b"mdia", b"minf", b"stbl"])
_LARGE_SIZE = struct.Struct(">I4sQ")  # head of a box whose size takes 64 bits
_KEY, _NOT_KEY = 0x02000000, 0x01010000  # sample flags: depends on no other; depends on others and is no sync sample

_DEFAULT_BASE_IS_MOOF = 0x020000
_DATA_OFFSET, _SAMPLE_SIZE, _SAMPLE_FLAGS, _COMPOSITION_OFFSET = 0x1, 0x200, 0x400, 0x800

Edit = Callable[[bytes], bytes]


class Mp4File(GrowingFile):
    """An MP4 file with one video track; `GrowingFile` has the parameters."""

    def __init__(
        self,
        path: str,
        rate: Fraction,
        describe: Callable[[Packet[VideoStream]], bytes],
        sample: Callable[[bytes], bytes],
    ) -> None:
        super().__init__(path, rate, describe, sample)
        self._offsets: list[int] = []
        self._sizes: list[int] = []
        self._dts: list[int] = []
        self._composition: list[int] = []
        self._keys: list[int] = []  # counted from 1

    def _packed(self, sample: Sample) -> bytes:
        first = self._dts[0] if self._dts else sample.dts
        moof = _fragment(len(self._sizes) + 1, self._track, sample, first)
        return b"".join((moof, _box(b"mdat", sample.data)))

    def _note(self, sample: Sample, at: int, packed: bytes) -> None:
        self._offsets.append(at + len(packed) - len(sample.data))
        self._sizes.append(len(sample.data))
        self._dts.append(sample.dts)
        self._composition.append(sample.pts - sample.dts)
        if sample.is_key:
            self._keys.append(len(self._sizes))

    def _begin(self, described: bytes) -> bytes:
        boxes = dict(_boxes(described))
        moov = boxes[b"moov"]
        trak = dict(_boxes(dict(_boxes(moov))[b"trak"]))
        (self._track,) = struct.unpack_from(">I", trak[b"tkhd"], 12)
        (self._ticks_per_second,) = struct.unpack_from(">I", dict(_boxes(trak[b"mdia"]))[b"mdhd"], 12)
        self._delta = round(self._ticks_per_second / self._rate)
        # no frames: they are in the fragments
        none = struct.pack(">II", 0, 0)
        trex = struct.pack(">6I", 0, self._track, 1, self._delta, 0, 0)
        empty = _edited(moov, {
            b"mvhd": lambda data: _with_duration(data, 16, 0),
            b"tkhd": lambda data: _with_duration(data, 20, 0),
            b"mdhd": lambda data: _with_duration(data, 16, 0),
            b"edts": lambda data: b"", b"stss": lambda data: b"", b"ctts": lambda data: b"",
            b"stts": lambda data: none, b"stsc": lambda data: none, b"stco": lambda data: none,
            b"stsz": lambda data: none + bytes(4),
        })  # fmt: skip
        self._moov = moov  # of FFmpeg's file of one frame
        ftyp = _box(b"ftyp", boxes[b"ftyp"])
        self._free = len(ftyp)  # where the box is that becomes the head of the frames
        return ftyp + _box(b"free", bytes(8)) + _box(b"moov", empty + _box(b"mvex", _box(b"trex", trex)))

    def _finish(self) -> None:
        mdat_end = self._end
        self._append(_box(b"moov", self._whole_moov()))
        self._rewrite(self._free, _LARGE_SIZE.pack(1, b"mdat", mdat_end - self._free))

    def _whole_moov(self) -> bytes:
        count = len(self._sizes)
        dts, composition = np.array(self._dts, np.int64), np.array(self._composition, np.int64)
        durations = np.append(np.diff(dts), self._delta)
        media = int(durations.sum())
        shown = dts + composition
        shown_from = int(shown.min() - dts[0])  # later than the first is decoded where frames are reordered
        presented = int(shown.max() - shown.min()) + self._delta
        (movie_timescale,) = struct.unpack_from(">I", dict(_boxes(self._moov))[b"mvhd"], 12)
        presented = min(-(-presented * movie_timescale // self._ticks_per_second), 2**32 - 1)
        large = self._offsets[-1] >= 2**32
        offsets = np.array(self._offsets, ">u8" if large else ">u4").tobytes()
        tables = {
            b"stts": struct.pack(">I", 0) + _runs(durations),
            b"stsc": struct.pack(">5I", 0, 1, 1, 1, 1),
            b"stsz": struct.pack(">III", 0, 0, count) + np.array(self._sizes, ">u4").tobytes(),
            b"stss": struct.pack(f">II{len(self._keys)}I", 0, len(self._keys), *self._keys),
        }
        if composition.any():
            tables[b"ctts"] = struct.pack(">I", 0) + _runs(composition)
        tables[b"co64" if large else b"stco"] = struct.pack(">II", 0, count) + offsets
        edit = struct.pack(">IIIiHH", 0, 1, presented, shown_from, 1, 0)

        def stbl(data: bytes) -> bytes:
            kept = b"".join(_box(kind, content) for kind, content in _boxes(data) if kind not in _TABLES)
            return kept + b"".join(_box(kind, content) for kind, content in tables.items())

        def trak(data: bytes) -> bytes:
            parts = {
                b"tkhd": lambda data: _with_duration(data, 20, presented),
                b"mdhd": lambda data: _with_duration(data, 16, media),
                b"stbl": stbl,
                b"edts": lambda data: b"",
            }
            boxes = list(_boxes(_edited(data, parts)))
            boxes.insert(1, (b"edts", _box(b"elst", edit)))  # behind tkhd
            return b"".join(_box(kind, content) for kind, content in boxes)

        return _edited(self._moov, {b"mvhd": lambda data: _with_duration(data, 16, presented), b"trak": trak})


_TABLES = frozenset([b"stts", b"stsc", b"stsz", b"stss", b"ctts", b"stco", b"co64"])


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", len(content) + 8, kind) + content


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Give kind and content of the boxes that follow each other."""
    at = 0
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        start = at + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, start)
            start += 8
        yield kind, data[start : at + size]
        at += size


def _edited(data: bytes, edits: Mapping[bytes, Edit]) -> bytes:
    """Copy boxes, with the content of some replaced, and without those whose new content is empty."""
    copied = []
    for kind, content in _boxes(data):
        if kind in edits:
            content = edits[kind](content)
            if not content:
                continue
        elif kind in _CONTAINERS:
            content = _edited(content, edits)
        copied.append(_box(kind, content))
    return b"".join(copied)


def _with_duration(header: bytes, at: int, duration: int) -> bytes:
    """Set the duration in a header box of version 0, where all ones stand for one that does not fit."""
    return header[:at] + struct.pack(">I", min(duration, 2**32 - 1)) + header[at + 4 :]


def _runs(values: npt.NDArray[np.int64]) -> bytes:
    """Count runs of equal values, as ``stts`` and ``ctts`` do."""
    starts = np.concatenate(([0], np.flatnonzero(np.diff(values)) + 1))
    pairs = np.stack([np.diff(starts, append=len(values)), values[starts]], axis=1)
    return struct.pack(">I", len(pairs)) + pairs.astype(">i4").tobytes()


def _fragment(sequence: int, track: int, frame: Sample, first: int) -> bytes:
    """Describe one frame, whose ``mdat`` follows; times are counted from when the first one is decoded."""
    composition = frame.pts - frame.dts
    flags = _DATA_OFFSET | _SAMPLE_SIZE | _SAMPLE_FLAGS | (_COMPOSITION_OFFSET if composition else 0)
    sample = struct.pack(">II", len(frame.data), _KEY if frame.is_key else _NOT_KEY)
    if composition:
        sample += struct.pack(">i", composition)
    mfhd = _box(b"mfhd", struct.pack(">II", 0, sequence))
    tfhd = _box(b"tfhd", struct.pack(">II", _DEFAULT_BASE_IS_MOOF, track))
    tfdt = _box(b"tfdt", struct.pack(">IQ", 1 << 24, frame.dts - first))
    # moof and traf have a head of 8 bytes each, trun one of 20, the mdat behind them one of 8
    offset = 8 + len(mfhd) + 8 + len(tfhd) + len(tfdt) + 20 + len(sample) + 8
    trun = _box(b"trun", struct.pack(">IIi", flags, 1, offset) + sample)
    return _box(b"moof", mfhd + _box(b"traf", tfhd + tfdt + trun))
