"""H.264's parameter sets: what decoding its pictures depends on, and how they are ordered.

The syntax is that of ITU-T H.264, 7.3.2.1.1, 7.3.2.2 and E.1, in the configuration of ISO/IEC 14496-15, 5.3.3.1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from imgstore_codecs.video.bitstream.bits import Bits, unescaped
from imgstore_codecs.video.bitstream.nal_units import nal_units

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext

__all__ = [
    "ORDER_BY_A_COUNTER",
    "PictureParameters",
    "SequenceParameters",
    "picture_parameters",
    "pictures_held_back",
    "reorder_depth",
    "sequence_parameters",
]

# Profiles whose parameter sets have the format of chroma, depths and scaling lists
_HIGH_PROFILES = frozenset((44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244))

_SEQUENCE, _PICTURE = 7, 8  # nal_unit_type
_EXTENDED_SAR = 255
_MOST_HELD_BACK = 16

# pic_order_cnt_type: each slice has a counter; pictures come as they are shown
ORDER_BY_A_COUNTER, _AS_THEY_COME = 0, 2


@dataclass(frozen=True)
class SequenceParameters:
    """A sequence parameter set.

    Attributes
    ----------
    number : int
        By which picture parameter sets refer to it.
    chroma_format : int
        0 is gray, else what `chroma_format_idc` says.
    separate_planes : bool
        Colours are coded as three gray pictures.
    frame_num_bits : int
        Of `frame_num` in slices.
    order_type : int
        How the order of pictures is told.
    order_bits : int
        Of the counter in slices, where it is told by one.
    reference_frames : int
        How many a decoder keeps to refer to.
    gaps_allowed : bool
        Pictures may have been left out.
    frames_only : bool
        There are no fields.
    held_back : int or None
        How many pictures a decoder holds back at most, to show them in order. None: it is not said.
    """

    number: int
    chroma_format: int
    separate_planes: bool
    frame_num_bits: int
    order_type: int
    order_bits: int
    reference_frames: int
    gaps_allowed: bool
    frames_only: bool
    held_back: int | None


@dataclass(frozen=True)
class PictureParameters:
    """A picture parameter set, as far as slice headers depend on it.

    Attributes
    ----------
    sequence : int
        Number of its sequence parameter set.
    has_bottom_order : bool
        Slices have a second counter.
    slice_groups : int
        In which the macroblocks of a picture are.
    active : tuple of int
        How many pictures slices refer to in either list, where they do not say it themselves.
    weighs_p, weighs_b : bool
        Slices have weights for what they refer to.
    has_redundant_pictures : bool
        Slices say that they are a copy.
    """

    sequence: int
    has_bottom_order: bool
    slice_groups: int
    active: tuple[int, int]
    weighs_p: bool
    weighs_b: bool
    has_redundant_pictures: bool


def pictures_held_back(extradata: bytes | None) -> int | None:
    """Return how many pictures a decoder holds back, at most, to show them in order.

    Parameters
    ----------
    extradata : bytes or None
        The stream's codec configuration.

    Returns
    -------
    int or None
        None: it is not said, a decoder has to guess.
    """
    sets = sequence_parameters(extradata)
    known = [s.held_back for s in sets.values() if s.held_back is not None and s.held_back <= _MOST_HELD_BACK]
    return max(known) if known and len(known) == len(sets) else None


def reorder_depth(context: VideoCodecContext) -> int:
    """Return how many pictures the decoder of an open video holds back, as far as that is known without decoding."""
    said = pictures_held_back(context.extradata) if context.name == "h264" else None
    return max(context.reorder_depth, said or 0)


@lru_cache(maxsize=16)  # opening a file asks several times
def sequence_parameters(extradata: bytes | None) -> Mapping[int, SequenceParameters]:
    """Read the sequence parameter sets of a configuration, by their numbers; none where one is not whole."""
    try:
        sets = [_read_sequence(Bits(unescaped(unit))) for unit in _units(extradata or b"", _SEQUENCE)]
    except EOFError:
        return {}
    return {s.number: s for s in sets}


def picture_parameters(extradata: bytes | None) -> dict[int, PictureParameters]:
    """Read the picture parameter sets of a configuration, by their numbers; none where one is not whole."""
    try:
        return dict(_read_picture(Bits(unescaped(unit))) for unit in _units(extradata or b"", _PICTURE))
    except EOFError:
        return {}


def _units(avcc: bytes, kind: int) -> Iterator[bytes]:
    """Give the parameter sets of a kind in a configuration, without their headers."""
    if avcc.startswith((b"\0\0\1", b"\0\0\0\1")):  # as AVI and transport streams have it
        yield from (bytes(unit[1:]) for unit in nal_units(memoryview(avcc), 0) if unit[0] & 31 == kind)
        return
    if len(avcc) < 7 or avcc[0] != 1:
        return
    at = 5
    for part in (_SEQUENCE, _PICTURE):
        if at >= len(avcc):
            raise EOFError("the configuration ends early")
        count = avcc[at] & 31 if part == _SEQUENCE else avcc[at]
        at += 1
        for _ in range(count):
            size = int.from_bytes(avcc[at : at + 2], "big")
            unit = avcc[at + 2 : at + 2 + size]
            if len(unit) != size or not size or unit[0] & 31 != part:
                raise EOFError("a parameter set is not whole")
            if part == kind:
                yield unit[1:]
            at += 2 + size
        if part == kind:
            return


def _read_sequence(bits: Bits) -> SequenceParameters:
    profile = bits.read(8)
    bits.read(16)  # constraints, level
    number = bits.golomb()
    chroma_format, separate_planes = _read_format(bits) if profile in _HIGH_PROFILES else (1, False)
    frame_num_bits = bits.golomb() + 4
    order_type = bits.golomb()
    order_bits = 0
    if order_type == ORDER_BY_A_COUNTER:
        order_bits = bits.golomb() + 4
    elif order_type == 1:
        bits.read(1)
        for _ in range(2):
            bits.signed_golomb()
        for _ in range(min(bits.golomb(), 255)):
            bits.signed_golomb()
    reference_frames = bits.golomb()
    gaps_allowed = bool(bits.read(1))
    for _ in range(2):  # width and height
        bits.golomb()
    frames_only = bool(bits.read(1))
    if not frames_only:
        bits.read(1)
    bits.read(1)
    if bits.read(1):  # cropping
        for _ in range(4):
            bits.golomb()
    held_back = _held_back_by_vui(bits) if bits.read(1) else None
    if order_type == _AS_THEY_COME:  # (8.2.1)
        held_back = 0
    return SequenceParameters(
        number, chroma_format, separate_planes, frame_num_bits, order_type, order_bits, reference_frames,
        gaps_allowed, frames_only, held_back,
    )  # fmt: skip


def _read_format(bits: Bits) -> tuple[int, bool]:
    chroma_format = bits.golomb()
    separate_planes = chroma_format == 3 and bool(bits.read(1))
    for _ in range(2):  # depths
        bits.golomb()
    bits.read(1)
    if bits.read(1):
        for k in range(12 if chroma_format == 3 else 8):
            if bits.read(1):
                _skip_scaling_list(bits, 16 if k < 6 else 64)
    return chroma_format, separate_planes


def _skip_scaling_list(bits: Bits, size: int) -> None:
    scale = 8
    for _ in range(size):
        scale = (scale + bits.signed_golomb()) % 256
        if scale == 0:  # those that follow are as the last one
            return


def _held_back_by_vui(bits: Bits) -> int | None:
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


def _skip_hrd(bits: Bits) -> bool:
    count = bits.golomb() + 1
    bits.read(8)
    for _ in range(min(count, 32)):
        for _ in range(2):
            bits.golomb()
        bits.read(1)
    bits.read(20)
    return True


def _read_picture(bits: Bits) -> tuple[int, PictureParameters]:
    number, sequence = bits.golomb(), bits.golomb()
    bits.read(1)  # CABAC or not
    has_bottom_order = bool(bits.read(1))
    slice_groups = bits.golomb() + 1
    if slice_groups > 1:  # their map is not of interest, nobody uses them
        return number, PictureParameters(sequence, has_bottom_order, slice_groups, (0, 0), False, False, False)
    active = bits.golomb() + 1, bits.golomb() + 1
    weighs_p = bool(bits.read(1))
    weighs_b = bits.read(2) == 1  # 2: weights that follow from distances
    for _ in range(3):
        bits.signed_golomb()
    bits.read(2)
    return number, PictureParameters(
        sequence, has_bottom_order, slice_groups, active, weighs_p, weighs_b, bool(bits.read(1))
    )
