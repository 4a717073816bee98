"""The units that packets of H.264 and HEVC consist of (ISO/IEC 14496-15, 5.3.4.2; ITU-T H.264, annex B)."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["end_of_sequence", "is_covered", "length_size", "nal_units"]


def length_size(extradata: bytes | None, at: int) -> int:
    """Bytes of the length before each NAL unit, as avcC and hvcC have it; 0 where start codes are used instead."""
    if extradata and len(extradata) > at and extradata[0] == 1:
        return (extradata[at] & 3) + 1
    return 0


def nal_units(data: memoryview, length_bytes: int) -> Iterator[memoryview]:
    """Give the NAL units of a packet, without their lengths or start codes."""
    if length_bytes:
        at = 0
        while at + length_bytes < len(data):
            size = int.from_bytes(data[at : at + length_bytes], "big")
            at += length_bytes
            if size and at < len(data):
                yield data[at : at + size]
            at += size
        return
    raw = bytes(data)
    at = raw.find(b"\x00\x00\x01")
    while at >= 0:
        following = raw.find(b"\x00\x00\x01", at + 3)
        unit = data[at + 3 : following if following >= 0 else len(raw)]
        if len(unit):
            yield unit
        at = following


def is_covered(data: memoryview, length_bytes: int) -> bool:
    """Whether the lengths before NAL units add up to the packet."""
    at = 0
    while length_bytes and at < len(data):
        at += length_bytes + int.from_bytes(data[at : at + length_bytes], "big")
    return not length_bytes or at == len(data)


def end_of_sequence(length_bytes: int) -> bytes:
    """Return a packet of H.264 that ends a sequence and holds nothing else (ITU-T H.264, 7.3.2.5)."""
    unit = b"\x0a"
    return (len(unit).to_bytes(length_bytes, "big") if length_bytes else b"\x00\x00\x01") + unit
