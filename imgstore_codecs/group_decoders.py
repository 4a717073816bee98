"""Decoding whole groups of pictures at the same time, while reading goes on in order.

Decoders that share nothing use as many cores fully, which the threads of one decoder do not. What it costs is memory: while
one group is given, others are decoded, and their pictures wait.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain, cycle, repeat
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from imgstore.errors import ChunkError
from imgstore.read_ahead import ReadAhead
from imgstore_codecs.bitstream import SeekPoint, parameter_sets
from imgstore_codecs.packets import PacketTable
from imgstore_codecs.seeker import Seeker

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    Packets = Iterator[Packet[VideoStream]]

__all__ = ["GroupDecoders"]

# Packets of a group. Where each is a key frame, several are taken together: a seek is to be worth its while.
_SHORTEST = 8

# Pictures of a decoder that may wait when its group is given, so that it goes on while one is looked at.
_LEAST = 2


class _Group(NamedTuple):
    """Packets from a key frame to the next, whose frames are shown one after the other and no others between them."""

    place: int  # of the first packet in decoding order
    end: int  # place after the last
    positions: range


class _IrregularError(Exception):
    """A group does not give the pictures that it should, or not by itself."""


class GroupDecoders:
    """Gives pictures in order and fast, as long as nothing is wrong with the file.

    At the first irregularity this gives up, and who uses it decodes the ordinary way.

    Parameters
    ----------
    path : str
        The file.
    table : PacketTable
        Its packets. Those of all frames are there.
    most : int
        Decoders, of one thread each, that may be used.
    room : int
        Pictures that may wait.

    Attributes
    ----------
    due : int
        Position of the picture that `take` gives next; -1 where none is being decoded.
    """

    def __init__(self, path: str, table: PacketTable, most: int, room: int) -> None:
        self._table = table
        self._groups = _groups_of(table)
        self._at = {group.positions.start: k for k, group in enumerate(self._groups)}
        self._longest = max((len(group.positions) for group in self._groups), default=0)
        count = most
        while count > 1 and sum(self._rooms(count)) > room:
            count -= 1
        self._seekers = [Seeker(path, 1, table, True) for _ in range(count)] if count > 1 else []
        self._decoding: list[ReadAhead] = []
        self._room: list[int] = []  # how many pictures of each may wait
        self._turns: Iterator[int] = iter(())  # who gives the pictures, one by one
        self._heirs: Iterator[int] = iter(())  # who may go further ahead, one by one
        self._finalizer: weakref.finalize[..., GroupDecoders] | None = None
        self.due = -1

    def _rooms(self, count: int) -> list[int]:
        """How many pictures may wait for each of so many decoders where the group of the first one is given.

        While that is given the others decode as many pictures, together so many times as fast. So all are busy all the time
        where the one whose turn is next is furthest ahead, and the last not at all.
        """
        ahead = [0, *(math.ceil(self._longest * (count - k) / count) for k in range(1, count))]
        return [_LEAST + pictures for pictures in ahead]

    @property
    def waiting(self) -> int:
        """How many pictures may be waiting by now."""
        return sum(self._room)

    def begins_at(self, position: int) -> bool:
        """Whether to `begin` there is possible and worth its while."""
        count = len(self._seekers)
        return count > 0 and self._at.get(position, len(self._groups)) + count <= len(self._groups)

    def begin(self, position: int) -> None:
        """Begin to decode in the background."""
        self.close()
        groups = self._groups[self._at[position] :]
        count = len(self._seekers)
        self._room = self._rooms(count)
        for k, (seeker, room) in enumerate(zip(self._seekers, self._room, strict=True)):
            own = groups[k::count]
            read = partial(_next_of, _pictures(seeker, self._table, own))
            self._decoding.append(ReadAhead(read, 0, sum(len(group.positions) for group in own), room))
        # refers to no more than the threads do, so that this can be collected
        self._finalizer = weakref.finalize(self, _request_stops, tuple(self._decoding))
        self._finalizer.atexit = False
        for decoding in self._decoding:
            decoding.start()
        self._turns = chain.from_iterable(
            repeat(k % count, len(group.positions)) for k, group in enumerate(groups)
        )
        self._heirs = cycle(range(count))
        self.due = position

    def take(self) -> VideoFrame | None:
        """Return the picture that is due, waiting for it; None where the ordinary way is to be gone from now on."""
        turn = next(self._turns)
        try:
            picture: VideoFrame = self._decoding[turn].get(make_room=False)
        except BaseException as error:
            self.close()
            if not isinstance(error, (_IrregularError, ChunkError)):
                raise
            self._seekers = []
            return None
        heir = turn
        if self._room[turn] > _LEAST:
            heir = next(other for other in self._heirs if other != turn)
            self._room[turn] -= 1
            self._room[heir] += 1
        self._decoding[heir].make_room()
        self.due += 1
        if self.due == self._groups[-1].positions.stop:
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
    """Cut a file at key frames before which all is shown that comes before, and nothing that comes after."""
    rank = table.rank
    if not len(rank):
        return []
    lowest_after = np.minimum.accumulate(np.where(rank < 0, table.frame_count, rank)[::-1])[::-1]
    highest = np.maximum.accumulate(rank)
    keys = np.flatnonzero(table.key & (rank >= 0))
    keys = keys[(keys == 0) | (highest[keys - 1] < lowest_after[keys])]
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


def _pictures(seeker: Seeker, table: PacketTable, groups: Sequence[_Group]) -> Iterator[VideoFrame]:
    """Decode groups, and give their pictures in the order of presentation."""
    for group in groups:
        stretch = seeker.go_to(group.place)
        if stretch.start != group.place or table.point.get(group.place) is not SeekPoint.HARD:
            raise _IrregularError
        stretch.packets = _of_one_configuration(stretch.packets, stretch.context.name, stretch.context.extradata)
        due = group.positions.start
        ready: dict[int, VideoFrame] = {}
        while due < group.positions.stop:
            found = stretch.feed(True) if stretch.next < group.end else stretch.drain()
            ready.update((int(table.rank[place]), picture) for place, picture in found)
            if stretch.faults or stretch.refused or (stretch.ended and due not in ready):
                raise _IrregularError
            while due in ready:
                yield ready.pop(due)
                due += 1


def _of_one_configuration(packets: Packets, codec: str, extradata: bytes | None) -> Packets:
    """Give packets up to one that changes how those of later groups are decoded, whose decoders do not meet it."""
    for packet in packets:
        if any(own not in (extradata or b"") for own in parameter_sets(codec, extradata, memoryview(packet))):
            raise _IrregularError
        yield packet
