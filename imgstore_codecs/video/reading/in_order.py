"""Decoding in the background, several groups of pictures or several pictures at a time, while reading goes on in order.

Decoders that share nothing use as many cores fully, which the threads of one decoder do not. What it costs is memory: while
one group is given, others are decoded, and their pictures wait. Where groups are too long for that, there is one decoder; where
threads cannot share a picture, as it is one slice, its threads take one each.
"""

from __future__ import annotations

import bisect
import math
import os
import weakref
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain, cycle, repeat
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from imgstore.errors import ChunkError
from imgstore.threads.read_ahead import ReadAhead, StoppedError
from imgstore_codecs.video.bitstream.key_frames import SeekPoint, parameter_sets
from imgstore_codecs.video.reading.packets import PacketTable
from imgstore_codecs.video.reading.seeker import Seeker
from imgstore_codecs.video.reading.stretch import Stretch

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    Packets = Iterator[Packet[VideoStream]]

__all__ = ["InOrderDecoder"]

# Packets of a group. Where each is a key frame, several are taken together: a seek is to be worth its while.
_SHORTEST = 8

# Pictures of a decoder that may wait while its group is given, so that it goes on while one is looked at: at least, and where
# there is room. Decoders are not as fast as each other all the time, and with few the one that is ahead waits for the other.
_LEAST = 3
_ENOUGH = 16

# Decoders of groups
_MOST_DECODERS = 4

# Of the decoder that has a thread for each picture
_MOST_THREADS = 16

# Packets that may be decoded once more to begin, where that is not at the start of a group.
_NEAR = 16

# Packets to the end of the file, for decoding the rest of it to be worth while.
_FEWEST = 16


class _Group(NamedTuple):
    """Packets whose frames are shown one after the other, and no others between them."""

    place: int  # of the first packet in decoding order
    end: int  # place after the last
    positions: range


class _IrregularError(Exception):
    """A group does not give the pictures that it should, or not by itself."""


class _NewParametersError(_IrregularError):
    """Seeks lead past something that holds for what follows."""


class InOrderDecoder:
    """Gives pictures in order and fast, as long as nothing is wrong with the file.

    At the first irregularity a way is given up, and who uses this decodes as ever. (Of damage FFmpeg's frame threads tell
    late, and of another packet.)

    Parameters
    ----------
    path : str
        The file.
    table : PacketTable
        Its packets. Those of all frames are there.
    threads : int
        For decoding; 0: as many as there are cores.
    seeks : bool
        False: it is only ever decoded from its start onwards.
    room : int
        Pictures that may wait.
    one_piece : bool
        Threads cannot share a picture.
    one_thread : bool
        The decoder that whoever reads has uses one thread alone. So it is better to decode beside what is done with pictures.

    Attributes
    ----------
    due : int
        Position of the picture that `take` gives next; -1 where none is being decoded.
    """

    def __init__(
        self,
        path: str,
        table: PacketTable,
        threads: int,
        seeks: bool,
        room: int,
        *,
        one_piece: bool,
        one_thread: bool,
    ) -> None:
        self._table = table
        self._groups = _groups_of(table) if seeks else []
        self._starts = [group.positions.start for group in self._groups]
        self._longest = max((len(group.positions) for group in self._groups), default=0)
        cores = threads or os.cpu_count() or 1
        count = min(cores, _MOST_DECODERS, len(self._groups))
        self._most_waiting = room
        self._least = _LEAST  # pictures of the decoder that may be least far ahead
        while count > 1 and self._rooms(count)[0] < _LEAST:
            count -= 1
        self._ways: list[list[Seeker]] = []  # those not given up yet, the best one first
        if count > 1:
            self._ways.append([Seeker(path, 1, table, True) for _ in range(count)])
        if one_piece and room >= _LEAST:
            # more threads than there are cores, as one waits for what another has to decode first
            self._ways.append([Seeker(path, min(cores + 2, _MOST_THREADS), table, seeks, ahead=True)])
        if one_thread and room >= _LEAST:
            self._ways.append([Seeker(path, threads, table, seeks)])
        self._decoding: list[ReadAhead] = []
        self._room: list[int] = []  # how many pictures of each may wait
        self._turns: Iterator[int] = iter(())  # who gives the pictures, one by one
        self._heirs: Iterator[int] = iter(())  # who may go further ahead, one by one
        self._finalizer: weakref.finalize[..., InOrderDecoder] | None = None
        self.due = -1

    def _rooms(self, count: int) -> list[int]:
        """How many pictures may wait for each of so many decoders where the group of the first one is given.

        While that is given the others decode as many pictures, together so many times as fast. So all are busy all the time
        where the one whose turn is next is furthest ahead, and the last not at all. What room there is beyond that they share.
        """
        ahead = [0, *(math.ceil(self._longest * (count - k) / count) for k in range(1, count))]
        least = min(_ENOUGH, (self._most_waiting - sum(ahead)) // count)
        return [least + pictures for pictures in ahead]

    @property
    def _seekers(self) -> list[Seeker]:
        """Of the decoders in use: several for groups, or one for the rest of the file."""
        return self._ways[0] if self._ways else []

    @property
    def waiting(self) -> int:
        """How many pictures may be waiting by now."""
        return sum(self._room)

    def begins_at(self, position: int) -> bool:
        """Whether to `begin` there is possible and worth its while."""
        count = len(self._seekers)
        if count > 1:
            k = self._group_at(position)
            return k >= 0 and position - self._starts[k] <= _NEAR and k + count <= len(self._groups)
        if not count:
            return False
        place = self._place(position)
        start = next(self._seekers[0].candidates(place))
        return place - start <= _NEAR and len(self._table) - start >= _FEWEST

    def begin(self, position: int) -> None:
        """Begin to decode in the background."""
        self.close()
        count = len(self._seekers)
        self._room = self._rooms(count)
        self._least = min(self._room)
        if count > 1:
            first, *others = self._groups[self._group_at(position) :]
            groups = [first._replace(positions=range(position, first.positions.stop)), *others]
            ways = [_of_groups(seeker, self._table, groups[k::count]) for k, seeker in enumerate(self._seekers)]
        else:
            groups = [_Group(self._place(position), len(self._table), range(position, self._table.frame_count))]
            ways = [_of_rest(self._seekers[0], self._table, groups[0])]
        for k, (way, room) in enumerate(zip(ways, self._room, strict=True)):
            total = sum(len(group.positions) for group in groups[k::count])
            self._decoding.append(ReadAhead(partial(_next_of, way), 0, total, room))
        # refers to no more than the threads do, so that this can be collected
        self._finalizer = weakref.finalize(self, _request_stops, tuple(self._decoding))
        self._finalizer.atexit = False
        for decoding in self._decoding:
            decoding.start()
        self._turns = chain.from_iterable(repeat(k % count, len(group.positions)) for k, group in enumerate(groups))
        self._heirs = cycle(range(count))
        self.due = position

    def _group_at(self, position: int) -> int:
        return bisect.bisect_right(self._starts, position) - 1

    def _place(self, position: int) -> int:
        assert self._table.order is not None
        return int(self._table.order[position])

    def take(self) -> VideoFrame | None:
        """Return the picture that is due, waiting for it; None where it has to be decoded without this."""
        turn = next(self._turns)
        try:
            picture: VideoFrame = self._decoding[turn].get(make_room=False)
        except BaseException as error:
            self.close()
            if not isinstance(error, (_IrregularError, ChunkError, StoppedError)):
                raise
            del self._ways[: None if isinstance(error, (_NewParametersError, StoppedError)) else 1]
            return None
        heir = turn
        if self._room[turn] > self._least:
            heir = next(other for other in self._heirs if other != turn)
            self._room[turn] -= 1
            self._room[heir] += 1
        self._decoding[heir].make_room()
        self.due += 1
        if self.due == self._table.frame_count:
            self.close()
        return picture

    def forget(self) -> None:
        """Leave threads and open files to the parent process, in a child that was forked."""
        if self._finalizer is not None:
            self._finalizer.detach()
        self._decoding, self._room = [], []
        self.due = -1
        for seeker in self._seekers:
            seeker.forget()

    def close(self) -> None:
        """Stop decoding and close the file."""
        self.due = -1
        for decoding in self._decoding:
            decoding.request_stop()
        for decoding in self._decoding:
            decoding.stop()
        if self._finalizer is not None:
            self._finalizer.detach()
        self._decoding, self._room = [], []
        for seeker in self._seekers:
            seeker.close()


def _request_stops(decoding: Sequence[ReadAhead]) -> None:
    for one in decoding:
        one.request_stop()


def _next_of(pictures: Iterator[VideoFrame], _: int) -> VideoFrame:
    return next(pictures)


def _groups_of(table: PacketTable) -> list[_Group]:
    """Cut a file at key frames before which all is shown that comes before, and nothing that comes after.

    (What comes after and is shown before may refer to the group before.)
    """
    rank = table.rank
    if not len(rank):
        return []
    lowest_after = np.minimum.accumulate(np.where(rank < 0, table.frame_count, rank)[::-1])[::-1]
    highest = np.maximum.accumulate(rank)
    keys = np.flatnonzero(table.key & (rank >= 0))
    keys = keys[(keys == 0) | ((highest[keys - 1] < rank[keys]) & (rank[keys] == lowest_after[keys]))]
    places: list[int] = []
    for key in keys.tolist():
        if not places or key - places[-1] >= _SHORTEST:
            places.append(key)
    ends = [*places[1:], len(rank)]
    firsts = [*lowest_after[places].tolist(), table.frame_count]
    return [
        _Group(place, end, range(first, after))
        for place, end, first, after in zip(places, ends, firsts, firsts[1:], strict=False)
    ]


def _of_groups(seeker: Seeker, table: PacketTable, groups: Sequence[_Group]) -> Iterator[VideoFrame]:
    """Decode groups, each by itself."""
    for group in groups:
        stretch = seeker.go_to(group.place)
        if stretch.start != group.place or table.point.get(group.place) is not SeekPoint.HARD:
            raise _IrregularError
        stretch.packets = _of_one_configuration(stretch.packets, stretch.codec, stretch.extradata)
        yield from _pictures(stretch, table, group)


def _of_rest(seeker: Seeker, table: PacketTable, rest: _Group) -> Iterator[VideoFrame]:
    """Decode the rest of a file, from the nearest place where that may begin."""
    yield from _pictures(seeker.go_to(rest.place), table, rest)


def _pictures(stretch: Stretch, table: PacketTable, group: _Group) -> Iterator[VideoFrame]:
    """Decode a group, and give its pictures, which come out of decoders in the order of presentation."""
    due = int(table.rank[stretch.start]) if stretch.start else 0
    while due < group.positions.stop:
        found = stretch.feed(True) if stretch.next < group.end else stretch.drain()
        if stretch.faults or stretch.refused or stretch.unsettled:
            raise _IrregularError
        for place, picture in found:
            position = table.rank[place]
            if position > due:
                raise _IrregularError
            if position == due:
                due += 1
                if position in group.positions:
                    yield picture
        if stretch.ended and due < group.positions.stop:
            raise _IrregularError


def _of_one_configuration(packets: Packets, codec: str, extradata: bytes | None) -> Packets:
    """Give packets up to one that changes how those of later groups are decoded, whose decoders do not meet it."""
    for packet in packets:
        if any(own not in (extradata or b"") for own in parameter_sets(codec, extradata, memoryview(packet))):
            raise _NewParametersError
        yield packet
