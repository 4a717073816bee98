"""The boxes of MP4 files (ISO/IEC 14496-12), for tests that change them or put them together."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import av


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


TICKS_PER_SECOND, TICK = 12800, 512  # 25 frames per second


class Sample(NamedTuple):
    """A packet as it is in a file."""

    data: bytes
    offset: int  # from when it is decoded to when it is shown, in ticks
    is_key: bool


class Part(NamedTuple):
    """Packets that belong to one sample description (ISO/IEC 14496-12, 8.5.2)."""

    description: bytes
    samples: list[Sample]


def part_of(path: Path) -> Part:
    """Take the description and the packets out of an MP4 file with one of these."""
    description = inside(path.read_bytes(), b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")[8:]
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    return Part(description, [Sample(bytes(p), p.pts - p.dts, p.is_keyframe) for p in packets])


def with_sets_in_packets(part: Part, description: bytes, each: bool) -> Part:
    """Give H.264 another description, and its own parameter sets to its first key frame, or to each."""
    at = part.description.index(b"avcC") + 4
    avcc, sets, place = part.description[at:], b"", 6
    for count_at in (5, None):
        count = avcc[5] & 31 if count_at else avcc[place - 1]
        for _ in range(count):
            size = int.from_bytes(avcc[place : place + 2], "big")
            sets += size.to_bytes(4, "big") + avcc[place + 2 : place + 2 + size]
            place += 2 + size
        place += 1
    keys = [k for k, sample in enumerate(part.samples) if sample.is_key]
    samples = list(part.samples)
    for k in keys if each else keys[:1]:
        samples[k] = samples[k]._replace(data=sets + samples[k].data)
    return Part(description, samples)


def write_mp4(
    path: Path, parts: list[Part], size: tuple[int, int], *, edits: list[tuple[int, int]] | None = None, shown: bool = True
) -> None:
    """Put an MP4 file together.

    Parameters
    ----------
    path : Path
        The file.
    parts : list of Part
        Each becomes a chunk.
    size : tuple of int
        Height and width of its frames.
    edits : list of (start, count), optional
        Which frames are shown, in the order of presentation; by default all.
    shown : bool
        Whether times of showing are stored; else it has those of decoding alone, as what was copied out of an AVI.
    """
    start = box(b"ftyp", b"isom\0\0\2\0isomavc1")
    samples = [sample for part in parts for sample in part.samples]
    descriptions = list(dict.fromkeys(part.description for part in parts))
    places, at = [], len(start) + 8
    for part in parts:
        places.append(at)
        at += sum(len(sample.data) for sample in part.samples)
    count, delay = len(samples), min(k * TICK + sample.offset for k, sample in enumerate(samples)) if shown else 0

    def words(*values: int) -> bytes:
        return struct.pack(f">{len(values)}I", *values)

    keys = [k for k, sample in enumerate(samples, 1) if sample.is_key]
    runs = [(k, len(part.samples), descriptions.index(part.description) + 1) for k, part in enumerate(parts, 1)]
    tables = [
        full(b"stsd", words(len(descriptions)) + b"".join(descriptions)),
        full(b"stts", words(1, count, TICK)),
        full(b"ctts", words(count) + b"".join(words(1, sample.offset) for sample in samples)) if shown else b"",
        full(b"stss", words(len(keys), *keys)),
        full(b"stsc", words(len(runs), *(value for run in runs for value in run))),
        full(b"stsz", words(0, count, *(len(sample.data) for sample in samples))),
        full(b"stco", words(len(places), *places)),
    ]
    height, width = size
    matrix = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    edited = edits or [(0, count)]
    duration = sum(length for _, length in edited) * 40
    edit_list = b"".join(struct.pack(">IiHH", length * 40, delay + begin * TICK, 1, 0) for begin, length in edited)
    media = [
        full(b"mdhd", words(0, 0, TICKS_PER_SECOND, count * TICK) + b"\x55\xc4\0\0"),
        full(b"hdlr", struct.pack(">I4s12x", 0, b"vide") + b"\0"),
        box(
            b"minf",
            full(b"vmhd", bytes(8), 1)
            + box(b"dinf", full(b"dref", words(1) + full(b"url ", b"", 1)))
            + box(b"stbl", b"".join(tables)),
        ),
    ]
    track = [
        full(b"tkhd", words(0, 0, 1, 0, duration) + bytes(16) + matrix + words(width << 16, height << 16), 3),
        box(b"edts", full(b"elst", words(len(edited)) + edit_list)),
        box(b"mdia", b"".join(media)),
    ]
    movie = full(b"mvhd", words(0, 0, 1000, duration, 1 << 16) + b"\1\0" + bytes(10) + matrix + bytes(24) + words(2))
    data = box(b"mdat", b"".join(sample.data for sample in samples))
    path.write_bytes(start + data + box(b"moov", movie + box(b"trak", b"".join(track))))
