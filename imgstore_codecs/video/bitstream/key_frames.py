"""What the first bytes of a packet say: may decoding begin here, is it shown, does anything refer to it?

The key-frame flags of containers promise less than exact seeking needs: encoders flag open groups of pictures and the
points of a periodic intra refresh too, and some files flag every packet. So the packets themselves are asked, by the syntax
in ITU-T H.264 (7.3, D.1.8), ITU-T H.265 (7.3.1.2), the AV1 bitstream specification (5.3, 5.9), RFC 6386 (VP8), RFC 9043
(FFV1), ITU-T H.262 (MPEG-2), and what is named below. What none of it is known of is decoded from the start.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from enum import IntEnum

from imgstore_codecs.video.bitstream.bits import Bits, unescaped
from imgstore_codecs.video.bitstream.h264_parameters import sequence_parameters
from imgstore_codecs.video.bitstream.nal_units import is_covered, length_size, nal_units

__all__ = [
    "INTRA_CODECS",
    "SeekPoint",
    "checksums_agree",
    "decodes_in_one_piece",
    "is_shown",
    "is_unreferenced",
    "jpeg_tables",
    "needs_first_packet",
    "parameter_set_names",
    "parameter_sets",
    "seek_point",
]

# Every packet stands alone.
INTRA_CODECS = frozenset(
    (
        "mjpeg", "mjpegb", "ljpeg", "jpegls", "jpeg2000", "jpegxl", "rawvideo", "png",
        "apng", "bmp", "tiff", "webp", "huffyuv", "ffvhuff", "utvideo", "magicyuv",
        "prores", "dnxhd", "cfhd", "hap", "v210", "v308", "v408", "v410",
        "r210", "y41p", "yuv4", "ayuv", "dvvideo", "asv1", "asv2",
    )
)  # fmt: skip

# Nothing that follows an intra picture of these in presentation order refers beyond it.
_INTRA_FIRST_CODECS = frozenset(
    (
        "mpeg4", "mpeg2video", "mpeg1video", "h263", "h263p", "flv", "flv1", "msmpeg4v2",
        "msmpeg4", "wmv1", "wmv2", "theora", "vp9", "libvpx-vp9", "svq1",
    )
)  # fmt: skip


# The first version whose 4:4:4 is as it should be, and the last whose B pictures are not, as FFmpeg's decoder has it
_X264 = re.compile(rb"x264 - core\s*(\d+)")
_X264_IS_RIGHT, _X264_B_PICTURES = 151, 33

_JPEG_SCAN, _JPEG_TABLES = 0xDA, frozenset([0xDB, 0xC4])  # start of scan; quantization and Huffman tables


class SeekPoint(IntEnum):
    """How far decoding may begin at a packet."""

    NONE = 0  # not at all
    SOFT = 1  # what is shown from here on is right, but a decoder may stumble over what is shown before
    HARD = 2  # nothing after it refers to anything before it


def seek_point(codec: str, extradata: bytes | None, data: memoryview) -> SeekPoint:
    """Say whether decoding may begin at a packet that its container flags as a key frame.

    Parameters
    ----------
    codec : str
        FFmpeg's name of the decoder.
    extradata : bytes or None
        The stream's codec configuration.
    data : memoryview
        The packet.
    """
    if codec == "h264":
        return _seek_point_h264(extradata, data)
    if codec == "hevc":
        return _seek_point_hevc(extradata, data)
    if codec in ("libdav1d", "av1", "libaom-av1"):
        return _seek_point_av1(data)
    if codec in ("vp8", "libvpx"):
        return SeekPoint.HARD if len(data) and not data[0] & 1 else SeekPoint.NONE
    if codec == "ffv1":
        # RFC 9043, 4.3 and 3.8.1.1: it begins with `keyframe`, a bit of the range coder as likely as not
        return SeekPoint.HARD if int.from_bytes(data[:2], "big") >= 0x7F80 else SeekPoint.NONE
    if codec in INTRA_CODECS:
        return SeekPoint.HARD
    return SeekPoint.SOFT if codec in _INTRA_FIRST_CODECS and _is_intra(codec, data) else SeekPoint.NONE


def is_shown(codec: str, data: memoryview) -> bool:
    """Whether a packet gives a picture to show; VP8 has packets that only serve as references."""
    if codec in ("vp8", "libvpx") and len(data):
        return bool(data[0] >> 4 & 1)
    return True


def is_unreferenced(codec: str, extradata: bytes | None, data: memoryview) -> bool:
    """Whether a packet can be left out: no other picture refers to its own, and it holds nothing else that is needed.

    H.264 says it of each picture (``nal_ref_idc``), HEVC within a temporal layer alone, so there must be only one.
    """
    # Damaged packets are asked too, so whatever is not quite as it should be counts as referred to.
    if codec == "h264":
        size = length_size(extradata, 4)
        headers = [nal[0] for nal in nal_units(data, size)]
        # slices that nothing refers to; supplemental information, delimiters, filler
        return is_covered(data, size) and 0x01 in headers and all(h in (0x01, 0x06, 0x09, 0x0C) for h in headers)
    if codec == "hevc":
        size = length_size(extradata, 21)
        units = [bytes(nal[:2]) for nal in nal_units(data, size)]
        kinds = [unit[0] >> 1 for unit in units]
        return (
            _has_one_layer(extradata)
            and is_covered(data, size)
            and all(unit[1:] == b"\x01" for unit in units)
            and any(kind < 16 for kind in kinds)
            and all((kind < 16 and not kind & 1) or kind in (35, 38, 39, 40) for kind in kinds)
        )
    # not of MPEG-4 part 2: where it is interlaced, what FFmpeg makes of a picture depends on those left out before it
    if codec in ("mpeg2video", "mpeg1video"):
        # picture start code, then the coding type
        at = bytes(data[:4096]).find(b"\x00\x00\x01\x00") + 4
        return at >= 4 and at + 1 < len(data) and data[at + 1] >> 3 & 7 == 3
    return codec in INTRA_CODECS


def parameter_sets(codec: str, extradata: bytes | None, data: memoryview) -> list[bytes]:
    """Return the parameter sets of H.264 or HEVC that a packet holds; there are none in others."""
    if codec == "h264":
        sets = [nal for nal in nal_units(data, length_size(extradata, 4)) if nal[0] & 31 in (7, 8, 13, 15)]
    elif codec == "hevc":
        sets = [nal for nal in nal_units(data, length_size(extradata, 21)) if nal[0] >> 1 & 63 in (32, 33, 34)]
    else:
        return []
    return [bytes(nal).rstrip(b"\0") for nal in sets]


def parameter_set_names(codec: str, sets: Iterable[bytes]) -> set[tuple[int, int]]:
    """Return kind and number of parameter sets: of those with the same ones the last holds.

    Raises
    ------
    EOFError
        One is not whole.
    """
    names = set()
    for one in sets:
        kind = one[0] & 31 if codec == "h264" else one[0] >> 1 & 63
        begin = {7: 4, 8: 1}.get(kind) if codec == "h264" else {34: 2}.get(kind)
        names.add((kind, 0 if begin is None else Bits(unescaped(one[begin:])).golomb()))
    return names


def needs_first_packet(codec: str, extradata: bytes | None, data: memoryview) -> bool:
    """Whether the first packet of a stream says what is needed to decode all others, and they do not.

    It names the version of x264. Early ones coded some pictures otherwise than H.264 has it, which FFmpeg makes good.
    """
    if codec != "h264":
        return False
    said = _X264.search(bytes(data[:4096]))
    version = int(said[1]) if said is not None else _X264_IS_RIGHT
    is_444 = any(sequence.chroma_format == 3 for sequence in sequence_parameters(extradata).values())
    return version <= _X264_B_PICTURES or (is_444 and version < _X264_IS_RIGHT)


def jpeg_tables(data: memoryview) -> frozenset[int]:
    """Return which kinds of tables come with a picture of Motion JPEG (ITU-T T.81, B.1.1.3): others come with earlier ones."""
    found = []
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != _JPEG_SCAN:
        if data[at + 1] == 0xFF:  # fill
            at += 1
            continue
        found.append(data[at + 1])
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return _JPEG_TABLES.intersection(found)


def _has_one_layer(hvcc: bytes | None) -> bool:
    """ISO/IEC 14496-15, 8.3.3.1.2: numTemporalLayers in bits 3 to 5; 0 where it is not known."""
    return hvcc is not None and len(hvcc) > 22 and hvcc[0] == 1 and hvcc[21] >> 3 & 7 == 1


def decodes_in_one_piece(codec: str, extradata: bytes | None, data: memoryview) -> bool:
    """Whether a packet's picture cannot be shared out to several threads, as it has no more than one slice."""
    if codec == "h264":
        return sum(nal[0] & 31 in (1, 5) for nal in nal_units(data, length_size(extradata, 4))) <= 1
    # not MPEG-4 part 2: interlaced, FFmpeg decodes it wrongly where it decodes several pictures at a time
    return codec in ("hevc", "mjpeg")


def _is_intra(codec: str, data: memoryview) -> bool:
    """Whether a packet's first picture refers to no other. Some files, and FFmpeg for H.263, flag every packet."""
    try:
        if codec == "mpeg4":  # ISO/IEC 14496-2, 6.2.5: vop_start_code, vop_coding_type; a short header is that of H.263
            head = _after(data, b"\x00\x00\x01\xb6")
            return head.read(2) == 0 if head is not None else _is_intra_h263(data)
        if codec in ("mpeg2video", "mpeg1video"):  # picture_start_code, temporal_reference, picture_coding_type
            head = _after(data, b"\x00\x00\x01\x00")
            return head is not None and head.read(10) >= 0 and head.read(3) == 1
        if codec in ("h263", "h263p"):
            return _is_intra_h263(data)
        head = Bits(bytes(data[:16]))
        if codec in ("flv", "flv1"):
            head.read(17 + 5 + 8)
            size = head.read(3)
            head.read({0: 16, 1: 32}.get(size, 0))
            return head.read(2) == 0
        if codec in ("msmpeg4v2", "msmpeg4", "wmv1"):
            return head.read(2) == 0
        if codec == "wmv2":
            return head.read(1) == 0
        if codec == "theora":  # a frame, and not a header; intra
            return head.read(2) == 0
        if codec == "svq1":  # frame code, temporal reference
            return head.read(22 + 8) >= 0 and head.read(2) == 0
        return _is_key_vp9(head)
    except EOFError:
        return False


def _after(data: memoryview, code: bytes) -> Bits | None:
    whole = bytes(data)
    at = whole.find(code)
    return None if at < 0 else Bits(whole[at + len(code) : at + len(code) + 4])


def _is_intra_h263(data: memoryview) -> bool:
    """ITU-T H.263, 5.1: start code, temporal reference, PTYPE with the coding type, or PLUSPTYPE with it behind."""
    head = Bits(bytes(data[:16]))
    if head.read(22) != 0x20:
        return False
    head.read(8 + 5)
    if head.read(3) != 7:
        return head.read(1) == 0
    if head.read(3) == 1:  # UFEP: OPPTYPE is there
        head.read(18)
    return head.read(3) == 0


def _is_key_vp9(head: Bits) -> bool:
    """VP9 bitstream specification, 6.2: frame_marker, profile, show_existing_frame, frame_type."""
    head.read(2)
    if head.read(2) == 3:
        head.read(1)
    return head.read(1) == 0 and head.read(1) == 0


def _seek_point_h264(extradata: bytes | None, data: memoryview) -> SeekPoint:
    recovery = False
    for nal in nal_units(data, length_size(extradata, 4)):
        kind = nal[0] & 31
        if kind == 5:  # IDR
            return SeekPoint.HARD
        if kind == 6:
            recovery = recovery or _recovers_at_once(bytes(nal[1:]).replace(b"\x00\x00\x03", b"\x00\x00"))
        elif kind == 1 or kind == 2:
            break
    return SeekPoint.SOFT if recovery else SeekPoint.NONE


def _recovers_at_once(sei: bytes) -> bool:
    """Whether SEI messages hold a recovery point with ``recovery_frame_cnt`` 0, whose code is a single 1 bit."""
    at = 0
    while at + 2 < len(sei):
        kind = size = 0
        while at < len(sei) and sei[at] == 255:
            kind += 255
            at += 1
        if at >= len(sei):
            return False
        kind += sei[at]
        at += 1
        while at < len(sei) and sei[at] == 255:
            size += 255
            at += 1
        if at >= len(sei):
            return False
        size += sei[at]
        at += 1
        if kind == 6:
            return at < len(sei) and bool(sei[at] & 0x80)
        at += size
    return False


def _seek_point_hevc(extradata: bytes | None, data: memoryview) -> SeekPoint:
    for nal in nal_units(data, length_size(extradata, 21)):
        kind = nal[0] >> 1 & 63
        if kind < 32:  # the first slice
            if 16 <= kind <= 20:  # BLA, IDR
                return SeekPoint.HARD
            return SeekPoint.SOFT if kind == 21 else SeekPoint.NONE  # CRA
    return SeekPoint.NONE


def _seek_point_av1(data: memoryview) -> SeekPoint:
    at = 0
    while at < len(data):
        header = data[at]
        kind = header >> 3 & 15
        at += 1 + (header >> 2 & 1)
        size = len(data) - at
        if header & 2:  # obu_has_size_field, leb128
            size = shift = 0
            while at < len(data):
                byte = data[at]
                at += 1
                size |= (byte & 127) << shift
                shift += 7
                if not byte & 128:
                    break
        if kind in (3, 6):  # frame header, frame
            if at >= len(data):
                return SeekPoint.NONE
            # show_existing_frame 0, frame_type KEY_FRAME (00), show_frame 1
            return SeekPoint.HARD if data[at] >> 4 == 0b0001 else SeekPoint.NONE
        at += size
    return SeekPoint.NONE


# each byte with its bits in reverse order
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def checksums_agree(data: memoryview) -> bool:
    """Whether each slice of an FFV1 packet has its CRC; FFmpeg's decoder notices damage and hides it.

    RFC 9043, 4.9: a slice ends with its size (3 bytes), an error status and a CRC-32 of polynomial 0x04C11DB7, begun
    with 0, most significant bit first, that makes the CRC of the whole slice 0. zlib has it with the bits reversed.
    """
    end = len(data)
    while end > 0:
        if end < 8:
            return False
        begin = end - 8 - int.from_bytes(data[end - 8 : end - 5], "big")
        if begin < 0 or zlib.crc32(bytes(data[begin:end]).translate(_REVERSED), 0xFFFFFFFF) != 0xFFFFFFFF:
            return False
        end = begin
    return True
