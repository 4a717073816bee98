"""An open video file and the way to a frame in it."""

from __future__ import annotations

import bisect
from collections.abc import Collection, Iterator

import numpy as np

from imgstore_codecs.video.bitstream.h264_references import DecodingPlan, ReferencePlanner
from imgstore_codecs.video.bitstream.key_frames import SeekPoint
from imgstore_codecs.video.reading.packets import PacketTable
from imgstore_codecs.video.reading.stretch import Stretch

__all__ = ["Seeker"]


class Seeker:
    """Brings a decoder to where decoding may begin to reach a frame, by the shortest way.

    Parameters
    ----------
    path : str
        The file.
    threads : int
        For decoding; 0: as many as there are cores.
    table : PacketTable
        Its packets.
    seeks : bool
        False: it is only ever decoded from its start onwards.
    stretch : Stretch, optional
        The file, where it is open already.
    ahead : bool
        As `Stretch` has it.
    """

    def __init__(
        self,
        path: str,
        threads: int,
        table: PacketTable,
        seeks: bool,
        stretch: Stretch | None = None,
        ahead: bool = False,
    ) -> None:
        self._path = path
        self._threads = threads
        self.table = table
        self._keys: list[int] = np.flatnonzero(table.key).tolist()
        self._may_seek = seeks
        self.stretch = stretch
        self._ahead = ahead
        self._planner: ReferencePlanner | None = None

    @property
    def seeks(self) -> bool:
        """Whether it goes anywhere but onwards."""
        return self._may_seek and self.table.can_seek

    @property
    def key_frames(self) -> list[int]:
        """Positions of the frames that the container flags as key frames, as far as it may be gone to them; and the first."""
        usable = [key for key in self._keys if self.table.point.get(key) is not SeekPoint.NONE] if self.seeks else []
        found: list[int] = np.union1d(self.table.rank[usable], 0).tolist() if usable else [0]
        return [position for position in found if position >= 0]

    def candidates(self, place: int) -> Iterator[int]:
        """Give the places where decoding may begin to reach a packet, nearest first; 0 comes last."""
        rank, point, changes = self.table.rank, self.table.point, self.table.changes
        at = bisect.bisect_right(self._keys, place)
        while at > 0 and self.seeks:
            at -= 1
            key = self._keys[at]
            if 0 <= rank[key] <= rank[place] and point.get(key) is not SeekPoint.NONE and changes.begins(key):
                yield key
        yield 0

    def go_to(self, place: int, before: int | None = None, only: Collection[int] = ()) -> Stretch:
        """Stand where decoding may begin to reach a packet.

        Parameters
        ----------
        place : int
            Of the packet in decoding order.
        before : int, optional
            Begin at a place below this.
        only : collection of int
            Places of the pictures that will be asked for before another one is gone to. As far as they are reached from
            the same place as this one, nothing is decoded that they do not need. None given: any may be.
        """
        if self.seeks:
            stretch = self.stretch or self._reopen()
            self._look_at_parameters(max(place, stretch.next))
            for key in self.candidates(place):
                if before is not None and key >= before:
                    continue
                # what FFmpeg hands on with the first packet of a file, it does once
                stands_there = key == stretch.next == 0 and not stretch.ended
                if stands_there or (self.table.changes.begins(key) and stretch.seek(key)):
                    if only and self.table.point.get(key) is SeekPoint.HARD:
                        stretch.plan = self._plan(stretch, [p for p in only if next(self.candidates(p)) == key])
                    return stretch
        return self._reopen()

    def _look_at_parameters(self, place: int) -> None:
        """Look at the key frames up to a place, where the table is from an index, which says nothing of what is in them."""
        if self.table.from_index:
            keys = self._keys[: bisect.bisect_right(self._keys, place)]
            self.table.changes.look_at_heads(self._path, keys, self.table.pos, self.table.size)

    def _plan(self, stretch: Stretch, wanted: list[int]) -> DecodingPlan | None:
        if self._planner is None:
            self._planner = ReferencePlanner(stretch.codec, stretch.extradata)
        packets = stretch.look_ahead(max(wanted)) if wanted and self._planner.is_worthwhile else None
        return self._planner.plan(stretch.start, packets, wanted) if packets is not None else None

    def _reopen(self) -> Stretch:
        self.close()
        checked = self.table.expected is not None
        self.stretch = Stretch(self._path, self._threads, self._ahead, checked, self.table.stream)
        self.stretch.use(self.table)
        return self.stretch

    def reaching(self, place: int) -> Stretch | None:
        """Return the stretch if decoding on leads to a packet, and no seek does so sooner."""
        stretch, rank = self.stretch, self.table.rank
        if stretch is None or stretch.ended:
            return None
        if stretch.start and rank[place] < rank[stretch.start]:
            return None
        if place < stretch.next:
            return stretch if place in stretch.waiting else None
        if stretch.plan is not None and place not in stretch.plan.wanted:
            return None  # what has been left out may be needed for it
        return stretch if stretch.next >= next(self.candidates(place)) else None

    def starts_clean(self) -> bool:
        """Whether nothing could be gained by beginning further back than where it began last."""
        assert self.stretch is not None
        start = self.stretch.start
        return not self.seeks or start == 0 or self.table.point.get(start) is SeekPoint.HARD

    def forget(self) -> None:
        """Leave the open file to the parent process, in a child that was forked."""
        self.stretch = None

    def close(self) -> None:
        """Close the file."""
        if self.stretch is not None:
            self.stretch.close()
            self.stretch = None
