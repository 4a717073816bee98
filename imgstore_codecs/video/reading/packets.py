"""Where the frames of a video file are: its packets in decoding order, and which of them is the n-th frame shown."""

from __future__ import annotations

import bisect
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import numpy.typing as npt
import xxhash

from imgstore_codecs.video.bitstream.key_frames import (
    INTRA_CODECS,
    SeekPoint,
    checksums_agree,
    is_shown,
    seek_point,
)
from imgstore_codecs.video.bitstream.showing_order import ShowingOrder, may_reorder
from imgstore_codecs.video.reading.field_pairs import FieldPairs, fields_of
from imgstore_codecs.video.reading.parameter_changes import ParameterChanges

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

__all__ = [
    "MOST_REORDERED",
    "NO_TIME",
    "PacketTable",
    "all_differ",
    "ends_early",
    "packets_from",
    "table_by_demuxing",
    "table_from_index",
]

Ints = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]

NO_TIME = np.iinfo(np.int64).min

# Containers that hold no presentation times: what FFmpeg makes up for them is not always the order of presentation.
_FORMATS_WITHOUT_PTS = frozenset(["avi", "h264", "hevc", "m4v", "mpegvideo", "ivf", "h263", "obu"])

# How far from its place in the order of decoding a frame may be shown, in any codec
MOST_REORDERED = 16


@dataclass
class PacketTable:
    """The packets of one video stream.

    Attributes
    ----------
    pts, dts : numpy.ndarray of int64
        Times in the stream's time base, in decoding order; `NO_TIME` where the container has none.
    pos, size : numpy.ndarray of int64
        Place in the file and size in bytes, in decoding order; the place is -1 where it is not known.
    key : numpy.ndarray of bool
        Flagged by the container as a key frame.
    shown : numpy.ndarray of bool
        Gives a frame: not cut away by an edit list, not empty.
    order : numpy.ndarray of int64 or None
        Place in decoding order of each frame, in the order of presentation, -1 where the frame's packet is missing.
        None: only decoding can tell.
    point : dict of int to SeekPoint
        What is known of packets flagged as key frames.
    changes : ParameterChanges
        From which key frames decoding cannot begin.
    in_order_only : bool
        What a decoder must know comes along with some packets, once. So it has to meet all from the first one on.
    has_checksums : bool
        Each packet has checksums that can be checked.
    from_index : bool
        Taken from the container's index, so that it lists packets that the file may lack.
    hashes : numpy.ndarray of uint64, optional
        XXH3-64 of the packets' bytes, where they have been read.
    expected : numpy.ndarray of uint64, optional
        XXH3-64 that the packets' bytes must have; of those that are no frame none is known.
    strangers : set of int
        Packets that do not belong here, by their checksums.
    gaps : set of int
        Packets before which others are missing.
    stream : int or None
        Which stream of the file it is; None: the one that `Stretch` takes for the frames of a store.
    """

    pts: Ints
    dts: Ints
    pos: Ints
    size: Ints
    key: npt.NDArray[np.bool_]
    shown: npt.NDArray[np.bool_]
    order: Ints | None
    point: dict[int, SeekPoint]
    changes: ParameterChanges
    in_order_only: bool = False
    has_checksums: bool = False
    from_index: bool = False
    hashes: Hashes | None = None
    expected: Hashes | None = None
    strangers: set[int] = field(default_factory=set)
    gaps: set[int] = field(default_factory=set)
    stream: int | None = None

    def __len__(self) -> int:
        return len(self.size)

    @property
    def frame_count(self) -> int:
        """How many frames there are, those included whose packets are missing; once `order` is known."""
        assert self.order is not None
        return len(self.order)

    @cached_property
    def rank(self) -> Ints:
        """Position of each packet's frame in the order of presentation, -1 where it has none; once `order` is known."""
        assert self.order is not None
        rank = np.full(len(self), -1, np.int64)
        there = np.flatnonzero(self.order >= 0)
        rank[self.order[there]] = there
        return rank

    @cached_property
    def identity(self) -> str | None:
        """By what a packet met after a seek is recognised: a property of `av.Packet` that differs between all packets.

        None: no seek can be trusted.
        """
        for name in ("pos", "pts", "dts"):
            values = getattr(self, name)
            unknown = -1 if name == "pos" else NO_TIME
            if not bool((values == unknown).any()) and all_differ(values):
                return name
        return None

    @cached_property
    def _by_identity(self) -> tuple[Ints, Ints | None]:
        """What packets are recognised by, ascending, and the place of each where these are not their places."""
        assert self.identity is not None
        values: Ints = getattr(self, self.identity)
        if bool((np.diff(values) > 0).all()):
            return values, None
        places = np.argsort(values)
        return values[places], places

    def place_of(self, packet: Packet[VideoStream], likely: int) -> int:
        """Place in decoding order of a packet that was met, -1 for one that is not known; it is looked for at `likely` first."""
        assert self.identity is not None
        value = getattr(packet, self.identity)
        if value is None:
            return -1
        if likely < len(self) and getattr(self, self.identity)[likely] == value:
            return likely
        values, places = self._by_identity
        at = int(np.searchsorted(values, value))
        if at == len(values) or values[at] != value:
            return -1
        return at if places is None else int(places[at])

    @property
    def can_seek(self) -> bool:
        """Whether packets are recognised after a seek, and can be decoded there."""
        return not self.in_order_only and self.identity is not None

    @property
    def nbytes(self) -> int:
        """Memory that the table takes, in bytes."""
        # four numbers, two flags, order, rank, two checksums, what packets are recognised by, sorted; and of key frames objects
        return len(self) * (4 * 8 + 2 + 2 * 8 + 2 * 8 + 2 * 8) + 300 * int(np.count_nonzero(self.key))

    def fits(self, count: int) -> bool:
        """Whether it has so many frames, and a packet of each."""
        return self.order is not None and len(self.order) == count and bool((self.order >= 0).all())

    def expect(self, checksums: npt.NDArray[np.uint64]) -> None:
        """Take the checksums of the frames as they were, in the order of presentation.

        Where the file does not hold as many, they tell which frame a packet is, as far as packets are as they were.
        """
        assert self.order is not None
        self.expected = np.zeros(len(self), np.uint64)
        if self.fits(len(checksums)):
            self.expected[self.order] = checksums
            return
        assert self.hashes is not None
        wanted: list[int] = checksums.tolist()
        places: list[int] = self.order[self.order >= 0].tolist()
        positions: dict[int, list[int]] = {}
        for position, wanted_hash in enumerate(wanted):
            positions.setdefault(wanted_hash, []).append(position)
        self.order = np.full(len(wanted), -1, np.int64)
        cursor = 0
        for place in places:
            found = int(self.hashes[place])
            candidates = positions.get(found, [])
            at = bisect.bisect_left(candidates, cursor)
            if at == len(candidates):
                self.strangers.add(place)
                continue
            self.order[candidates[at]] = place
            self.expected[place] = found
            cursor = candidates[at] + 1
        self.order = self.order[:cursor]


def all_differ(values: Ints) -> bool:
    """Whether no value comes twice. (`numpy.unique` takes several times as long, most of all where they ascend.)"""
    steps = np.diff(values)
    return bool((steps > 0).all()) or bool((np.diff(np.sort(values)) > 0).all())


def packets_from(
    container: InputContainer, stream: VideoStream, fields: FieldPairs | None
) -> Iterator[Packet[VideoStream]]:
    """Give the packets of a stream from where the container stands, going on after damage that it can step over.

    Two packets that are the fields of one picture are given as one, where `fields` tells of them.
    """
    packets = _packets_from(container, stream)
    return packets if fields is None else fields.joined(packets)


def _packets_from(container: InputContainer, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
    from av.error import InvalidDataError  # by name: this may be left while the interpreter takes modules apart

    stumbles = 0
    while True:
        got = False
        try:
            for packet in container.demux(stream):
                if packet.size == 0 and packet.dts is None and packet.pts is None and packet.pos is None:
                    return  # PyAV's mark of the end
                got = True
                yield packet
            return
        except InvalidDataError:
            stumbles = 0 if got else stumbles + 1
            if stumbles > 16:
                return


def table_by_demuxing(
    container: InputContainer, stream: VideoStream, packets: Iterator[Packet[VideoStream]]
) -> PacketTable:
    """Read all packets of a newly opened file once."""
    context = stream.codec_context
    codec, extradata = context.name, context.extradata
    rows: list[tuple[int, int, int, int, bool, bool]] = []
    point: dict[int, SeekPoint] = {}
    has_checksums = in_order_only = False
    changes = ParameterChanges(codec, extradata)
    reorders = may_reorder(context)
    showing = ShowingOrder(codec, extradata)
    has_pts = container.format.name not in _FORMATS_WITHOUT_PTS
    out_of_order, latest = False, NO_TIME  # whether times are those of showing, so that nothing else need be asked
    hashes: list[int] = []
    for packet in packets:
        pts, dts, pos = packet.pts, packet.dts, packet.pos
        data = memoryview(packet)
        hashes.append(xxhash.xxh3_64_intdigest(data))
        changes.add(len(rows), data)
        in_order_only = in_order_only or (bool(rows) and packet.has_sidedata("new_extradata"))
        if packet.size and reorders and not out_of_order:
            out_of_order = has_pts and pts is not None and pts < latest
            latest = NO_TIME if pts is None else pts
            showing.add(data)
        if packet.is_keyframe:
            point[len(rows)] = seek_point(codec, extradata, data)
        if codec == "ffv1" and len(rows) < 3:  # whichever is undamaged tells
            has_checksums = has_checksums or checksums_agree(data)
        rows.append(
            (
                NO_TIME if pts is None else pts,
                NO_TIME if dts is None else dts,
                -1 if pos is None else pos,
                packet.size,
                packet.is_keyframe,
                packet.size > 0 and not packet.is_discard and is_shown(codec, data),
            )
        )
    columns = np.array(rows, np.int64).reshape(-1, 6).T
    pts, dts, pos, size = columns[:4].copy()
    key, shown = columns[4:] != 0
    changed = in_order_only or changes.are_any
    as_decoded = not changed and (not reorders or showing.is_that_of_decoding)
    reorders = reorders or changed
    order = _order_by_pts(container.format.name, pts, shown, reorders, as_decoded)
    return PacketTable(
        pts, dts, pos, size, key, shown, order, point, changes, in_order_only, has_checksums,
        hashes=np.array(hashes, np.uint64),
    )


def _order_by_pts(
    format_name: str, pts: Ints, shown: npt.NDArray[np.bool_], reorders: bool, as_decoded: bool
) -> Ints | None:
    """Sort the frames that are shown by their times, where these can be trusted to say the order.

    Parameters
    ----------
    format_name : str
        FFmpeg's name of the container.
    pts, shown : numpy.ndarray
        Of the packets, see `PacketTable`.
    reorders : bool
        Frames may be shown in another order than they are decoded in.
    as_decoded : bool
        They are not.
    """
    frames = np.flatnonzero(shown)
    if format_name in _FORMATS_WITHOUT_PTS or (len(frames) and bool((pts[frames] == NO_TIME).any())):
        return frames if as_decoded else None
    order = frames[np.argsort(pts[frames], kind="stable")]
    if not reorders and bool((order != frames).any()):
        return None
    if bool((np.diff(pts[order]) == 0).any()):
        return frames if as_decoded else None
    if not as_decoded and not bool((order != frames).any()):
        return None  # these may be times of decoding: of what was copied out of an AVI file, those of showing are lost
    if len(order) and int(np.abs(np.argsort(order) - np.arange(len(order))).max()) > MOST_REORDERED:
        return None  # the clock has jumped
    return order


def table_from_index(path: str, container: InputContainer, stream: VideoStream) -> PacketTable | None:
    """Take the packets from the container's own index without reading the file, where that is complete.

    Returns
    -------
    PacketTable or None
        None: the index does not say all, `table_by_demuxing` does.
    """
    name = container.format.name
    count = len(stream.index_entries)
    if count == 0 or stream.frames != count:
        return None
    is_mp4 = "mp4" in name.split(",")
    codec = stream.codec_context.name
    reorders = may_reorder(stream.codec_context)
    if not (is_mp4 or (name == "avi" and not reorders)) or fields_of(stream.codec_context) is not None:
        return None
    entries = np.array([(e.timestamp, e.pos, e.size, e.flags) for e in stream.index_entries], np.int64)
    dts, pos, size, flags = entries.T.copy()
    key = (flags & 1) != 0
    if bool((flags & 2).any()) or bool((size <= 0).any()) or not all_differ(pos):
        return None
    shown = np.ones(count, np.bool_)
    changes = ParameterChanges(codec, stream.codec_context.extradata)
    if not is_mp4:
        if codec in INTRA_CODECS and not key.all():
            return None
        # where FFmpeg has the head of a chunk its packets begin behind it
        return PacketTable(dts, dts, pos + 8, size, key, shown, np.arange(count), {}, changes, from_index=True)
    samples = _read_mp4_samples(path, stream.id)
    if samples is None:
        return None
    sizes, offsets, descriptions = samples
    if len(sizes) != count or bool((sizes != size).any()):
        return None
    pts = dts + offsets
    if not offsets.any():  # nothing else says that later pictures are not shown in another order
        changes.look_at_heads(path, np.flatnonzero(key).tolist(), pos, size)
    reorders = reorders or bool(offsets.any()) or descriptions > 1 or changes.are_any
    order = _order_by_pts(name, pts, shown, reorders, not reorders)
    return PacketTable(pts, dts, pos, size, key, shown, order, {}, changes, descriptions > 1, from_index=True)


def _read_mp4_samples(path: str, track: int) -> tuple[Ints, Ints, int] | None:
    """Read the sizes of a track's samples, their composition offsets, and how many descriptions they have.

    Out of its boxes ``stsz``, ``ctts`` and ``stsc`` (ISO/IEC 14496-12, 8.7.3.2, 8.6.1.3, 8.7.4). FFmpeg's index has times of
    decoding alone; with the offsets the order of presentation is known without reading a packet. None where the boxes are
    not as expected.
    """
    try:
        with open(path, "rb") as file:
            moov = _find_box(file, b"moov")
        for trak in _boxes(moov, b"trak"):
            header = _only(_boxes(trak, b"tkhd"))
            at = 20 if header[0] == 1 else 12
            if struct.unpack_from(">I", header, at)[0] != track:
                continue
            stbl = _only(_boxes(_only(_boxes(_only(_boxes(trak, b"mdia")), b"minf")), b"stbl"))
            stsz = _only(_boxes(stbl, b"stsz"))
            constant, count = struct.unpack_from(">II", stsz, 4)
            varying = () if constant else np.frombuffer(stsz, ">u4", count, 12)
            sizes = np.array(varying, np.int64) if len(varying) else np.full(count, constant, np.int64)
            offsets = np.zeros(count, np.int64)
            for ctts in _boxes(stbl, b"ctts"):
                (runs,) = struct.unpack_from(">I", ctts, 4)
                pairs = np.frombuffer(ctts, ">i4", runs * 2, 8).reshape(-1, 2)
                offsets = np.repeat(pairs[:, 1].astype(np.int64), pairs[:, 0])
            stsc = _only(_boxes(stbl, b"stsc"))
            (runs,) = struct.unpack_from(">I", stsc, 4)
            descriptions = len(np.unique(np.frombuffer(stsc, ">u4", runs * 3, 8)[2::3]))
            return (sizes, offsets, descriptions) if len(offsets) == count else None
    except (OSError, ValueError, struct.error, IndexError):
        return None
    return None


def _find_box(file: BinaryIO, kind: bytes) -> bytes:
    """Return the content of the first top-level box of a kind."""
    while True:
        header = file.read(8)
        if len(header) < 8:
            raise ValueError(f"no {kind!r} box")
        size, found = struct.unpack(">I4s", header)
        content = size - 8
        if size == 1:
            content = struct.unpack(">Q", file.read(8))[0] - 16
        if content < 0:
            raise ValueError(f"no {kind!r} box")
        if found == kind:
            return file.read(content)
        file.seek(content, 1)


def _boxes(data: bytes, kind: bytes) -> Iterator[bytes]:
    """Give the contents of the boxes of a kind inside a box."""
    at = 0
    while at + 8 <= len(data):
        size, found = struct.unpack_from(">I4s", data, at)
        if size < 8:
            return
        if found == kind:
            yield data[at + 8 : at + size]
        at += size


def _only(boxes: Iterator[bytes]) -> bytes:
    for box in boxes:
        return box
    raise ValueError("a box is missing")


def ends_early(path: str) -> bool:
    """Whether a file is shorter than it says: its last box (mp4), segment (Matroska) or RIFF chunk (AVI) is cut off."""
    end = os.path.getsize(path)
    with open(path, "rb") as file:
        head = file.read(12)
        if head[:4] == b"RIFF":
            return int.from_bytes(head[4:8], "little") + 8 > end
        if head[:4] == b"\x1aE\xdf\xa3":
            file.seek(4)
            file.seek(_ebml_size(file) or 0, 1)
            is_segment = file.read(4) == b"\x18S\x80g"
            size = _ebml_size(file) if is_segment else None
            return size is not None and file.tell() + size > end
        if head[4:8] not in (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip"):
            return False
        at = 0
        while at + 8 <= end:
            file.seek(at)
            size = int.from_bytes(file.read(4), "big")
            if size == 1:
                file.seek(at + 8)
                size = int.from_bytes(file.read(8), "big")
            if size == 0:  # to the end of the file
                return False
            at += max(size, 8)
        return at != end


def _ebml_size(file: BinaryIO) -> int | None:
    """Read the size of a Matroska element (RFC 8794, 6); None: it is not known."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    length = 9 - first[0].bit_length()
    value = int.from_bytes(first + file.read(length - 1), "big") & ((1 << 7 * length) - 1)
    return None if value == (1 << 7 * length) - 1 else value
