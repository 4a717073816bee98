"""Reading the frames of a video file by position: exactly, and with as little decoding as that takes."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from imgstore.codec import ChunkReader, FrameSpec
from imgstore.errors import FrameDecodeError
from imgstore.threads.side_by_side import SideBySide
from imgstore_codecs.video.pixels.convert import PictureConverter
from imgstore_codecs.video.pixels.row_helpers import RowHelpers
from imgstore_codecs.video.reading.ahead import Ahead
from imgstore_codecs.video.reading.batches import Wanted, decode_share, deliver
from imgstore_codecs.video.reading.frame_order import find_frames, frame_checksums
from imgstore_codecs.video.reading.in_order import InOrderDecoder
from imgstore_codecs.video.reading.kept_table import frames_as_kept, kept_arrays
from imgstore_codecs.video.reading.packets import PacketTable
from imgstore_codecs.video.reading.seeker import Seeker

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

    from imgstore_codecs.video.reading.stretch import Stretch

__all__ = ["DEFAULT_CACHE_SIZE", "VideoReader"]

Frame = npt.NDArray[Any]

DEFAULT_CACHE_SIZE = 256 << 20

# Decoded pictures take at most this share of the cache, and this many: what was decoded on the way to one frame serves
# reading backwards, or here and there what is nearby, and there is no use in more. As many as are kept a decoder has buffers for,
# ever after, and writing to new ones takes longer.
_PICTURES_SHARE = 2
_MOST_BACKWARDS = 64
_MOST_HERE_AND_THERE = 24

# While reading goes on in order, pictures that wait take at most this share.
_WAITING_SHARE = 4

# As many are kept of those before one that is read: people step back by one or two.
_FEW_PICTURES = 4

# A decoder may give so many pictures at once, as many as a picture can refer to: they are kept until they are read.
_MOST_AT_ONCE = 16

# Bytes of a frame that takes as long to convert as to hand over.
_MUCH_TO_CONVERT = 2 << 20

# Of a file after which the next one has to be opened soon, which is better done in the background.
_FEW_FRAMES = 256

# So far back counts as reading backwards.
_STEP_BACK = 8

# Reads in order after which reading is taken to go on in order.
_LONG_RUN = 8

# Batches that take fewer packets than this are not worth a second decoder, nor are many decoders.
_MANY_PACKETS = 48
_MOST_DECODERS = 4

# On a way of fewer packets, who decodes several at a time loses nothing by decoding all that others may refer to.
_LONG_WAY = 48


class VideoReader(ChunkReader):
    """Reads one video file.

    Parameters
    ----------
    path : str
        The file, of any kind that FFmpeg decodes.
    spec : FrameSpec
        What its frames shall be: uint8 or uint16, grayscale or BGR.
    options : mapping
        ``seek``, ``threads``, ``cache_size``, ``checksums``, ``frame_count`` and ``kept_arrays`` as
        `imgstore.codec.ChunkCodec.open_reader` says; ``stream``, the number of the one that is read, as `Stretch` has it.

    Raises
    ------
    ChunkError
        The file cannot be opened as a video, or is not the one of which arrays were kept.
    """

    def __init__(self, path: str, spec: FrameSpec, options: Mapping[str, Any]) -> None:
        self._path = path
        self._spec = spec
        self._threads = int(options.get("threads") or 0)
        cache = int(options.get("cache_size", DEFAULT_CACHE_SIZE))
        self._pictures_bound = cache // _PICTURES_SHARE
        self._convert = PictureConverter(spec)
        # decoded, and their bytes, by place in decoding order
        self._pictures: OrderedDict[int, tuple[VideoFrame, int]] = OrderedDict()
        self._last = -1  # position read last
        self._run = 0  # reads in a row that went on from there
        self._run_back = 0  # reads in a row that went back by a little
        self._jumps = 0  # decodings in a row that did not
        self._decoders = min(self._threads or os.cpu_count() or 1, _MOST_DECODERS)
        self._beside = SideBySide("imgstore-video")
        self._row_helpers = RowHelpers(spec)
        self._pid = os.getpid()
        checksums, kept = options.get("checksums"), options.get("kept_arrays")
        if kept is not None:
            stretch, self._table, self._faults = frames_as_kept(path, self._threads, kept, checksums)
        else:
            stretch, self._table, self._faults = find_frames(
                path, self._threads, checksums, options.get("frame_count"), options.get("stream")
            )
        seeks = bool(options.get("seek", True))
        self._main = Seeker(path, self._threads, self._table, seeks, stretch)
        self._helpers: list[tuple[Seeker, PictureConverter]] = []
        self._waiting_bound = cache // _WAITING_SHARE
        self._in_order_decoder: InOrderDecoder | None = None  # not before it is of use
        self._ahead: Ahead | None = None
        if self._decoders > 1:
            self._ahead = Ahead(Seeker(path, self._threads, self._table, seeks, ahead=True))

    @property
    def table(self) -> PacketTable:
        """Its packets, and which of them is which frame."""
        return self._table

    @property
    def faults(self) -> Mapping[int, str]:
        """Packets whose frames cannot be decoded, as far as is known, and why."""
        return self._faults

    @property
    def stretch(self) -> Stretch | None:
        """The open file, where it is open."""
        return self._main.stretch

    @property
    def frame_count(self) -> int:
        return self._table.frame_count

    @property
    def description(self) -> bytes | None:
        return self.stretch.description if self.stretch is not None else None

    def picture(self, position: int) -> VideoFrame:
        """Decode the frame at a position and leave it as it is."""
        return self._decode(self._place(position), position)

    def become(self, spec: FrameSpec) -> None:
        """Give frames of another kind from now on."""
        self._row_helpers.close()
        self._spec, self._convert, self._row_helpers = spec, PictureConverter(spec), RowHelpers(spec)

    def frame_checksums(self) -> list[int]:
        stretch = self.stretch
        if stretch is None or self._faults:
            return []
        return frame_checksums(self._path, self._threads, self._table, stretch.container.format.name, stretch.codec)

    def kept_arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        # the container's own index is as good; and only frames have checksums, with which what is kept is compared
        table, stretch = self._table, self.stretch
        if stretch is None or table.from_index or self._faults or not table.fits(len(table)):
            return {}
        return kept_arrays(stretch, table, {})

    @property
    def key_frames(self) -> list[int]:
        return self._main.key_frames

    @property
    def reads_ahead(self) -> bool:
        # Where decoders run ahead by themselves what is left is to convert: mostly less than to hand a frame to another thread.
        by_themselves = self._decoders > 1 and (self._run <= _LONG_RUN or self._decodes_in_order)
        return not by_themselves or self.frame_count < _FEW_FRAMES or self._spec.nbytes > _MUCH_TO_CONVERT

    @property
    def nbytes(self) -> int:
        # a decoder that is open holds some reference pictures
        height, width = self._spec.shape[:2]
        waiting = self._in_order_decoder.waiting if self._in_order_decoder is not None else 0
        open_ones = 0 if self.stretch is None else 2 + len(self._helpers)
        return self._table.nbytes + self._held() + (open_ones * 8 + waiting * 2) * height * width

    # ------------------------------------------------------------------ one by one

    def read(self, position: int) -> Frame:
        self._check_process()
        place = self._place(position)
        self._run = self._run + 1 if position == self._last + 1 else 0
        self._run_back = self._run_back + 1 if 0 < self._last - position <= _STEP_BACK else 0
        kept = self._pictures.get(place)
        picture = kept[0] if kept is not None else self._decode(place, position)
        self._last = position
        # in the midst of an ordinary use, where it is worth having threads; the other cores are idle while this converts
        helpers = None
        if self._decoders > 1 and not self._decodes_in_order and (self._run >= _LONG_RUN or self._jumps > 1):
            helpers = self._row_helpers
        try:
            return self._convert(picture, helpers=helpers)
        except FrameDecodeError as error:
            raise FrameDecodeError(f"{self._path}: the file's frame {position} cannot be used: {error}") from error

    def _place(self, position: int) -> int:
        """Place in decoding order of the frame at a position."""
        assert self._table.order is not None
        if not 0 <= position < len(self._table.order):
            raise IndexError(f"{self._path}: the file holds {self.frame_count} frames, there is no frame {position}")
        place = int(self._table.order[position])
        if place < 0:
            raise FrameDecodeError(f"{self._path}: the file's frame {position} is missing")
        return place

    def _decode(self, place: int, position: int) -> VideoFrame:
        """Decode the frame at a position."""
        if place in self._faults:
            raise self._error(place)
        in_order = position == self._last + 1
        back = self._run_back > 1
        self._jumps = 0 if in_order else self._jumps + 1
        picture = self._next_in_order(position)
        if picture is not None:
            self._keep(place, picture)
            return picture
        stretch = self._main.stretch
        ahead = self._ahead if stretch is not None and stretch.one_piece else None
        # Frames from `first` to `last` are decoded although nothing refers to them: those likely to be read next.
        # After the second jump in a row nothing is, so the decoder need not be kept going either.
        first, last = position, self.frame_count
        if back:
            first, last = position - self._capacity() + 1, position
        elif self._jumps > 1 and self._main.seeks:
            last = position
        begun = self._main.reaching(place) is not None
        if ahead is not None and self._main.seeks and self._jumps > 1 and not (begun or back):
            far = place - next(self._main.candidates(place)) > _LONG_WAY
            begun = far and self._main.go_to(place, only=[place]).leaves_out_most
            if not begun:
                pictures = ahead.on_the_way(place, position - _FEW_PICTURES)
                if pictures is not None:
                    for other, picture in pictures.items():
                        self._keep(other, picture)
                    return pictures[place]
        before = None
        only = [place] if first == last else []
        while True:
            if not begun:
                self._main.go_to(place, before, only)
            picture = self._decode_until(place, first, last)
            if picture is not None:
                return picture
            assert self._main.stretch is not None
            if begun or self._main.stretch.plan is not None:
                # there may be damage on the way that a seek steps over, or something was left out and is missed
                begun, only = False, []
                continue
            if self._main.starts_clean():
                self._faults[place] = self._main.stretch.faults.get(place, "the file ends before it")
                raise self._error(place)
            before = self._main.stretch.start

    @property
    def _decodes_in_order(self) -> bool:
        """Whether pictures that come next are being decoded in the background."""
        return self._in_order_decoder is not None and self._in_order_decoder.due >= 0

    def _next_in_order(self, position: int) -> VideoFrame | None:
        """Return the picture of a frame where reading goes on in order and more than one decoder or picture is under way."""
        if self._in_order_decoder is None:
            stretch = self._main.stretch
            if self._run < _LONG_RUN or self._decoders < 2 or stretch is None or not self._pictures:
                return None
            if self._faults or self._table.gaps or not self._table.fits(self.frame_count):
                return None
            room = self._waiting_bound // max(size for _, size in self._pictures.values())
            self._in_order_decoder = InOrderDecoder(
                self._path,
                self._table,
                self._threads,
                self._main.seeks,
                room,
                one_piece=stretch.one_piece,
                one_thread=stretch.context.thread_count == 1,
            )
        if self._in_order_decoder.due != position:
            if self._decodes_in_order:
                self._in_order_decoder.close()
            if self._run < _LONG_RUN or not self._in_order_decoder.begins_at(position):
                return None
            self._in_order_decoder.begin(position)
        return self._in_order_decoder.take()

    def _decode_until(self, place: int, first: int, last: int) -> VideoFrame | None:
        """Decode until a packet's picture is there; None if it does not come."""
        stretch, rank = self._main.stretch, self._table.rank
        assert stretch is not None
        ahead = last > rank[place]
        kept_from = min(first, rank[place] - _FEW_PICTURES)
        result = None
        while result is None and place not in stretch.faults:
            if stretch.next <= place or ahead:
                following = stretch.next
                found = stretch.feed(following < len(rank) and first <= rank[following] <= last)
            else:
                found = stretch.drain()
            for other, picture in found:
                if rank[other] >= kept_from:
                    self._keep(other, picture)
                if other == place:
                    result = picture
            if stretch.ended:
                break
        return result

    # ------------------------------------------------------------------ batches

    def read_many(self, positions: Sequence[int], out: Sequence[Frame]) -> None:
        self._check_process()
        if self._in_order_decoder is not None:
            self._in_order_decoder.close()
        wanted: Wanted = {}
        for k, position in enumerate(positions):
            wanted.setdefault(self._place(int(position)), []).append(k)
        for place in [p for p in wanted if p in self._pictures]:
            deliver(self._pictures[place][0], place, wanted, out, self._convert)
        if not wanted:
            return
        places = sorted(p for p in wanted if p not in self._faults)
        ranks = self._table.rank[places]
        dense = len(places) > 1 and int(ranks.max()) - int(ranks.min()) + 1 == len(places)  # frames in a row
        self._last = int(positions[-1])
        self._decode_many(places, wanted, out, dense)
        self._jumps = 0 if dense else self._jumps + 1
        # what did not come: read() begins further back, or says what is wrong
        for place in sorted(wanted):
            img = self.read(int(self._table.rank[place]))
            for k in wanted[place]:
                out[k][...] = img

    def _decode_many(self, places: list[int], wanted: Wanted, out: Sequence[Frame], dense: bool) -> None:
        """Decode packets, sorted, into ``out`` with all decoders, and take those that came from `wanted`."""
        *others, last = self._shares(places)
        parts = []
        calls: list[Callable[[], object]] = []
        for (seeker, convert), share in zip(self._helpers, others, strict=False):
            part = {p: wanted.pop(p) for p in share}
            parts.append(part)
            calls.append(partial(decode_share, seeker, share, part, out, convert))

        def own() -> None:
            decode_share(self._main, last, wanted, out, self._convert, keep=self._keep if dense else None)
            if dense:
                self._finish(last, wanted, out)

        self._beside.run([*calls, own])
        for part in parts:
            wanted.update(part)

    def _finish(self, places: list[int], wanted: Wanted, out: Sequence[Frame]) -> None:
        """Take the last pictures of a run without draining the decoder: the next batch may go on from there."""
        stretch = self._main.stretch
        while stretch is not None and not stretch.ended and any(p in stretch.waiting for p in places):
            for place, picture in stretch.feed(True):
                if place in wanted:
                    deliver(picture, place, wanted, out, self._convert)
                else:
                    self._keep(place, picture)

    def _shares(self, places: list[int]) -> list[list[int]]:
        """Cut sorted places at groups of pictures, into a share for each decoder; the last is the main one's."""
        groups: list[list[int]] = []
        costs: list[int] = []
        start = -1
        for place in places:
            nearest = next(self._main.candidates(place))
            if nearest != start:
                start = nearest
                groups.append([])
                costs.append(0)
            groups[-1].append(place)
            costs[-1] = place - start + 1
        count = min(self._decoders, len(groups))
        if count < 2 or sum(costs) < _MANY_PACKETS or not self._main.seeks:
            return [places]
        while len(self._helpers) < count - 1:
            seeker = Seeker(self._path, self._threads, self._table, True)
            self._helpers.append((seeker, PictureConverter(self._spec)))
        shares: list[list[int]] = [[] for _ in range(count)]
        done = 0
        for group, cost in zip(groups, costs, strict=True):
            shares[min(count - 1, done * count // sum(costs))] += group
            done += cost
        return [share for share in shares if share]

    # ------------------------------------------------------------------ decoded pictures kept

    def _capacity(self) -> int:
        """How many pictures that are read backwards fit into the cache."""
        height, width = self._spec.shape[:2]
        return max(_FEW_PICTURES, min(_MOST_BACKWARDS, self._pictures_bound // max(1, height * width * 3 // 2)))

    def _keep(self, place: int, picture: VideoFrame) -> None:
        """Keep a picture in case that it is asked for, within the bounds of the cache."""
        if place in self._pictures or place in self._faults:
            return
        self._pictures[place] = picture, _size(picture)
        if self._jumps:
            most = _MOST_BACKWARDS if self._run_back > 1 else _MOST_HERE_AND_THERE
            self._drop_pictures(most, self._pictures_bound)
            return
        # while reading in order few are kept, so that the decoder's buffers stay in the processor's caches: what comes
        # next, and not much of what was, or of what was read far ahead before
        rank = self._table.rank
        while len(self._pictures) > _FEW_PICTURES:
            if 0 < rank[next(iter(self._pictures))] - self._last <= _MOST_AT_ONCE:
                break
            self._pictures.popitem(last=False)

    def _drop_pictures(self, most: int, bound: int) -> None:
        """Drop the oldest above a number, and above a number of bytes as long as there are more than a few."""
        while len(self._pictures) > most or (len(self._pictures) > _FEW_PICTURES and self._held() > bound):
            self._pictures.popitem(last=False)

    def _held(self) -> int:
        """Count the bytes of the pictures that are kept."""
        return sum(size for _, size in self._pictures.values())

    def _error(self, place: int) -> FrameDecodeError:
        position = int(self._table.rank[place])
        return FrameDecodeError(f"{self._path}: the file's frame {position} cannot be decoded: {self._faults[place]}")

    # ------------------------------------------------------------------ threads and processes

    def _check_process(self) -> None:
        """Leave to the parent what is the parent's, in a forked child."""
        if os.getpid() != self._pid:
            self._pid = os.getpid()
            self._beside = SideBySide("imgstore-video")
            self._row_helpers = RowHelpers(self._spec)
            self._convert = PictureConverter(self._spec)
            self._main.forget()
            self._helpers = []
            if self._in_order_decoder is not None:
                self._in_order_decoder.forget()
            if self._ahead is not None:
                self._ahead.forget()
            self._pictures = OrderedDict()

    def idle(self) -> None:
        self._check_process()
        goes_on = not self._jumps and self._last < self.frame_count - 1
        self._drop_pictures(_FEW_PICTURES if goes_on else 0, 0)
        self._convert.rest()
        self._close_helpers()
        if self._in_order_decoder is not None:
            self._in_order_decoder.close()
        if self._ahead is not None:
            self._ahead.close()
        if not goes_on:  # a decoder has as many buffers as pictures were kept at a time
            self._main.close()

    def close(self) -> None:
        self._check_process()
        self._beside.close()
        self._row_helpers.close()
        self._convert.rest()
        self._main.close()
        self._close_helpers()
        if self._in_order_decoder is not None:
            self._in_order_decoder.close()
        if self._ahead is not None:
            self._ahead.close()
        self._pictures = OrderedDict()

    def _close_helpers(self) -> None:
        while self._helpers:
            self._helpers.pop()[0].close()


def _size(picture: VideoFrame) -> int:
    return sum(plane.buffer_size for plane in picture.planes)
