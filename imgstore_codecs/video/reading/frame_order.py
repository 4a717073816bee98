"""Which packet of a video file is the n-th frame."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from imgstore_codecs.video.bitstream.h264_parameters import reorder_depth
from imgstore_codecs.video.bitstream.key_frames import SeekPoint
from imgstore_codecs.video.reading.missing import frames_behind_holes, holes_in, order_with_holes
from imgstore_codecs.video.reading.packets import (
    MOST_REORDERED,
    PacketTable,
    ends_early,
    table_by_demuxing,
    table_from_index,
)
from imgstore_codecs.video.reading.stretch import Stretch

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.stream import VideoStream

__all__ = ["find_frames", "frame_checksums"]

# Codecs, by FFmpeg's name, whose packets no parser takes apart
_AS_STORED = frozenset(["h264", "hevc", "av1", "libdav1d", "vp8", "vp9", "ffv1", "mjpeg"])


def find_frames(
    path: str,
    threads: int,
    checksums: npt.NDArray[np.uint64] | None = None,
    frame_count: int | None = None,
    number: int | None = None,
) -> tuple[Stretch, PacketTable, dict[int, str]]:
    """Open a video and find its frames, reading and decoding no more of it than that takes.

    Parameters
    ----------
    path : str
        The file.
    threads : int
        For decoding; 0: as many as there are cores.
    checksums : numpy.ndarray of uint64, optional
        XXH3-64 of the packet of each frame as they were, in the order of presentation.
    frame_count : int, optional
        How many frames the file should hold.
    number : int, optional
        Of the stream, as `Stretch` takes it.

    Returns
    -------
    stretch : Stretch
        The open file.
    table : PacketTable
        Its packets, `order` included.
    faults : dict of int to str
        Packets whose frames cannot be told apart from others, and why.

    Raises
    ------
    ChunkError
        The file cannot be opened as a video.
    """
    stretch = Stretch(path, threads, checked=checksums is not None, number=number)
    faults: dict[int, str] = {}
    try:
        table = table_from_index(path, stretch.container, stretch.stream)
        if table is None or table.order is None or not stretch.begins_as(table):
            table = table_by_demuxing(stretch.container, stretch.stream, stretch.packets)
            stretch.ended = True  # it can seek; a file without an index has one now, in FFmpeg's memory
        elif len(table):
            table.point[0] = stretch.first_packet_point()
        if table.order is None:
            stretch = _reopen(stretch, path, threads, number)
            table.order, faults = _order_by_decoding(stretch, table)
            stretch.ended = True
        elif len(table.order):
            leading = int(table.order[0]) != 0
            name = stretch.codec
            if leading or (table.point.get(0, SeekPoint.NONE) is SeekPoint.NONE and name in ("h264", "hevc")):
                stretch = _reopen(stretch, path, threads, number)
                lost = _lost_at_start(stretch, table)
                stretch.ended = True
                table.order = np.array([p for p in table.order.tolist() if p not in lost], np.int64)
        if stretch.needs_first_packet:
            table.in_order_only = True
        if checksums is not None:
            if table.hashes is None and not table.fits(len(checksums)):
                table = _table_with_hashes(path, threads)
                if table.order is None:
                    table.order = np.flatnonzero(table.shown)
            table.expect(checksums)
            assert table.order is not None
            _note_gaps(table, table.order)
        else:
            order = table.order
            assert order is not None
            # an index lists all there are
            if not table.from_index and bool(np.any(np.diff(order) < 0)) and ends_early(path):
                # what is missing at the end may have been shown between the last ones
                for place in order[-max(1, reorder_depth(stretch.context)) :].tolist():
                    faults[place] = "the file ends early, so that nobody knows which frame this is"
            if not table.from_index and frame_count is not None and 0 < len(order) < frame_count:
                faults |= _make_up_for_holes(table, frame_count)
        table.stream = None if number is None else stretch.stream.index
        stretch.use(table)
    except BaseException:
        stretch.close()
        raise
    return stretch, table, faults


def _make_up_for_holes(table: PacketTable, frame_count: int) -> dict[int, str]:
    """Give frames their places behind some that are missing; return those whose place nobody knows, and why."""
    order = order_with_holes(table, frame_count)
    table.gaps.update(holes_in(table).tolist())
    if order is not None:
        _note_gaps(table, order)
        table.order = order
        return {}
    why = "frames before it are missing in the file, and it cannot be told how many"
    return dict.fromkeys(frames_behind_holes(table), why)


def _note_gaps(table: PacketTable, order: npt.NDArray[np.int64]) -> None:
    """Note where what is decoded next may refer to a frame that is missing."""
    there = order[order >= 0]
    # how far the orders of showing and of decoding are apart
    reach = int(np.abs(np.argsort(there) - np.arange(len(there))).max(initial=0))
    for position in np.flatnonzero(order < 0).tolist():
        near = order[max(position - reach, 0) : position + reach + 2]
        if bool((near >= 0).any()):
            table.gaps.add(int(near[near >= 0].min()))


def _table_with_hashes(path: str, threads: int) -> PacketTable:
    stretch = Stretch(path, threads)
    try:
        return table_by_demuxing(stretch.container, stretch.stream, stretch.packets)
    finally:
        stretch.close()


def frame_checksums(path: str, threads: int, table: PacketTable, container: str, codec: str) -> list[int]:
    """Return the XXH3-64 of each frame's packet, as `find_frames` takes them.

    Empty where some frame's packet is not there, or where FFmpeg does not hand on packets as the file has them, so that
    another version might make others of them.
    """
    stored = {"mov", "matroska", "avi"} if codec == "mjpeg" else {"mov", "matroska"}
    assert table.order is not None
    if codec not in _AS_STORED or stored.isdisjoint(container.split(",")) or not bool((table.order >= 0).all()):
        return []
    read = table if table.hashes is not None else _table_with_hashes(path, threads)
    if read.hashes is None or not np.array_equal(read.size, table.size):
        return []
    return [int(checksum) for checksum in read.hashes[table.order]]


def _reopen(stretch: Stretch, path: str, threads: int, number: int | None) -> Stretch:
    stretch.close()
    return Stretch(path, threads, number=number)


def _decode_plainly(stretch: Stretch, enough: Callable[[int, list[int]], bool]) -> tuple[int, list[int], bool]:
    """Decode a newly opened file from its start, until ``enough(packets fed, places that came out)``.

    Returns how many packets were fed, the places that came out in this order, and whether the decoder met damage.
    """
    import av

    came: list[int] = []
    fed = 0
    damaged = False

    def take(packet: Packet[VideoStream] | None) -> None:
        nonlocal damaged
        try:
            pictures = stretch.decode(packet)
        except av.error.FFmpegError:
            damaged = True
            return
        damaged = damaged or any(p.is_corrupt for p in pictures)
        came.extend(p.pts for p in pictures if p.pts is not None)

    for place, packet in enumerate(stretch.packets):
        fed = place + 1
        if packet.size == 0:
            continue
        packet.pts, packet.dts = place, None
        take(packet)
        if enough(fed, came):
            break
    take(None)
    return fed, came, damaged


def _order_by_decoding(stretch: Stretch, table: PacketTable) -> tuple[npt.NDArray[np.int64], dict[int, str]]:
    """Let the decoder say in which order frames are shown, where the file does not.

    Where it meets damage it gives no picture, and nobody knows in which place that would have been: so nobody knows it of
    those around it either, up to the next key frame.
    """
    _, came, damaged = _decode_plainly(stretch, lambda fed, came: False)
    order = np.array(came, np.int64)
    if not damaged:
        return order, {}
    lost = np.setdiff1d(np.flatnonzero(table.shown), order)
    order = np.insert(order, [int((order < place).sum()) for place in lost.tolist()], lost)
    keys = np.flatnonzero(table.key)
    faults = {}
    for place in lost.tolist():
        after = keys[keys > place]
        for near in range(max(place - MOST_REORDERED, 0), int(after[0]) if len(after) else len(table)):
            faults[near] = "the decoder gives no picture for it, or for one near it"
    return order, faults


def _lost_at_start(stretch: Stretch, table: PacketTable) -> set[int]:
    """Find the packets at the start of a stream that refer to what was cut away before it: no decoder shows them.

    Where packets are damaged nothing was cut: their frames are there and cannot be decoded.
    """
    assert table.order is not None
    first_shown = int(np.argmax(table.order == 0)) if table.order[0] != 0 else 0
    leading = max(table.order[:first_shown].tolist(), default=0)
    fed, came, damaged = _decode_plainly(stretch, lambda fed, came: fed > leading + 32 and len(came) > 0)
    return set() if damaged else set(range(fed)).difference(came) & set(table.order.tolist())
