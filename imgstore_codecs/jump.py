"""Decoding single frames far apart where threads cannot share a picture: several pictures at a time on the way there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgstore_codecs.packets import PacketTable
from imgstore_codecs.seeker import Seeker

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

__all__ = ["Jump"]


class Jump:
    """Gives a picture and those decoded on the way to it, fast, as long as nothing is wrong with the file.

    FFmpeg's frame threads tell of damage late and of another packet. So at the first irregularity this gives up, and
    who uses it decodes the ordinary way.

    Parameters
    ----------
    path : str
        The file.
    threads : int
        For decoding; 0: as many as there are cores.
    table : PacketTable
        Its packets.
    """

    def __init__(self, path: str, threads: int, table: PacketTable) -> None:
        self._seeker = Seeker(path, threads, table, True, ahead=True)
        self._works = True

    def pictures(self, place: int) -> dict[int, VideoFrame] | None:
        """Return pictures by place in decoding order, that of a packet among them, or None."""
        if not self._works:
            return None
        stretch = self._seeker.go_to(place)
        found: dict[int, VideoFrame] = {}
        while stretch.next <= place and not stretch.ended:
            found.update(stretch.feed(stretch.next == place))
        found.update(stretch.drain())
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
