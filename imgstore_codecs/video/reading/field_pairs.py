"""Packets that hold one field, joined to frames: cameras that write interlaced video may store a frame as two packets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from imgstore_codecs.video.bitstream.bits import Bits, unescaped
from imgstore_codecs.video.bitstream.h264_parameters import picture_parameters, sequence_parameters
from imgstore_codecs.video.bitstream.nal_units import length_size, nal_units
from imgstore_codecs.video.reading.new_packet import new_packet

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.codeccontext import VideoCodecContext
    from av.video.stream import VideoStream

__all__ = ["FieldPairs", "fields_of"]

_SLICE, _IDR_SLICE, _PARAMETERS = 1, 5, (7, 8)  # nal_unit_type
_SLICE_HEADER = 64
_MPEG2_EXTENSION, _CODING = b"\x00\x00\x01\xb5", 8
_BOTTOM = {1: False, 2: True}  # picture_structure


class _Field(NamedTuple):
    is_bottom: bool
    frame_num: int  # both fields of a frame have the same one


def fields_of(context: VideoCodecContext) -> FieldPairs | None:
    """Return what joins the packets of an open video; None where none of them holds a field alone."""
    if context.name == "h264":
        fields = any(not sequence.frames_only for sequence in sequence_parameters(context.extradata).values())
    else:
        fields = context.name == "mpeg2video"
    return FieldPairs(context.name, context.extradata) if fields else None


class FieldPairs:
    """Tells fields from frames.

    Parameters
    ----------
    codec : str
        FFmpeg's name of the decoder, of H.264 or MPEG-2.
    extradata : bytes or None
        The stream's codec configuration.
    """

    def __init__(self, codec: str, extradata: bytes | None) -> None:
        self._field = self._field_of_h264 if codec == "h264" else _field_of_mpeg2
        self._length = length_size(extradata, 4)
        self._sequences = dict(sequence_parameters(extradata)) if codec == "h264" else {}
        self._pictures = picture_parameters(extradata) if codec == "h264" else {}

    def joined(self, packets: Iterator[Packet[VideoStream]]) -> Iterator[Packet[VideoStream]]:
        """Give packets, two fields that make a frame as one."""
        waiting: Packet[VideoStream] | None = None
        first: _Field | None = None
        for packet in packets:
            field = self._field(memoryview(packet)) if packet.size else None
            if waiting is not None:
                fits = field is not None and first == field._replace(is_bottom=not field.is_bottom)
                if fits and not waiting.is_discard:  # else an edit list leaves it out, and the frame is not counted
                    yield _join(waiting, packet)
                    waiting = None
                    continue
                yield waiting
            waiting = first = None
            if field is None:
                yield packet
            else:
                waiting, first = packet, field
        if waiting is not None:
            yield waiting

    def _field_of_h264(self, data: memoryview) -> _Field | None:
        """Read slice headers (ITU-T H.264, 7.3.3); None for what is no field, or both of a frame."""
        found = set()
        for unit in nal_units(data, self._length):
            kind = unit[0] & 31
            if kind in _PARAMETERS:
                self._sequences |= sequence_parameters(b"\0\0\1" + bytes(unit))
                self._pictures |= picture_parameters(b"\0\0\1" + bytes(unit))
            if kind not in (_SLICE, _IDR_SLICE):
                continue
            bits = Bits(unescaped(bytes(unit[1:_SLICE_HEADER])))
            try:
                bits.golomb()
                bits.golomb()
                sequence = self._sequences[self._pictures[bits.golomb()].sequence]
                bits.read(2 if sequence.separate_planes else 0)
                frame_num = bits.read(sequence.frame_num_bits)
                if sequence.frames_only or not bits.read(1):
                    return None
                found.add(_Field(bool(bits.read(1)), frame_num))
            except (EOFError, KeyError):
                return None
        return found.pop() if len(found) == 1 else None


def _field_of_mpeg2(data: memoryview) -> _Field | None:
    """Read picture coding extensions (ITU-T H.262, 6.2.3.1); None for what is no field, or both of a frame."""
    raw = bytes(data)
    found = []
    at = raw.find(_MPEG2_EXTENSION)
    while at >= 0:
        if at + 6 < len(raw) and raw[at + 4] >> 4 == _CODING:
            found.append(raw[at + 6] & 3)
        at = raw.find(_MPEG2_EXTENSION, at + 4)
    return _Field(_BOTTOM[found[0]], 0) if len(found) == 1 and found[0] in _BOTTOM else None


def _join(first: Packet[VideoStream], second: Packet[VideoStream]) -> Packet[VideoStream]:
    # PyAV has no way to say of a packet that it is damaged, but no decoder takes this one
    is_corrupt = first.is_corrupt or second.is_corrupt
    pair = new_packet(b"\0" if is_corrupt else bytes(first) + bytes(second))
    pair.pts, pair.dts, pair.time_base = first.pts, first.dts, first.time_base
    pair.duration = (first.duration or 0) + (second.duration or 0)
    pair.is_keyframe = first.is_keyframe
    if first.has_sidedata("new_extradata"):
        pair.set_sidedata(first.get_sidedata("new_extradata"))
    return pair
