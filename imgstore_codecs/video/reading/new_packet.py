"""Packets for a decoder that no file has as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.stream import VideoStream

__all__ = ["new_packet"]


def new_packet(data: bytes) -> Packet[VideoStream]:
    """Make a packet in memory of FFmpeg's own.

    To let go of Python's, a thread of FFmpeg needs the GIL, which is held by who closes the decoder and waits for that thread.
    """
    import av

    packet: Packet[VideoStream] = av.Packet(len(data))  # type: ignore[assignment]  # of no stream yet
    packet.update(data)
    return packet
