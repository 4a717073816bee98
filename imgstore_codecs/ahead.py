"""Decoding several pictures at a time, where threads cannot share one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgstore_codecs.seeker import Seeker

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

__all__ = ["Ahead"]

# Packets that may be decoded a second time to begin.
_NEAR = 16


class Ahead:
    """Gives pictures fast, as long as nothing is wrong with the file.

    FFmpeg's frame threads tell of damage late and of another packet. So at the first irregularity this gives up, and
    who uses it decodes the ordinary way.

    Parameters
    ----------
    seeker : Seeker
        Has a decoder that works ahead, and is this one's alone.
    """

    def __init__(self, seeker: Seeker) -> None:
        self._seeker = seeker
        self._rank = seeker.table.rank
        self._ready: dict[int, VideoFrame] = {}
        self._due = 0  # position of the picture that must come next
        self._works = True

    def on_the_way(self, place: int, first: int) -> dict[int, VideoFrame] | None:
        """Go to a packet far away; return its picture and others met there, by place in decoding order, or None.

        Parameters
        ----------
        place : int
            Of the packet in decoding order.
        first : int
            Position of the first picture that is of use.
        """
        if not self._works:
            return None
        stretch = self._seeker.go_to(place)
        self._ready = {}
        found: dict[int, VideoFrame] = {}
        while not stretch.ended:
            pictures = stretch.feed(stretch.next == place) if stretch.next <= place else stretch.drain()
            found.update((p, picture) for p, picture in pictures if self._rank[p] >= first)
        if stretch.faults or stretch.refused or place not in found:
            self._give_up()
            return None
        return found

    def in_order(self, place: int) -> VideoFrame | None:
        """Go on in the order of presentation; return the picture of a packet, or None where the ordinary way is better."""
        if not self._works:
            return None
        if not self._decode(place):
            return None
        picture = self._ready.pop(place)
        self._ready = {p: other for p, other in self._ready.items() if self._rank[p] > self._rank[place]}
        return picture

    def _decode(self, place: int) -> bool:
        """Decode until a picture is there."""
        stretch = self._seeker.stretch if place in self._ready else self._seeker.reaching(place)
        if stretch is None:
            if place - next(self._seeker.candidates(place)) > _NEAR:
                return False  # it may be worth while at the next seek point
            stretch = self._seeker.go_to(place)
            self._ready = {}
            self._due = int(self._rank[stretch.start]) if stretch.start else 0
        while self._works and place not in self._ready:
            for other, picture in stretch.feed(True):
                position = int(self._rank[other])
                if position == self._due:
                    self._ready[other] = picture
                    self._due += 1
                elif position > self._due:
                    self._works = False
            if stretch.faults or (stretch.ended and place not in self._ready):
                self._works = False
        if not self._works:
            self._give_up()
        return self._works

    def _give_up(self) -> None:
        self._works = False
        self.close()

    def forget(self) -> None:
        """Leave the open file to the parent process, in a child that was forked."""
        self._seeker.forget()
        self._ready = {}

    def close(self) -> None:
        """Close the file."""
        self._seeker.close()
        self._ready = {}
