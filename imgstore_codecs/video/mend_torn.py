"""Making a whole file out of a damaged or unfinished one, by copying packets: nothing is encoded again.

A recording that was killed leaves a container without its index: a fragmented mp4, a Matroska file of unknown length
without cues, an AVI without ``idx1``. The packets are good up to a torn end. They are written into a new file that
every player seeks in.
"""

from __future__ import annotations

import os
import zlib
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from imgstore.codec import FrameSpec
from imgstore.errors import ChunkError, FrameDecodeError
from imgstore_codecs.video.open_video import address, open_video, video_stream
from imgstore_codecs.video.reading.field_pairs import fields_of
from imgstore_codecs.video.reading.packets import NO_TIME, PacketTable, ends_early, packets_from
from imgstore_codecs.video.reading.video_reader import VideoReader

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.video.stream import VideoStream

__all__ = ["is_finished", "recover_video"]

_MUXERS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska", ".avi": "avi"}

# Matroska (RFC 9559, 5.1): a segment whose size was not known when it was begun
_SEGMENT_OF_UNKNOWN_SIZE = b"\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff"


def recover_video(damaged: str, target: str, spec: FrameSpec, limit: int | None = None) -> int:
    """Copy the frames up to the last good one into a new file.

    Parameters
    ----------
    damaged : str
        The file.
    target : str
        The new file. It is not written where the old one is whole already.
    spec : FrameSpec
        What the frames are.
    limit : int, optional
        How many frames are known; no more are copied.

    Returns
    -------
    int
        How many frames `target` holds, or the file as it is; the first ones, in the order of presentation.

    Raises
    ------
    FrameDecodeError
        The file is whole and holds other than `limit` frames: it cannot be told which are missing or too many. Or the
        copy does not hold what was copied.
    ChunkError
        Nothing of it can be saved.
    OSError
        The file cannot be read, or the new one not written.
    """
    reader = VideoReader(damaged, spec, {})
    try:
        held = reader.frame_count
        finished = is_finished(damaged)
        if finished and limit is not None and held != limit:
            raise FrameDecodeError(
                f"{damaged}: holds {held} frames where {limit} are known, though its end is there: it cannot be told"
                f" which {'are missing' if held < limit else 'belong to it'}"
            )
        keep = _last_good(reader, held if limit is None else min(held, limit)) + 1
        if keep == held and finished:
            return keep
        table = reader.table
        assert table.order is not None
        keep = _cut(table.order, _up_to_gap(table.pts[table.order[:keep]]))
        if not keep:
            raise ChunkError(f"{damaged}: holds no frame that can be decoded")
        packets = int(table.order[:keep].max()) + 1
        sizes, times = table.size[:packets], _times(table, packets)
    finally:
        reader.close()
    checksum = _copy_packets(damaged, target, sizes, times)
    _check(target, spec, keep, checksum)
    return keep


def _last_good(reader: VideoReader, count: int) -> int:
    """Return the position of the last frame that can be decoded, -1 where there is none."""
    for position in range(count - 1, -1, -1):
        try:
            reader.read(position)
        except FrameDecodeError:
            continue
        return position
    return -1


def _up_to_gap(times: npt.NDArray[np.int64]) -> int:
    """Return how many frames there are before the first that is missing, as far as their times can tell.

    They can where frames are equally far apart, as imgstore writes them.
    """
    intervals = np.diff(times)
    if not len(intervals):
        return len(times)
    usual = float(np.median(intervals))
    even = np.abs(intervals - usual) < 0.5 * usual
    if usual <= 0 or np.count_nonzero(even) < 0.9 * len(intervals):
        return len(times)
    (gaps,) = np.nonzero(intervals > 1.5 * usual)
    return int(gaps[0]) + 1 if len(gaps) else len(times)


def _cut(order: npt.NDArray[np.int64], keep: int) -> int:
    """Return how many frames, at most `keep`, are all that some number of packets from the start gives."""
    if not keep:
        return 0
    latest = np.maximum.accumulate(order[:keep])
    following = np.minimum.accumulate(order[::-1])[::-1]
    after = np.append(following, np.iinfo(np.int64).max)[1 : keep + 1]
    (cuts,) = np.nonzero(latest < after)
    return int(cuts[-1]) + 1 if len(cuts) else 0


def _times(table: PacketTable, packets: int) -> list[tuple[int, int]]:
    """Return the times of showing and of decoding for the first packets, as containers ask for them.

    Where a file has none of decoding, or some of them twice, they are made as encoders make them: the times of showing in
    order, and so much earlier that no frame is shown before it is decoded.
    """
    pts, dts = table.pts[:packets].copy(), table.dts[:packets].copy()
    unknown = pts == NO_TIME
    pts[unknown] = np.where(dts == NO_TIME, np.arange(packets), dts)[unknown]
    if bool((dts == NO_TIME).any()) or bool((np.diff(dts) <= 0).any()):
        dts = np.sort(pts)
        dts -= max(0, int((dts - pts).max(initial=0)))
    return list(zip(pts.tolist(), dts.tolist(), strict=True))


def _copy_packets(damaged: str, target: str, sizes: npt.NDArray[np.int64], times: list[tuple[int, int]]) -> int:
    """Copy packets of these sizes; return the CRC-32 of what they hold."""
    import av

    checksum = 0
    try:
        with open_video(damaged) as source:
            stream = video_stream(source)
            assert stream is not None  # it has been read
            muxer = _MUXERS.get(os.path.splitext(damaged)[1].lower(), source.format.name.partition(",")[0])
            with av.open(address(target), "w", format=muxer) as destination:
                copy = _add_copy(destination, stream)
                for place, packet in enumerate(_first_packets(source, stream, len(sizes))):
                    if packet.size != sizes[place]:
                        raise FrameDecodeError(f"{damaged}: its packets are not the same when they are read again")
                    if not packet.size:
                        continue
                    checksum = zlib.crc32(memoryview(packet), checksum)
                    packet.pts, packet.dts = times[place]
                    packet.stream = copy
                    destination.mux(packet)
    except OSError:
        raise  # of the system, for want of space for instance; PyAV's are such too
    except av.error.FFmpegError as error:
        raise ChunkError(f"{damaged}: its packets cannot be copied: {error.strerror}") from error
    return checksum


def _add_copy(destination: OutputContainer, stream: VideoStream) -> VideoStream:
    try:
        return destination.add_stream_from_template(stream)
    except ValueError:  # FFmpeg encodes this under another name than it decodes it, or not at all; newer PyAV copies it
        return destination.add_stream_from_template(stream, opaque=True)


def _first_packets(source: InputContainer, stream: VideoStream, count: int) -> Any:
    return islice(packets_from(source, stream, fields_of(stream.codec_context)), count)


def _check(target: str, spec: FrameSpec, count: int, checksum: int) -> None:
    """See that the new file holds what was copied."""
    copied = 0
    with open_video(target) as container:
        for packet in packets_from(container, container.streams.video[0], None):
            copied = zlib.crc32(memoryview(packet), copied)
    reader = VideoReader(target, spec, {})
    try:
        if reader.frame_count != count or copied != checksum:
            raise FrameDecodeError(f"{target}: holds {reader.frame_count} frames after copying {count}")
        reader.read(count - 1)
    finally:
        reader.close()


def is_finished(path: str) -> bool:
    """Whether whoever wrote a video file has closed it: it has its index and ends where it says."""
    if ends_early(path):
        return False
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        head = file.read(4096)
        if head.startswith(b"RIFF"):
            return _avi_is_finished(file, size)
        if head.startswith(b"\x1aE\xdf\xa3"):
            return _SEGMENT_OF_UNKNOWN_SIZE not in head
        kinds, at = [], 0
        while at + 8 <= size:
            file.seek(at)
            header = file.read(16)
            length = int.from_bytes(header[:4], "big")
            if length == 1:
                length = int.from_bytes(header[8:16], "big")
            kinds.append(header[4:8])
            at += max(length, 8) if length else size
        return b"moov" in kinds and b"moof" not in kinds


def _avi_is_finished(file: Any, size: int) -> bool:
    at, has_index = 0, False
    while at + 12 <= size:
        file.seek(at)
        header = file.read(12)
        end = at + 8 + int.from_bytes(header[4:8], "little")
        if header[:4] != b"RIFF" or end <= at + 12:
            return False
        inside = at + 12
        while inside + 8 <= min(end, size):
            file.seek(inside)
            header = file.read(8)
            has_index = has_index or header[:4] == b"idx1"
            length = int.from_bytes(header[4:8], "little")
            inside += 8 + length + length % 2
        at = end + end % 2
    return has_index and at >= size
