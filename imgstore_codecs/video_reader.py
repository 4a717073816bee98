"""Reading the frames of a video file by position: exactly, and with as little decoding as that takes."""

from __future__ import annotations

import bisect
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from imgstore.codec import ChunkReader, FrameSpec
from imgstore.errors import FrameDecodeError
from imgstore_codecs.bitstream import SeekPoint
from imgstore_codecs.packets import PacketTable, ends_early, table_by_demuxing, table_from_index
from imgstore_codecs.pixels import PictureConverter
from imgstore_codecs.stretch import Stretch

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

__all__ = ["DEFAULT_CACHE_SIZE", "VideoReader"]

Frame = npt.NDArray[Any]

DEFAULT_CACHE_SIZE = 64 << 20

# As many are kept while reading in order: a decoder may give several at once, and people step back by one or two.
_FEW_PICTURES = 4

# So far back counts as reading backwards.
_STEP_BACK = 8


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
        self._path = path
        self._threads = int(options.get("threads") or 0)
        self._seeks = bool(options.get("seek", True))
        self._cache_size = int(options.get("cache_size", DEFAULT_CACHE_SIZE))
        self._shape = spec.shape
        self._convert = PictureConverter(spec)
        self._pictures: OrderedDict[int, VideoFrame] = OrderedDict()  # decoded, by place in decoding order
        self._held = 0  # bytes in these
        self._faults: dict[int, str] = {}  # frames that cannot be decoded, and why
        self._last = -1  # position read last
        self._jumps = 0  # reads in a row that did not go on from there
        self._stretch: Stretch | None = Stretch(path, self._threads)
        try:
            self._table = self._build_table(self._stretch)
        except BaseException:
            self.close()
            raise
        self._keys: list[int] = np.flatnonzero(self._table.key).tolist()
        self._seeks = self._seeks and self._table.identity is not None

    # ------------------------------------------------------------------ which packet is which frame

    @property
    def table(self) -> PacketTable:
        """Its packets, and which of them is which frame."""
        return self._table

    def _build_table(self, stretch: Stretch) -> PacketTable:
        """Find out which packet is the n-th frame, reading and decoding no more than that takes."""
        table = table_from_index(self._path, stretch.container, stretch.stream)
        if table is None or table.order is None:
            table = table_by_demuxing(stretch.container, stretch.stream)
            stretch.ended = True  # it can seek; a file without an index has one now, in FFmpeg's memory
        elif len(table):
            table.point[0] = stretch.first_packet_point()
        if table.order is None:
            stretch = self._reopen()
            table.order = _order_by_decoding(stretch)
            stretch.ended = True
        elif len(table.order):
            leading = int(table.order[0]) != 0
            name = stretch.context.name
            if leading or (table.point.get(0, SeekPoint.NONE) is SeekPoint.NONE and name in ("h264", "hevc")):
                stretch = self._reopen()
                lost = _lost_at_start(stretch, table)
                stretch.ended = True
                table.order = np.array([p for p in table.order.tolist() if p not in lost], np.int64)
        stretch.use(table)
        if not table.from_index and np.any(np.diff(table.order) < 0) and ends_early(self._path):
            # what is missing at the end may have been shown between the last ones
            for place in table.order[-max(1, stretch.context.reorder_depth) :].tolist():
                self._faults[place] = "the file ends early, so that nobody knows which frame this is"
        return table

    def _reopen(self) -> Stretch:
        """Open the file anew."""
        if self._stretch is not None:
            self._stretch.close()
        self._stretch = Stretch(self._path, self._threads)
        return self._stretch

    # ------------------------------------------------------------------ moving in the file

    def _candidates(self, place: int) -> Iterator[int]:
        """Give the places where decoding may begin to reach a packet, nearest first; 0 comes last."""
        rank, point = self._table.rank, self._table.point
        at = bisect.bisect_right(self._keys, place)
        while at > 0:
            at -= 1
            key = self._keys[at]
            if 0 <= rank[key] <= rank[place] and point.get(key) is not SeekPoint.NONE:
                yield key
        yield 0

    def _go_to(self, place: int, before: int | None = None) -> Stretch:
        """Stand where decoding may begin to reach a packet, at a place below `before` if given."""
        stretch = self._stretch
        if stretch is not None and self._seeks:
            for key in self._candidates(place):
                if (before is None or key < before) and stretch.seek(key):
                    return stretch
        stretch = self._reopen()
        stretch.use(self._table)
        return stretch

    def _reaches(self, stretch: Stretch, place: int) -> bool:
        """Whether decoding on leads to a packet, and no seek does so sooner."""
        rank = self._table.rank
        if stretch.ended or rank[place] < rank[stretch.start]:
            return False
        if place < stretch.next:
            return place in stretch.waiting
        return not self._seeks or stretch.next >= next(self._candidates(place))

    # ------------------------------------------------------------------ reading

    @property
    def frame_count(self) -> int:
        assert self._table.order is not None
        return len(self._table.order)

    @property
    def reads_ahead(self) -> bool:
        return True

    @property
    def nbytes(self) -> int:
        # a decoder holds some reference pictures
        height, width = self._shape[:2]
        return self._table.nbytes + self._held + 8 * height * width

    def read(self, position: int) -> Frame:
        place = self._place(position)
        picture = self._pictures.get(place)
        if picture is None:
            picture = self._decode(place, position)
        self._last = position
        return self._convert(picture)

    def read_many(self, positions: Sequence[int], out: Sequence[Frame]) -> None:
        wanted: dict[int, list[int]] = {}
        for k, position in enumerate(positions):
            wanted.setdefault(self._place(int(position)), []).append(k)
        for place in [p for p in wanted if p in self._pictures]:
            self._deliver(self._pictures[place], wanted.pop(place), out)
        self._decode_many(wanted, out)
        # what did not come: read() begins further back, or says what is wrong
        for place in sorted(wanted):
            img = self.read(int(self._table.rank[place]))
            for k in wanted[place]:
                out[k][...] = img

    def _place(self, position: int) -> int:
        """Place in decoding order of the frame at a position."""
        assert self._table.order is not None
        if not 0 <= position < len(self._table.order):
            raise IndexError(f"{self._path}: the file holds {self.frame_count} frames, there is no frame {position}")
        return int(self._table.order[position])

    def _deliver(self, picture: VideoFrame, where: list[int], out: Sequence[Frame]) -> None:
        first = out[where[0]]
        if first.flags.c_contiguous:
            self._convert(picture, first)
        else:
            first[...] = self._convert(picture)
        for k in where[1:]:
            out[k][...] = first

    def _decode(self, place: int, position: int) -> VideoFrame:
        """Decode the frame at a position."""
        if place in self._faults:
            raise self._error(place)
        in_order = position == self._last + 1
        back = 0 < self._last - position <= _STEP_BACK
        self._jumps = 0 if in_order else self._jumps + 1
        # Frames from `first` to `last` are decoded although nothing refers to them: those likely to be read next.
        # After the second jump in a row nothing is, so the decoder need not be kept going either.
        first, last = position, self.frame_count
        if back:
            first, last = position - self._capacity() + 1, position
        elif self._jumps > 1 and self._seeks:
            last = position
        stretch = self._stretch
        if stretch is None or not self._reaches(stretch, place):
            stretch = self._go_to(place)
        while True:
            picture = self._decode_until(stretch, place, first, last)
            if picture is not None:
                return picture
            if not self._seeks or stretch.start == 0 or self._table.point.get(stretch.start) is SeekPoint.HARD:
                self._faults[place] = stretch.faults.get(place, "the file ends before it")
                raise self._error(place)
            stretch = self._go_to(place, before=stretch.start)

    def _decode_until(self, stretch: Stretch, place: int, first: int, last: int) -> VideoFrame | None:
        """Decode until a packet's picture is there; None if it does not come."""
        rank = self._table.rank
        ahead = last > rank[place]
        result = None
        while result is None and place not in stretch.faults:
            if stretch.next <= place or ahead:
                following = stretch.next
                found = stretch.feed(following < len(rank) and first <= rank[following] <= last)
            else:
                found = stretch.drain()
            for other, picture in found:
                self._keep(other, picture)
                if other == place:
                    result = picture
            if stretch.ended:
                break
        return result

    def _decode_many(self, wanted: dict[int, list[int]], out: Sequence[Frame]) -> None:
        """Decode frames into ``out``, each group of pictures once, and take those that came from `wanted`."""
        for place in sorted(p for p in wanted if p not in self._faults):
            if place not in wanted:
                continue
            stretch = self._stretch
            if stretch is None or not self._reaches(stretch, place):
                if stretch is not None:
                    self._take(stretch.drain(), wanted, out)
                if place not in wanted:
                    continue
                stretch = self._go_to(place)
            while stretch.next <= place and not stretch.ended:
                self._take(stretch.feed(stretch.next in wanted), wanted, out)
        if self._stretch is not None and wanted:
            self._take(self._stretch.drain(), wanted, out)
        self._jumps += 1
        self._last = -2

    def _take(self, found: list[tuple[int, VideoFrame]], wanted: dict[int, list[int]], out: Sequence[Frame]) -> None:
        for place, picture in found:
            where = wanted.pop(place, None)
            if where is not None:
                self._deliver(picture, where, out)

    # ------------------------------------------------------------------ decoded pictures kept

    def _capacity(self) -> int:
        """How many pictures fit into the cache."""
        height, width = self._shape[:2]
        return max(_FEW_PICTURES, self._cache_size // max(1, height * width * 3 // 2))

    def _keep(self, place: int, picture: VideoFrame) -> None:
        """Keep a picture in case that it is asked for, within the bounds of the cache."""
        if place in self._pictures or place in self._faults:
            return
        self._pictures[place] = picture
        self._held += _size(picture)
        # while reading in order few are kept, so that the decoder's buffers stay in the processor's caches
        bound = self._cache_size if self._jumps else 0
        while self._held > bound and len(self._pictures) > _FEW_PICTURES:
            _, gone = self._pictures.popitem(last=False)
            self._held -= _size(gone)

    def _error(self, place: int) -> FrameDecodeError:
        position = int(self._table.rank[place])
        return FrameDecodeError(
            f"{self._path}: the file's frame {position} cannot be decoded: {self._faults[place]}"
        )

    def close(self) -> None:
        stretch, self._stretch = self._stretch, None
        if stretch is not None:
            stretch.close()
        self._pictures = OrderedDict()
        self._held = 0


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
            pictures = stretch.context.decode(packet)
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


def _order_by_decoding(stretch: Stretch) -> npt.NDArray[np.int64]:
    """Let the decoder say in which order frames are shown, where the file does not."""
    _, came, _ = _decode_plainly(stretch, lambda fed, came: False)
    return np.array(came, np.int64)


def _lost_at_start(stretch: Stretch, table: PacketTable) -> set[int]:
    """Find the packets at the start of a stream that refer to what was cut away before it: no decoder shows them.

    Where packets are damaged nothing was cut: their frames are there and cannot be decoded.
    """
    assert table.order is not None
    first_shown = int(np.argmax(table.order == 0)) if table.order[0] != 0 else 0
    leading = max(table.order[:first_shown].tolist(), default=0)
    fed, came, damaged = _decode_plainly(stretch, lambda fed, came: fed > leading + 32 and len(came) > 0)
    return set() if damaged else set(range(fed)).difference(came) & set(table.order.tolist())


def _size(picture: VideoFrame) -> int:
    return sum(plane.buffer_size for plane in picture.planes)
