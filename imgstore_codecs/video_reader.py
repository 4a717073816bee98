"""Reading the frames of a video file by position, exactly.

A frame is known by its packet's place in decoding order, taken from the packet table. Before a packet goes to the decoder, this
place is written over its presentation time, which decoders carry along with the picture: what comes out is matched by it
and by nothing else, so that missing, repeated or wrong times in a file change nothing.
"""

from __future__ import annotations

import os
import bisect
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from imgstore.codec import ChunkReader, FrameSpec
from imgstore.errors import ChunkError, FrameDecodeError
from imgstore_codecs.bitstream import SeekPoint, is_unreferenced, seek_point
from imgstore_codecs.packets import (
    NO_TIME,
    PacketTable,
    identity,
    packets_from,
    table_by_demuxing,
    table_from_index,
)
from imgstore_codecs.pixels import PictureConverter

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

__all__ = ["DEFAULT_CACHE_SIZE", "VideoReader"]

Frame = npt.NDArray[Any]

DEFAULT_CACHE_SIZE = 64 << 20

# Decoders that skip pictures nothing refers to, as their headers say truly for the whole stream.
_SKIPS_UNREFERENCED = frozenset(("h264", "mpeg4", "mpeg2video", "mpeg1video"))


class _Stretch:
    """The file, decoded onwards from one place: what has been fed, what may be trusted."""

    def __init__(self, path: str, threads: int) -> None:
        import av

        self.container: InputContainer = av.open(path)
        try:
            extension = os.path.splitext(path)[1].lstrip(".").lower()
            if extension in ("avi", "mkv", "mov", "mp4") and extension not in self.container.format.extensions:
                # FFmpeg goes by content, so it would show a photograph put in place of a recording.
                raise ChunkError(f"{path}: is no {extension} file, it holds {self.container.format.long_name}")
            videos = self.container.streams.video
            if not videos:
                raise ChunkError(f"{path}: the file holds no video stream")
            self.stream: VideoStream = videos[0]
            context = self.stream.codec_context
            if context is None:
                raise ChunkError(f"{path}: FFmpeg has no decoder for this video")
            context.thread_type = "SLICE"
            context.thread_count = threads
        except BaseException:
            self.container.close()
            raise
        self.context = context
        self.can_skip = context.name in _SKIPS_UNREFERENCED
        self.packets: Iterator[Packet[VideoStream]] = iter(())
        self.begin(0, iter(()))

    def begin(self, start: int, packets: Iterator[Packet[VideoStream]]) -> None:
        """Be at a new place: the next packet is the one at `start` in decoding order."""
        self.start = start
        self.next = start
        self.packets = packets
        self.drained = False
        self.damaged_from: int | None = None
        self.asked: set[int] = set()  # fed with the wish to see them, not come out yet

    def close(self) -> None:
        self.packets = iter(())
        self.container.close()


class VideoReader(ChunkReader):
    """Reads one video file.

    Parameters
    ----------
    path : str
        The file, of any kind that FFmpeg decodes.
    spec : FrameSpec
        What its frames shall be: uint8 or uint16, grayscale or BGR.
    options : mapping
        ``seek``, ``threads`` and ``cache_size`` as `imgstore.codec.ChunkCodec.open_reader` says.

    Raises
    ------
    ChunkError
        The file cannot be opened as a video.
    """

    def __init__(self, path: str, spec: FrameSpec, options: Mapping[str, Any]) -> None:
        import av

        self._path = path
        self._threads = int(options.get("threads") or 0)
        self._seeks = bool(options.get("seek", True))
        self._cache_size = int(options.get("cache_size", DEFAULT_CACHE_SIZE))
        self._convert = PictureConverter(spec)
        try:
            self._stretch: _Stretch | None = _Stretch(path, self._threads)
        except av.error.FFmpegError as error:
            raise ChunkError(f"{path}: cannot be opened as a video: {error.strerror}") from error
        try:
            self._table = self._build_table(self._stretch)
        except BaseException:
            self.close()
            raise
        table = self._table
        assert table.order is not None
        self._order = table.order
        self._rank = np.full(len(table), -1, np.int64)
        self._rank[self._order] = np.arange(len(self._order))
        self._keys = [int(k) for k in np.flatnonzero(table.key)]
        known = identity(table) if self._seeks else None
        self._identity, self._places = known if known is not None else ("", {})
        self._pictures: OrderedDict[int, VideoFrame] = OrderedDict()
        self._held = 0
        self._faults: dict[int, str] = {}
        self._last = -2
        self._jumps = 0

    # ------------------------------------------------------------------ the table

    def _build_table(self, stretch: _Stretch) -> PacketTable:
        table = table_from_index(self._path, stretch.container, stretch.stream)
        if table is not None and table.order is not None:
            stretch.begin(0, packets_from(stretch.container, stretch.stream))
            return table
        table = table_by_demuxing(stretch.container, stretch.stream)
        if table.order is None:
            self._reopen()
            assert self._stretch is not None
            table.order = self._order_by_decoding(self._stretch)
        stretch.drained = True  # at the end of the file
        if self._stretch is not stretch:
            assert self._stretch is not None
            self._stretch.drained = True
        return table

    def _order_by_decoding(self, stretch: _Stretch) -> npt.NDArray[np.int64]:
        """Let the decoder say in which order frames are shown, where the file does not."""
        import av

        order: list[int] = []
        for place, packet in enumerate(packets_from(stretch.container, stretch.stream)):
            if packet.size == 0:
                continue
            packet.pts, packet.dts = place, None
            try:
                order += [p.pts for p in stretch.context.decode(packet) if p.pts is not None]
            except av.error.FFmpegError:
                continue
        try:
            order += [p.pts for p in stretch.context.decode(None) if p.pts is not None]
        except av.error.FFmpegError:
            pass
        return np.array(order, np.int64)

    # ------------------------------------------------------------------ moving in the file

    def _reopen(self) -> _Stretch:
        """Stand at the first packet of the newly opened file."""
        if self._stretch is not None:
            self._stretch.close()
        self._stretch = stretch = _Stretch(self._path, self._threads)
        stretch.begin(0, packets_from(stretch.container, stretch.stream))
        return stretch

    def _candidates(self, place: int) -> Iterator[int]:
        """Give the places where decoding may begin to reach a packet, nearest first; 0 comes last."""
        rank = self._rank[place]
        at = bisect.bisect_right(self._keys, place)
        while at > 0:
            at -= 1
            key = self._keys[at]
            if key == 0:
                break
            if self._rank[key] <= rank and self._rank[key] >= 0 and self._table.point.get(key) is not SeekPoint.NONE:
                yield key
        yield 0

    def _go_to(self, place: int, before: int | None = None) -> _Stretch:
        """Stand where decoding may begin to reach a packet, at a place below `before` if given."""
        if self._places:
            for key in self._candidates(place):
                if before is not None and key >= before:
                    continue
                stretch = self._seek(key)
                if stretch is not None:
                    return stretch
        return self._reopen()

    def _seek(self, key: int) -> _Stretch | None:
        """Stand at a key packet; None where the file does not lead there or decoding cannot begin there."""
        import av

        stretch = self._stretch
        if stretch is None:
            stretch = self._stretch = _Stretch(self._path, self._threads)
        table = self._table
        times = {int(t[key]) for t in (table.dts, table.pts) if t[key] != NO_TIME}
        for time in sorted(times, reverse=True):
            try:
                stretch.container.seek(time, stream=stretch.stream)
            except av.error.FFmpegError:
                continue
            packets = packets_from(stretch.container, stretch.stream)
            for packet in packets:
                found = self._places.get(getattr(packet, self._identity), -1)
                if found == key and packet.size == table.size[key]:
                    if key not in table.point:
                        data = memoryview(packet)
                        table.point[key] = seek_point(stretch.context.name, stretch.context.extradata, data)
                    if key and table.point[key] is SeekPoint.NONE:
                        return None
                    stretch.begin(key, _chain(packet, packets))
                    return stretch
                if found < 0 or found > key:
                    break
        return None

    # ------------------------------------------------------------------ decoding

    def _feed(self, stretch: _Stretch, wanted: bool) -> list[tuple[int, VideoFrame]]:
        """Decode one packet and give the pictures that came out with their places; at the end of the file, drain."""
        import av

        packet = next(stretch.packets, None)
        place = stretch.next
        if packet is None or place >= len(self._table):
            return self._drain(stretch)
        stretch.next += 1
        if packet.size == 0:
            return []
        if packet.size != self._table.size[place]:
            self._damage(stretch, place, packet, "its data are incomplete")
            return []
        if self._table.point.get(place) is SeekPoint.HARD:
            stretch.damaged_from = None if not stretch.asked else stretch.damaged_from
        packet.pts, packet.dts = place, None
        if wanted:
            stretch.asked.add(place)
        if stretch.can_skip:
            stretch.context.skip_frame = "DEFAULT" if wanted else "NONREF"
        try:
            pictures = stretch.context.decode(packet)
        except av.error.FFmpegError as error:
            stretch.asked.discard(place)
            self._damage(stretch, place, packet, str(error.strerror))
            return []
        return self._accept(stretch, pictures)

    def _drain(self, stretch: _Stretch) -> list[tuple[int, VideoFrame]]:
        """Let the decoder give what it holds back; afterwards it must seek before it can go on."""
        import av

        if stretch.drained:
            return []
        stretch.drained = True
        try:
            pictures = stretch.context.decode(None)
        except av.error.FFmpegError:
            pictures = []
        found = self._accept(stretch, pictures)
        for place in stretch.asked:
            self._faults.setdefault(place, "the decoder gives no picture for it")
        stretch.asked = set()
        return found

    def _damage(self, stretch: _Stretch, place: int, packet: Packet[VideoStream] | None, why: str) -> None:
        """Note that a packet cannot be decoded, and that what refers to it is not to be trusted."""
        self._faults.setdefault(place, why)
        context = stretch.context
        if packet is not None and is_unreferenced(context.name, context.extradata, memoryview(packet)):
            return
        if stretch.damaged_from is None:
            stretch.damaged_from = place

    def _accept(self, stretch: _Stretch, pictures: list[VideoFrame]) -> list[tuple[int, VideoFrame]]:
        """Keep the pictures that are whole."""
        found = []
        for picture in pictures:
            place = picture.pts
            if place is None:
                continue
            stretch.asked.discard(place)
            if picture.is_corrupt:
                self._damage(stretch, place, None, "its data are damaged")
            elif stretch.damaged_from is not None and place > stretch.damaged_from:
                self._faults.setdefault(place, "a frame that it builds on is damaged")
            else:
                found.append((place, picture))
        return found

    # ------------------------------------------------------------------ reading

    @property
    def frame_count(self) -> int:
        return len(self._order)

    @property
    def reads_ahead(self) -> bool:
        return True

    @property
    def nbytes(self) -> int:
        # a decoder holds up to sixteen reference pictures
        shape = self._convert.shape
        return self._table.nbytes + self._held + 8 * int(np.prod(shape[:2]))

    def read(self, position: int) -> Frame:
        if not 0 <= position < len(self._order):
            raise IndexError(f"{self._path}: the file holds {len(self._order)} frames, there is no frame {position}")
        place = int(self._order[position])
        picture = self._pictures.get(place)
        if picture is None:
            picture = self._decode_to(place, position)
        self._last = position
        return self._convert(picture)

    def _decode_to(self, place: int, position: int) -> VideoFrame:
        if place in self._faults:
            raise self._error(place)
        jump = position != self._last + 1
        self._jumps = self._jumps + 1 if jump else 0
        stretch = self._stretch
        if stretch is None or not self._reaches(stretch, place):
            stretch = self._go_to(place)
        alone = self._jumps > 1 and bool(self._places)
        while True:
            picture = self._run_to(stretch, place, position, alone)
            if picture is not None:
                return picture
            if stretch.start == 0 or self._table.point.get(stretch.start) is SeekPoint.HARD:
                raise self._error(place)
            # a seek point after which the decoder stumbles: begin further back
            self._faults.pop(place, None)
            stretch = self._go_to(place, before=stretch.start)

    def _reaches(self, stretch: _Stretch, place: int) -> bool:
        """Whether decoding on leads to a packet at least as fast as a seek does."""
        if stretch.drained or self._rank[place] < self._rank[stretch.start]:
            return False
        if place < stretch.next:
            return place in stretch.asked
        if not self._places:
            return True
        nearest = next(self._candidates(place))
        return stretch.next >= nearest

    def _run_to(self, stretch: _Stretch, place: int, position: int, alone: bool) -> VideoFrame | None:
        """Decode until a packet's picture is there; None if it does not come.

        With `alone` nothing after it is expected to be asked for: what is not needed is not decoded, and the decoder is drained.
        """
        rank = self._rank
        while place not in self._faults:
            if stretch.next <= place or not alone:
                following = stretch.next
                wanted = following == place if alone else following < len(rank) and rank[following] >= position
                found = self._feed(stretch, wanted)
            else:
                found = self._drain(stretch)
            picture = None
            for other, other_picture in found:
                self._keep(other, other_picture)
                if other == place:
                    picture = other_picture
            if picture is not None:
                return picture
            if stretch.drained:
                self._faults.setdefault(place, "the file ends before it")
        return None

    def _keep(self, place: int, picture: VideoFrame) -> None:
        """Keep a picture in case that it is asked for, within the bounds of the cache."""
        if place in self._pictures:
            return
        self._pictures[place] = picture
        self._held += _picture_size(picture)
        # the last few are always kept: a decoder may give several at once
        while self._held > self._cache_size and len(self._pictures) > 8:
            _, gone = self._pictures.popitem(last=False)
            self._held -= _picture_size(gone)

    def read_many(self, positions: Sequence[int], out: Frame) -> None:
        for k, position in enumerate(positions):
            out[k][...] = self.read(position)

    def _error(self, place: int) -> FrameDecodeError:
        position = int(self._rank[place])
        return FrameDecodeError(f"{self._path}: frame {position} of this file cannot be decoded: {self._faults[place]}")

    def close(self) -> None:
        if self._stretch is not None:
            self._stretch.close()
            self._stretch = None
        self._pictures = OrderedDict()
        self._held = 0


def _chain(packet: Packet[VideoStream], packets: Iterator[Packet[VideoStream]]) -> Iterator[Packet[VideoStream]]:
    yield packet
    yield from packets


def _picture_size(picture: VideoFrame) -> int:
    return sum(plane.buffer_size for plane in picture.planes)
