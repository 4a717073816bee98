"""Decoding several pictures at a time on the way to one far away, where threads cannot share one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgstore_codecs.video.reading.seeker import Seeker

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

__all__ = ["Ahead"]


class Ahead:
    """Gives a picture fast, as long as nothing is wrong with the file.

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
        if 2 * (place - stretch.start) < stretch.fewest:  # with others on top, that would take longer
            return None
        found: dict[int, VideoFrame] = {}
        while not stretch.ended:
            enough = stretch.next > place and stretch.fed >= stretch.fewest
            pictures = stretch.drain() if enough else stretch.feed(stretch.next == place)
            found.update((p, picture) for p, picture in pictures if self._rank[p] >= first)
        if stretch.unsettled:
            return None
        if stretch.faults or stretch.refused or place not in found:
            self._works = False
            self.close()
            return None
        return found

    def forget(self) -> None:
        """Leave the open file to the parent process, in a child that was forked."""
        self._seeker.forget()

    def close(self) -> None:
        """Close the file."""
        self._seeker.close()
