"""Video files to which frames are added one by one, each with one write, so that all that was accepted is in the file.

FFmpeg's own muxers hold the last frame back until the next one comes (both a fragment of MP4 and a cluster of Matroska
are only written when another begins), which a camera that stands still, a killed process or a full disk turns into
a lost frame. So FFmpeg encodes and describes the stream, and its frames are put into the file here.
"""

from __future__ import annotations

import contextlib
import io
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from imgstore_codecs.video.open_video import address

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.packet import Packet
    from av.video.codeccontext import VideoCodecContext
    from av.video.stream import VideoStream

__all__ = ["FFmpegFile", "GrowingFile", "Sample", "Sink", "header_of_one_frame", "sample_maker"]

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)

_OBU_TEMPORAL_DELIMITER = 2
_OBU_HAS_SIZE, _OBU_HAS_EXTENSION = 0x02, 0x04


class Sink(ABC):
    """Takes the packets of one video."""

    @abstractmethod
    def add(self, packet: Packet[VideoStream]) -> tuple[int, bytes, bytes]:
        """Append a packet; return where it begins in the file, its bytes there, which stay as they are, and of these
        what a reader gets as the packet.

        Raises
        ------
        OSError
            It cannot be written. Nothing of it is left in the file.
        """

    @abstractmethod
    def close(self) -> None:
        """Make the file an ordinary one, with an index at its end. OSError where that cannot be written."""

    @abstractmethod
    def abandon(self) -> None:
        """Let go of the file as it is: what was added can be read."""


class Sample(NamedTuple):
    """A frame as a container holds it."""

    data: bytes
    pts: int  # when it is shown and decoded, in the container's ticks
    dts: int
    is_key: bool


class GrowingFile(Sink):
    """What the containers have in common: whole writes at the end, and a beginning that is rewritten last.

    Parameters
    ----------
    path : str
        The file; one that is there is overwritten.
    rate : Fraction
        Frames per second.
    describe : callable
        Gives a file of one frame in the same container, of the stream to which a packet belongs.
    sample : callable
        Turns a packet's bytes into what the file holds.
    """

    _ticks_per_second: int  # once the file has been begun

    def __init__(
        self,
        path: str,
        rate: Fraction,
        describe: Callable[[Packet[VideoStream]], bytes],
        sample: Callable[[bytes], bytes],
    ) -> None:
        self._rate = rate
        self._describe = describe
        self._sample = sample
        self._head: bytes | None = None
        self._fd: int | None = os.open(path, _FLAGS, 0o666)
        self._end = 0

    def add(self, packet: Packet[VideoStream]) -> tuple[int, bytes, bytes]:
        if self._head is None:
            self._head = self._begin(self._describe(packet))
        time_base = packet.time_base or 1 / self._rate
        pts, dts = (ticks(time, time_base, self._ticks_per_second) for time in (packet.pts, packet.dts))
        sample = Sample(self._sample(bytes(packet)), pts, dts, packet.is_keyframe)
        packed = self._packed(sample)
        head = b"" if self._end else self._head
        at = self._append(head + packed) + len(head)
        self._note(sample, at, packed)
        return at, packed, sample.data

    @abstractmethod
    def _begin(self, described: bytes) -> bytes:
        """Take over FFmpeg's description of the stream; return the beginning of the file."""

    @abstractmethod
    def _packed(self, sample: Sample) -> bytes:
        """Return a frame with all that the container puts around it."""

    @abstractmethod
    def _note(self, sample: Sample, at: int, packed: bytes) -> None:
        """Note for the index that a frame has been written at a place."""

    def _append(self, data: bytes) -> int:
        """Write at the end of the file, all or nothing; return where that was."""
        assert self._fd is not None
        at = self._end
        try:
            self._write(data)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, at)
            os.lseek(self._fd, at, os.SEEK_SET)
            raise
        self._end = at + len(data)
        return at

    def _write(self, data: bytes) -> None:
        assert self._fd is not None
        done = os.write(self._fd, data)
        while done < len(data):
            done += os.write(self._fd, memoryview(data)[done:])

    def _rewrite(self, at: int, data: bytes) -> None:
        """Put other bytes at a place, once all that was written before is on the disk: they may refer to it."""
        assert self._fd is not None
        os.fsync(self._fd)
        os.lseek(self._fd, at, os.SEEK_SET)
        self._write(data)

    def close(self) -> None:
        """Finish the file, which stays as it was where that fails."""
        if self._fd is None:
            return
        if self._end:
            self._finish()
        self.abandon()

    @abstractmethod
    def _finish(self) -> None:
        """Append the index and rewrite the beginning."""

    def abandon(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)


class FFmpegFile(Sink):
    """A container that FFmpeg itself writes: AVI, whose muxer holds nothing back.

    Parameters
    ----------
    path : str
        The file; one that is there is overwritten.
    muxer : str
        FFmpeg's name of the container.

    Attributes
    ----------
    container : av.container.OutputContainer
        On the file.
    stream : av.VideoStream
        The one in it, to be set before the first packet comes.
    """

    stream: VideoStream

    def __init__(self, path: str, muxer: str) -> None:
        import av

        self.container = av.open(address(path), "w", format=muxer, options={"flush_packets": "1"})
        self._path = path
        self._open = True
        self._end = 0  # of what is whole

    def begin(self) -> None:
        """Bring the beginning to the disk, which `add` need not write.

        FFmpeg looks for frames wherever they might be when that is damaged, and misses the first ones.
        """
        descriptor = os.open(self._path, os.O_RDWR | getattr(os, "O_BINARY", 0))
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def add(self, packet: Packet[VideoStream]) -> tuple[int, bytes, bytes]:
        data = bytes(packet)
        packet.stream = self.stream
        self.container.mux_one(packet)
        self._end = os.path.getsize(self._path)
        return self._end - len(data) - len(data) % 2, data, data  # at even places in the file

    def close(self) -> None:
        if self._open:
            self.container.close()
            self._open = False

    def abandon(self) -> None:
        if not self._open:
            return
        self._open = False
        with contextlib.suppress(Exception):  # it is given up because of an error that is being raised already
            self.container.close()
        with contextlib.suppress(OSError):  # half a frame, or half an index
            os.truncate(self._path, self._end)


def header_of_one_frame(
    container: OutputContainer, stream: VideoStream, buffer: io.BytesIO, packet: Packet[VideoStream]
) -> bytes:
    """Let FFmpeg write a file of one frame into memory, for the description of the stream that is in it.

    Parameters
    ----------
    container : av.container.OutputContainer
        Open on `buffer`; it is closed.
    stream : av.VideoStream
        The one in it.
    buffer : io.BytesIO
        What it writes to.
    packet : av.Packet
        The first one; it is left as it is.

    Returns
    -------
    bytes
    """
    import av

    copy = av.Packet(bytes(packet))
    copy.pts, copy.dts, copy.duration, copy.time_base = packet.pts, packet.dts, 1, packet.time_base
    copy.is_keyframe = packet.is_keyframe
    copy.stream = stream
    container.mux_one(copy)
    container.close()
    return buffer.getvalue()


def sample_maker(context: VideoCodecContext) -> Callable[[bytes], bytes]:
    """Give the function that turns an encoder's packets into what MP4 and Matroska hold.

    H.264 and H.265 (ITU-T H.264 and H.265, annex B) come as NAL units between start codes and are stored with their
    lengths in front (ISO/IEC 14496-15, 5.3); AV1 is stored without temporal delimiters (AV1 in ISOBMFF, 2.4). All else
    is stored as it comes.
    """
    codec, extradata = context.codec.canonical_name, context.extradata
    if codec in ("h264", "hevc") and extradata and extradata[0] != 1:
        return with_lengths
    if codec == "av1":
        return without_temporal_delimiters
    return bytes


def with_lengths(data: bytes) -> bytes:
    """Turn NAL units between start codes into NAL units behind their lengths of four bytes."""
    pieces = []
    start = data.find(b"\0\0\1")
    while start >= 0:
        start += 3
        following = data.find(b"\0\0\1", start)
        end = following if following >= 0 else len(data)
        while end > start and not data[end - 1]:  # belongs to the next start code, or is padding: no NAL unit ends in 0
            end -= 1
        pieces += [(end - start).to_bytes(4, "big"), data[start:end]]
        start = following
    return b"".join(pieces)


def without_temporal_delimiters(data: bytes) -> bytes:
    """Leave out the units of an AV1 packet that only part it from others (AV1 specification, 5.3.2 and 7.5)."""
    kept, at = [], 0
    while at < len(data):
        header, start = data[at], at
        at += 2 if header & _OBU_HAS_EXTENSION else 1
        if not header & _OBU_HAS_SIZE:
            kept.append(data[start:])
            break
        size, shift = 0, 0
        while True:  # leb128
            byte = data[at]
            at += 1
            size |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        at += size
        if header >> 3 & 0xF != _OBU_TEMPORAL_DELIMITER:
            kept.append(data[start:at])
    return b"".join(kept)


def ticks(value: int | None, time_base: Fraction, per_second: int) -> int:
    """Turn a packet's time into the nearest tick of a container."""
    # in whole numbers, since fractions take as long here as writing a small frame
    denominator = time_base.denominator
    return (2 * (value or 0) * time_base.numerator * per_second + denominator) // (2 * denominator)
