"""Whether pictures are shown in the order in which they are decoded, told without decoding them.

Some containers have no times of showing (AVI), and what was copied out of them has those of decoding in their place. What is
true of the first pictures need not be of the last: encoders that adapt use B pictures where little moves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgstore_codecs.video.bitstream.bits import Bits
from imgstore_codecs.video.bitstream.h264_parameters import pictures_held_back, reorder_depth
from imgstore_codecs.video.bitstream.h264_slices import SliceReader

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext

__all__ = ["ShowingOrder", "may_reorder"]

_MPEG4_LAYER, _MPEG4_PICTURE = 0x20, b"\x00\x00\x01\xb6"  # start codes of ISO/IEC 14496-2, 6.2.1
_MPEG4_B = 2  # vop_coding_type
_MPEG2_PICTURE = b"\x00\x00\x01\x00"  # ITU-T H.262, 6.2.3
_MPEG2_B = 3  # picture_coding_type
_ASPECT_IS_SAID = 15


def may_reorder(context: VideoCodecContext) -> bool:
    """Whether pictures of an open video may be shown in another order than they are decoded in, as far as its head says.

    What FFmpeg has learned from the first pictures of a file is no promise.
    """
    if not context.codec.reorder:
        return False
    if context.name == "h264" and pictures_held_back(context.extradata) is None:
        return True
    if context.name == "mpeg4" and not _has_low_delay(context.extradata or b""):
        return True
    return context.name in ("mpeg1video", "mpeg2video") or reorder_depth(context) > 0


def _has_low_delay(head: bytes) -> bool:
    """Whether a header of MPEG-4 part 2 promises that there are no B pictures (ISO/IEC 14496-2, 6.2.3)."""
    at = head.find(b"\x00\x00\x01")
    while at >= 0 and at + 3 < len(head) and head[at + 3] & 0xF0 != _MPEG4_LAYER:
        at = head.find(b"\x00\x00\x01", at + 3)
    if at < 0:
        return False
    bits = Bits(head[at + 4 : at + 16])
    try:
        bits.read(9)
        if bits.read(1):
            bits.read(7)
        if bits.read(4) == _ASPECT_IS_SAID:
            bits.read(16)
        return bits.read(1) == 1 and bits.read(3) & 1 == 1
    except EOFError:
        return False


class ShowingOrder:
    """Looks at the packets of a stream one by one.

    Parameters
    ----------
    codec : str
        FFmpeg's name of the decoder.
    extradata : bytes or None
        The stream's codec configuration.

    Attributes
    ----------
    is_that_of_decoding : bool
        So far. False also where only decoding can tell.
    """

    def __init__(self, codec: str, extradata: bytes | None) -> None:
        self._codec = codec
        self._slices = SliceReader(extradata) if codec == "h264" else None
        self._latest: tuple[int, int] | None = None  # counter of order of the last picture, and how many values it has
        self.is_that_of_decoding = codec in ("h264", "mpeg4", "mpeg1video", "mpeg2video")

    def add(self, data: memoryview) -> None:
        """Look at the next packet in decoding order."""
        if not self.is_that_of_decoding:
            return
        if self._slices is not None:
            self.is_that_of_decoding = self._follows(self._slices, data)
        elif self._codec == "mpeg4":
            self.is_that_of_decoding = all(byte >> 6 != _MPEG4_B for byte in _behind(bytes(data), _MPEG4_PICTURE, 4))
        else:
            self.is_that_of_decoding = all(
                byte >> 3 & 7 != _MPEG2_B for byte in _behind(bytes(data), _MPEG2_PICTURE, 5)
            )

    def _follows(self, reader: SliceReader, data: memoryview) -> bool:
        picture = reader.read(data)
        if picture is None:
            return False
        values = 1 << picture.sequence.order_bits
        before, self._latest = self._latest, (picture.order, values)
        if picture.is_idr or before is None:
            return True
        # the counter begins anew when it is full (ITU-T H.264, 8.2.1.1)
        return before[1] == values and 0 < (picture.order - before[0]) % values < values // 2


def _behind(data: bytes, code: bytes, distance: int) -> list[int]:
    """Return the bytes at a distance from where a start code begins, wherever it is."""
    found = []
    at = data.find(code)
    while at >= 0:
        if at + distance < len(data):
            found.append(data[at + distance])
        at = data.find(code, at + 3)
    return found
