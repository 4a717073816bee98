"""What H.264's parameter sets say of the order of pictures.

The syntax is that of ITU-T H.264, 7.3.2.1.1 and E.1, in the configuration of ISO/IEC 14496-15, 5.3.3.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext

__all__ = ["pictures_held_back", "reorder_depth"]

# Profiles whose parameter sets have the format of chroma, depths and scaling lists
_HIGH_PROFILES = frozenset((44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244))

_EXTENDED_SAR = 255
_MOST_HELD_BACK = 16


def pictures_held_back(extradata: bytes | None) -> int | None:
    """Return how many pictures a decoder holds back, at most, to show them in order.

    Parameters
    ----------
    extradata : bytes or None
        The stream's codec configuration, as MP4 and Matroska have it.

    Returns
    -------
    int or None
        None: it is not said, a decoder has to guess.
    """
    counts = [_reorders(_Bits(sps)) for sps in _parameter_sets(extradata or b"")]
    known = [count for count in counts if count is not None and count <= _MOST_HELD_BACK]
    return max(known) if known and len(known) == len(counts) else None


def reorder_depth(context: VideoCodecContext) -> int:
    """Return how many pictures the decoder of an open video holds back, as far as that is known without decoding."""
    said = pictures_held_back(context.extradata) if context.name == "h264" else None
    return max(context.reorder_depth, said or 0)


def _parameter_sets(avcc: bytes) -> list[bytes]:
    """Take the sequence parameter sets out of a configuration, without their headers; none where it is not whole."""
    if len(avcc) < 7 or avcc[0] != 1:
        return []
    sets, at = [], 6
    for _ in range(avcc[5] & 31):
        size = int.from_bytes(avcc[at : at + 2], "big")
        unit = avcc[at + 2 : at + 2 + size]
        if len(unit) != size or not size or unit[0] & 31 != 7:
            return []
        sets.append(unit[1:].replace(b"\x00\x00\x03", b"\x00\x00"))
        at += 2 + size
    return sets


class _Bits:
    """Reads bits; beyond the end they are 0."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def read(self, count: int) -> int:
        self._left -= count
        value = self._value >> self._left if self._left >= 0 else 0
        return value & ((1 << count) - 1)

    def golomb(self) -> int:
        """Read an unsigned number in Exp-Golomb code (9.1)."""
        zeros = 0
        while not self.read(1):
            zeros += 1
            if zeros > 32:
                return 0
        return (1 << zeros) - 1 + self.read(zeros)

    def signed_golomb(self) -> int:
        value = self.golomb()
        return (value + 1) // 2 if value % 2 else -(value // 2)

    @property
    def overrun(self) -> bool:
        return self._left < 0


def _reorders(bits: _Bits) -> int | None:
    """Read a sequence parameter set; return what it says of reordering."""
    profile = bits.read(8)
    bits.read(16)  # constraints, level
    bits.golomb()  # its number
    if profile in _HIGH_PROFILES:
        _skip_format(bits)
    bits.golomb()  # log2_max_frame_num
    order_type = bits.golomb()
    if order_type == 0:
        bits.golomb()
    elif order_type == 1:
        bits.read(1)
        for _ in range(2):
            bits.signed_golomb()
        for _ in range(min(bits.golomb(), 255)):
            bits.signed_golomb()
    bits.golomb()  # reference frames
    bits.read(1)
    for _ in range(2):  # width and height
        bits.golomb()
    if not bits.read(1):  # fields
        bits.read(1)
    bits.read(1)
    if bits.read(1):  # cropping
        for _ in range(4):
            bits.golomb()
    said = _reorders_by_vui(bits) if bits.read(1) else None
    if bits.overrun:
        return None
    return 0 if order_type == 2 else said  # of which pictures come as they are shown (8.2.1)


def _skip_format(bits: _Bits) -> None:
    chroma = bits.golomb()
    if chroma == 3:
        bits.read(1)
    for _ in range(2):  # depths
        bits.golomb()
    bits.read(1)
    if bits.read(1):
        for k in range(12 if chroma == 3 else 8):
            if bits.read(1):
                _skip_scaling_list(bits, 16 if k < 6 else 64)


def _skip_scaling_list(bits: _Bits, size: int) -> None:
    scale = 8
    for _ in range(size):
        scale = (scale + bits.signed_golomb()) % 256
        if scale == 0:  # those that follow are as the last one
            return


def _reorders_by_vui(bits: _Bits) -> int | None:
    if bits.read(1) and bits.read(8) == _EXTENDED_SAR:
        bits.read(32)
    if bits.read(1):  # overscan
        bits.read(1)
    if bits.read(1):  # signal type
        bits.read(4)
        if bits.read(1):
            bits.read(24)
    if bits.read(1):  # where chroma is
        for _ in range(2):
            bits.golomb()
    if bits.read(1):  # timing
        bits.read(65)
    has_hrd = [_skip_hrd(bits) if bits.read(1) else False for _ in range(2)]
    if any(has_hrd):
        bits.read(1)
    bits.read(1)
    if not bits.read(1):
        return None
    bits.read(1)
    for _ in range(4):  # sizes of pictures and macroblocks, lengths of motion vectors
        bits.golomb()
    return bits.golomb()


def _skip_hrd(bits: _Bits) -> bool:
    count = bits.golomb() + 1
    bits.read(8)
    for _ in range(min(count, 32)):
        for _ in range(2):
            bits.golomb()
        bits.read(1)
    bits.read(20)
    return True
