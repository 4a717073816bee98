"""A video file decoded onwards from one place, and what of it may be trusted.

Before a packet goes to the decoder, its place in decoding order is written over its presentation time, which decoders
carry along with the picture. What comes out is matched by it and by nothing else, so that missing, repeated or wrong
times in a file change nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING

import xxhash

from imgstore.errors import ChunkError
from imgstore.video_facts import tell_of_damage
from imgstore_codecs.video.bitstream.h264_parameters import reorder_depth
from imgstore_codecs.video.bitstream.h264_references import DecodingPlan
from imgstore_codecs.video.bitstream.key_frames import (
    INTRA_CODECS,
    SeekPoint,
    checksums_agree,
    decodes_in_one_piece,
    is_unreferenced,
    jpeg_tables,
    needs_first_packet,
    seek_point,
)
from imgstore_codecs.video.bitstream.nal_units import end_of_sequence, length_size
from imgstore_codecs.video.forked import leave_to_parent
from imgstore_codecs.video.open_video import BEST, open_to_decode, video_stream
from imgstore_codecs.video.reading.field_pairs import fields_of
from imgstore_codecs.video.reading.new_packet import new_packet
from imgstore_codecs.video.reading.packets import NO_TIME, PacketTable, packets_from
from imgstore_codecs.video.stream_description import describe

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.error import FFmpegError
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

__all__ = ["Stretch"]

# FFmpeg's own choice is one more than there are cores, which costs more than it brings where a picture has few slices.
_MOST_THREADS = 16

# Pictures that FFmpeg's decoder of H.264 holds back at most (its `has_b_frames`)
_MOST_HELD_BACK = 15

# Bytes of packets that are looked at before they are decoded
_MOST_AHEAD = 64 << 20

# Codecs whose palettes are the container's. (PyAV 17 crashes where others are asked for their pixel format unopened.)
_CONTAINERS_PALETTE = frozenset(
    [
        "rawvideo",
        "msrle",
        "msvideo1",
        "qtrle",
        "cinepak",
        "smc",
        "8bps",
        "qdraw",
        "tscc",
        "zmbv",
        "idcin",
        "kmvc",
        "aasc",
    ]
)

_NOT_WRITTEN = (
    "its data are not what was written; if the file was changed on purpose, `imgstore repair --accept-frames` takes it"
    " as it is"
)


class Stretch:
    """An open file with its decoder.

    Parameters
    ----------
    path : str
        The file.
    threads : int
        For decoding; 0: as many as there are cores.
    ahead : bool
        Decode several packets at a time. Else the threads share each picture, which then comes out at once.
    checked : bool
        Packets have checksums, so that the decoder need not notice damage.
    number : int, optional
        Of the stream in the file; `BEST` for the video that FFmpeg calls the best. Default: that of a store's chunk, which
        is the best one too, in a container that its name tells of.

    Raises
    ------
    ChunkError
        It is no video, or FFmpeg has no decoder for it.
    """

    def __init__(
        self, path: str, threads: int, ahead: bool = False, checked: bool = False, number: int | None = None
    ) -> None:
        import av

        try:
            self.container: InputContainer = open_to_decode(path)
        except (av.error.FFmpegError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or error
            if isinstance(error, av.error.ArgumentError):  # so FFmpeg says of what `open_video` does not allow
                reason = "what it holds is nothing that a store may hold"
            raise ChunkError(f"{path}: cannot be opened as a video: {reason}") from error
        extension = os.path.splitext(path)[1].lstrip(".").lower()
        known = number is None and extension in ("avi", "mkv", "mov", "mp4")
        if known and extension not in self.container.format.extensions:
            # FFmpeg goes by content, and would show a photograph that was put in place of a recording
            self.container.close()
            raise ChunkError(f"{path}: is no {extension} file, it holds {self.container.format.long_name}")
        video = video_stream(self.container, None if number in (None, BEST) else number)
        context = video.codec_context if video is not None else None
        if video is None or context is None:
            self.container.close()
            which = "" if number in (None, BEST) else f" {number}"
            lack = (
                f"the file holds no video stream{which}"
                if video is None
                else "FFmpeg has no decoder for its video stream"
            )
            raise ChunkError(f"{path}: {lack}")
        self.stream: VideoStream = video
        self.context = context
        # FFmpeg takes these away from a decoder that cannot be opened, and PyAV 19 does not see that
        self.codec, self.extradata, self.description = context.name, context.extradata, describe(self.stream)
        self._refusal: FFmpegError | None = None  # why it cannot be opened
        self._fields = fields_of(context)
        self.packets: Iterator[Packet[VideoStream]] = packets_from(self.container, self.stream, self._fields)
        first = self._first_packet()
        context.thread_type = "FRAME" if ahead else "SLICE"
        context.thread_count = threads or min(os.cpu_count() or 1, _MOST_THREADS)
        self.one_piece = first is None or decodes_in_one_piece(self.codec, self.extradata, memoryview(first))
        self._settles = 0  # packets after which a picture is known to be whole for certain
        self.fewest = 0  # packets to be fed before `drain`, or what comes then is `unsettled`
        if ahead:
            # else a picture may come out before it is known to be damaged
            context.options = {"err_detect": "explode"}
            if self.codec == "h264" and not checked:
                self._hold_back()
        elif self.codec != "h264" or self.one_piece or not checked:  # of one slice more threads have no use
            tell_of_damage(context)
        self._is_intra = self.codec in INTRA_CODECS
        # FFmpeg hands on the palette of a whole file with its first packet
        self.needs_first_packet = (self.codec in _CONTAINERS_PALETTE and context.pix_fmt == "pal8") or (
            first is not None and needs_first_packet(self.codec, self.extradata, memoryview(first))
        )
        self._first_tables: frozenset[int] = frozenset()  # of Motion JPEG
        if first is not None and self.codec == "mjpeg":
            self._first_tables = jpeg_tables(memoryview(first))
        self._table: PacketTable | None = None
        self._begin(0, self.packets)
        leave_to_parent(self)

    def use(self, table: PacketTable) -> None:
        """Take the table that says which packet is which."""
        self._table = table

    def _hold_back(self) -> None:
        """Let the decoder hold pictures back until each is known to be whole.

        That a picture of H.264 ends too soon FFmpeg knows when all of it is decoded. Where threads decode one each, another one
        may have given it before. With as many more held back as there are threads, the one that decodes it has been given
        another packet until it comes.
        """
        depth = reorder_depth(self.context)
        threads = max(1, min(self.context.thread_count, _MOST_HELD_BACK - depth))
        self.context.thread_count = threads
        if threads > 1:
            self.fewest = depth + threads
            self.context.options |= {"has_b_frames": str(self.fewest)}
            self._settles = 2 * threads - 1

    def close(self) -> None:
        """Close the file."""
        self.packets = iter(())
        self.container.close()

    # ------------------------------------------------------------------ where it stands

    def _begin(self, start: int, packets: Iterator[Packet[VideoStream]]) -> None:
        self.start = start
        self.next = start  # place of the packet to be fed next
        self.plan: DecodingPlan | None = None  # what alone is to be decoded
        self.ended = False  # nothing can be fed any more without going elsewhere
        self.refused = False  # the decoder has met damage in what it held back
        self.unsettled = False  # the decoder has given a picture before all that is wrong with it is known for certain
        self.waiting: set[int] = set()  # wanted and fed, not given yet
        # fed, not come out of the decoder; and how many have been fed by then
        self._flying: dict[int, tuple[Packet[VideoStream], int]] = {}
        self.fed = 0
        self._held: list[tuple[int, VideoFrame]] = []  # come out, not to be trusted yet
        self.faults: dict[int, str] = {}
        self._damage: list[tuple[int, int | None]] = []  # from the first damaged place to the next seek point
        self.packets = packets

    def _first_packet(self) -> Packet[VideoStream] | None:
        """Look at the first packet of a newly opened file, and stand before it."""
        packet = next(self.packets, None)
        if packet is not None:
            self.packets = chain((packet,), self.packets)
        return packet

    def first_packet_point(self) -> SeekPoint:
        """Say whether a newly opened file can be decoded from its first packet."""
        packet = self._first_packet()
        if packet is None:
            return SeekPoint.NONE
        return seek_point(self.codec, self.extradata, memoryview(packet))

    def begins_as(self, table: PacketTable) -> bool:
        """Whether the first packet of a newly opened file is where a table has it."""
        packet = self._first_packet()
        return packet is None or not len(table) or packet.pos == table.pos[0]

    def seek(self, place: int) -> bool:
        """Stand at a packet flagged as a key frame.

        Returns
        -------
        bool
            False: the file does not lead there, or decoding cannot begin there.
        """
        import av

        table = self._table
        assert table is not None and table.identity is not None
        times = {int(t[place]) for t in (table.dts, table.pts) if t[place] != NO_TIME}
        for time in sorted(times, reverse=True):
            try:
                self.container.seek(time, stream=self.stream)
            except av.error.FFmpegError:
                continue
            packets = packets_from(self.container, self.stream, self._fields)
            for packet in packets:
                found = table.place_of(packet, place)
                if found == place and packet.size == table.size[place]:
                    point = self._point(place, packet)
                    self._begin(place, chain((packet,), packets))
                    return place == 0 or point is not SeekPoint.NONE
                if found < 0 or found > place:
                    break
        self._begin(place, iter(()))
        self.ended = True
        return False

    def _point(self, place: int, packet: Packet[VideoStream]) -> SeekPoint:
        assert self._table is not None
        point = self._table.point.get(place)
        if point is None:
            point = seek_point(self.codec, self.extradata, memoryview(packet))
            if self._first_tables and not self._first_tables <= jpeg_tables(memoryview(packet)):
                point, self._table.in_order_only = SeekPoint.NONE, True
            self._table.point[place] = point
        return point

    # ------------------------------------------------------------------ decoding

    def feed(self, wanted: bool) -> list[tuple[int, VideoFrame]]:
        """Decode the next packet.

        Parameters
        ----------
        wanted : bool
            Whether its picture is. If not and nothing refers to it, it is not decoded.

        Returns
        -------
        list of (place, picture)
            What came out, whole and to be trusted. Of others `faults` says what is wrong. At the end of the file all
            that the decoder holds back comes out and `ended` is set.
        """
        import av

        table = self._table
        assert table is not None
        packet = next(self.packets, None)
        if packet is not None and table.identity is not None:
            found = table.place_of(packet, self.next)
            while packet is not None and found < self.next:  # not what this file held before: damaged in between
                packet = next(self.packets, None)
                found = table.place_of(packet, self.next) if packet is not None else -1
            for lost in range(self.next, found):
                self._note(lost, "its data are missing", None)
            self.next = max(self.next, found)
        place = self.next
        if packet is None or place >= len(table):
            return self.drain()
        self.next += 1
        if packet.size == 0:
            return []
        if place in table.gaps:
            self._note_damage(place - 1)
        damaged = bool(self._damage) and self._damage[-1][1] is None
        if damaged and packet.is_keyframe and self._point(place, packet) is not SeekPoint.NONE:
            self._damage[-1] = (self._damage[-1][0], place)
        why = self._what_is_wrong(place, packet)
        if why is not None:
            # whether others refer to it is not to be learned from it either, where a codec knows references at all
            says_more = self._is_intra or why is not _NOT_WRITTEN
            self._note(place, why, packet if says_more else None)
            return []
        # left out by us, not by FFmpeg's `skip_frame`: with it, FFmpeg keeps quiet about packets that are damaged
        if self.plan is not None:
            if place not in self.plan.fed:
                return []
        elif not wanted and self._can_be_left_out(packet):
            return []
        packet.pts, packet.dts = place, None
        self.fed += 1
        if table.rank[place] >= 0:
            self._flying[place] = packet, self.fed
            if wanted:
                self.waiting.add(place)
        try:
            pictures = self.decode(packet)
        except av.error.FFmpegError as error:
            self._note(place, error.strerror or "the decoder refuses it", packet)
            return []
        return self._whole(pictures)

    def decode(self, packet: Packet[VideoStream] | None) -> list[VideoFrame]:
        """Hand a packet to the decoder, or the end of the file, and take what comes out.

        Raises
        ------
        av.error.FFmpegError
            The decoder refuses it.
        """
        import av

        if self._refusal is None and not self.context.is_open:
            try:
                self.context.open()
            except av.error.FFmpegError as error:
                self._refusal = error
        if self._refusal is not None:
            raise self._refusal.with_traceback(None)
        return self.context.decode(packet)

    def _can_be_left_out(self, packet: Packet[VideoStream]) -> bool:
        if self._table is not None and self._table.in_order_only:
            return False
        return is_unreferenced(self.codec, self.extradata, memoryview(packet))

    def _what_is_wrong(self, place: int, packet: Packet[VideoStream]) -> str | None:
        """Say why a packet cannot be used, where that is to be seen without decoding it."""
        table = self._table
        assert table is not None
        if packet.size != table.size[place] or packet.is_corrupt:
            return "its data are incomplete"
        if table.has_checksums and not checksums_agree(memoryview(packet)):
            return "its checksums do not agree"
        if place in table.strangers:
            return _NOT_WRITTEN
        expected = table.expected if table.rank[place] >= 0 else None
        if expected is not None and xxhash.xxh3_64_intdigest(memoryview(packet)) != expected[place]:
            return _NOT_WRITTEN
        return None

    def look_ahead(self, place: int) -> list[memoryview] | None:
        """Return the packets from where this stands to another one, without taking them.

        Returns
        -------
        list of memoryview or None
            None: there is something wrong with one of them, or they are too many.
        """
        table = self._table
        assert table is not None and table.identity is not None
        packets: list[Packet[VideoStream]] = []
        size = 0
        while self.next + len(packets) <= place and size < _MOST_AHEAD:
            packet = next(self.packets, None)
            if packet is None:
                break
            packets.append(packet)
            size += packet.size
        before, self.packets = self.next, chain(packets, self.packets)
        if before + len(packets) <= place:
            return None
        for k, packet in enumerate(packets, before):
            if table.place_of(packet, k) != k or k in table.gaps or self._what_is_wrong(k, packet) is not None:
                return None
        return [memoryview(packet) for packet in packets]

    @property
    def leaves_out_most(self) -> bool:
        """Whether so little of the way has to be decoded that it is no use to decode several pictures at a time.

        What is left refers to each other, and who decodes the second one waits for the first.
        """
        plan = self.plan
        return plan is not None and 5 * len(plan.fed) < 2 * (max(plan.wanted) - self.start)

    def drain(self) -> list[tuple[int, VideoFrame]]:
        """Let the decoder give what it holds back. Nothing can be fed afterwards."""
        import av

        if self.ended:
            return []
        self.ended = True
        found: list[tuple[int, VideoFrame]] = []
        try:
            for _ in range(self._settles):  # at the end of a file it gives all at once, and what is being decoded too
                self.fed += 1
                found += self._whole(self.decode(new_packet(end_of_sequence(length_size(self.extradata, 4)))))
            found += self._whole(self.decode(None))
        except av.error.FFmpegError:
            self.refused = True
        found += self._release(all_came=True)
        for place in self.waiting:
            self.faults.setdefault(place, "the decoder gives no picture for it")
        self.waiting = set()
        return found

    def _note(self, place: int, why: str, packet: Packet[VideoStream] | None) -> None:
        """Note that a packet cannot be decoded, and that what refers to it is not to be trusted."""
        self.waiting.discard(place)
        self._flying.pop(place, None)
        self.faults.setdefault(place, why)
        if packet is not None and self._can_be_left_out(packet):
            return
        self._note_damage(place)

    def _note_damage(self, place: int) -> None:
        if not self._damage or self._damage[-1][1] is not None:
            self._damage.append((place, None))

    def _whole(self, pictures: list[VideoFrame]) -> list[tuple[int, VideoFrame]]:
        """Take what came out of the decoder, and give the pictures that may be trusted by now."""
        assert self._table is not None
        rank = self._table.rank
        for picture in pictures:
            place = picture.pts
            if place is None:
                continue
            packet, fed = self._flying.pop(place, (None, self.fed))
            if rank[place] >= 0 and self.fed - fed < self._settles:
                self.unsettled = True
            if self.plan is not None and place not in self.plan.right:
                continue
            if picture.is_corrupt:
                self._note(place, "its data are damaged", packet)
            else:
                self._held.append((place, picture))
            position = rank[place]
            for passed in [p for p in self._flying if rank[p] < position]:
                del self._flying[passed]  # the decoder did not show it
        return self._release()

    def _release(self, all_came: bool = False) -> list[tuple[int, VideoFrame]]:
        """Give the pictures of which all that they may refer to has come out undamaged.

        Of damage FFmpeg tells when a picture comes out, and then others that refer to it may have come before.
        """
        found, held = [], []
        first = len(self._table or ()) if all_came else min(self._flying, default=len(self._table or ()))
        for place, picture in self._held:
            if place > first:
                held.append((place, picture))
                continue
            self.waiting.discard(place)
            if self._damage and self._is_tainted(place):
                self.faults.setdefault(place, "it builds on a frame that is damaged")
            else:
                found.append((place, picture))
        self._held = held
        return found

    def _is_tainted(self, place: int) -> bool:
        assert self._table is not None
        rank = self._table.rank
        return any(
            first < place and (end is None or place < end or rank[place] < rank[end]) for first, end in self._damage
        )
