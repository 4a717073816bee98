"""How large is the image in a file, and is the file all there? Without decoding it.

OpenCV decides by a file's content, allocates what its header asks for, writes warnings about files that end early to
the terminal, and some of its versions give the upper part of a truncated JPEG for a whole image. So `image_size` is
asked first: it costs microseconds, and what it refuses OpenCV never sees.

The formats: PNG (W3C, "Portable Network Graphics Specification"), TIFF 6.0 and BigTIFF (Adobe; AWare Systems), BMP
(Microsoft, ``BITMAPFILEHEADER`` and ``BITMAPINFOHEADER``), JPEG (ITU-T T.81, annex B), Netpbm (``pnm(5)``).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Any

import numpy.typing as npt

from imgstore.errors import FrameDecodeError

__all__ = ["image_size"]

Frame = npt.NDArray[Any]


def image_size(extension: str, data: Frame) -> tuple[int, int]:
    """Read the height and width of an image out of its file's header.

    Parameters
    ----------
    extension : str
        Says which format the file has: ``.png``, ``.tif``, ``.bmp``, ``.jpg``, ``.ppm`` or ``.pgm``.
    data : numpy.ndarray
        Content of the file, one-dimensional, uint8.

    Returns
    -------
    tuple of int
        Height and width.

    Raises
    ------
    imgstore.errors.FrameDecodeError
        The file has another format, or ends early.
    """
    try:
        return _READERS[extension](data.data)
    except (struct.error, IndexError) as error:
        raise FrameDecodeError(f"the {extension[1:]} file is truncated or damaged: {data.size} bytes") from error


def _require(whole: bool, fault: str) -> None:
    if not whole:
        raise FrameDecodeError(fault)


def _png(data: memoryview) -> tuple[int, int]:
    _require(bytes(data[:16]) == b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR", "this is not a PNG file")
    width, height = struct.unpack_from(">II", data, 16)
    position = 8
    while True:
        length, kind = struct.unpack_from(">I4s", data, position)
        position += 12 + length
        _require(position <= len(data), "the PNG file is truncated")
        if kind == b"IEND":
            return height, width


def _bmp(data: memoryview) -> tuple[int, int]:
    _require(bytes(data[:2]) == b"BM", "this is not a BMP file")
    (offset,) = struct.unpack_from("<I", data, 10)
    (header,) = struct.unpack_from("<I", data, 14)
    if header == 12:  # BITMAPCOREHEADER
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        compression = 0
    else:
        width, height, _, bits, compression = struct.unpack_from("<iiHHI", data, 18)
    height = abs(height)  # negative where the first row comes first
    if compression in (0, 3):  # not run-length encoded: BI_RGB, BI_BITFIELDS
        _require(len(data) >= offset + height * ((width * bits + 31) // 32 * 4), "the BMP file is truncated or damaged")
    return height, width


_JPEG_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_END, _JPEG_SCAN = b"\xff\xd9", b"\xff\xda"
_MAX_SCANS = 100  # some ten are usual; each makes the decoder go through the whole image again


def _jpg(data: memoryview) -> tuple[int, int]:
    _require(bytes(data[:3]) == b"\xff\xd8\xff", "this is not a JPEG file")
    # Image data never contains the end marker, so a file without one near its end has lost its tail. Some writers
    # pad the file after it.
    tail = bytes(data[-64:]).rstrip(b"\0")
    _require(tail.endswith(_JPEG_END) or _JPEG_END in tail, "the JPEG file is truncated: it has no end marker")
    _require(bytes(data).count(_JPEG_SCAN) <= _MAX_SCANS, f"the JPEG file has more than {_MAX_SCANS} scans")
    position = 2
    while True:
        _require(data[position] == 0xFF, "the JPEG file is damaged")
        marker = data[position + 1]
        if marker == 0xFF:  # padding before a marker
            position += 1
        elif marker in _JPEG_FRAME_HEADERS:
            height, width = struct.unpack_from(">HH", data, position + 5)
            return height, width
        else:
            _require(marker not in (0xD8, 0xD9, 0xDA), "the JPEG file is damaged: it has no frame header")
            (length,) = struct.unpack_from(">H", data, position + 2)
            position += 2 + length


# blanks and comments before each number, in one way only: where there are two, a long run of blanks takes for ever
_PNM_HEADER = re.compile(rb"P([56])" + rb"(?=[\s#])(?:\s|#[^\n\r]*[\n\r])*(\d{1,9})" * 3 + rb"\s")


def _pnm(kind: bytes, channels: int, data: memoryview) -> tuple[int, int]:
    found = _PNM_HEADER.match(bytes(data[:4096]))
    _require(found is not None and found[1] == kind, f"this is not a binary {'PPM' if kind == b'6' else 'PGM'} file")
    assert found is not None
    width, height, maximum = int(found[2]), int(found[3]), int(found[4])
    size = found.end() + width * height * channels * (1 if maximum < 256 else 2)
    _require(len(data) >= size, f"the Netpbm file is truncated: {len(data)} bytes of {size}")
    return height, width


# tag numbers, and field types with their struct codes
_TIFF_WIDTH, _TIFF_LENGTH = 256, 257
_TIFF_TILE_WIDTH, _TIFF_TILE_LENGTH = 322, 323
_MAX_TILE = 1 << 24  # pixels of a tile, unless the image has more: OpenCV takes memory for one before it looks further
_TIFF_TYPES = {3: "H", 4: "I", 16: "Q"}


def _tif(data: memoryview) -> tuple[int, int]:
    order = {b"II": "<", b"MM": ">"}.get(bytes(data[:2]), "")
    version = struct.unpack_from(order + "H", data, 2)[0]
    _require(order != "" and version in (42, 43), "this is not a TIFF file")
    big = version == 43
    (directory,) = struct.unpack_from(f"{order}{'Q' if big else 'I'}", data, 8 if big else 4)
    (count,) = struct.unpack_from(f"{order}{'Q' if big else 'H'}", data, directory)
    entry_size, first, value = (20, 8, 12) if big else (12, 2, 8)
    size: dict[int, int] = {}
    for n in range(min(count, 4096)):
        entry = directory + first + n * entry_size
        tag, kind = struct.unpack_from(order + "HH", data, entry)
        if tag in (_TIFF_WIDTH, _TIFF_LENGTH, _TIFF_TILE_WIDTH, _TIFF_TILE_LENGTH):
            _require(kind in _TIFF_TYPES, "the TIFF file is damaged: its size is no whole number")
            (size[tag],) = struct.unpack_from(f"{order}{_TIFF_TYPES[kind]}", data, entry + value)
    _require({_TIFF_LENGTH, _TIFF_WIDTH} <= size.keys(), "the TIFF file is damaged: it does not say its size")
    height, width = size[_TIFF_LENGTH], size[_TIFF_WIDTH]
    tile = size.get(_TIFF_TILE_LENGTH, 0) * size.get(_TIFF_TILE_WIDTH, 0)
    _require(
        tile <= max(_MAX_TILE, 4 * height * width), "the TIFF file is damaged: its tiles are larger than the image"
    )
    return height, width


def _pgm(data: memoryview) -> tuple[int, int]:
    return _pnm(b"5", 1, data)


def _ppm(data: memoryview) -> tuple[int, int]:
    return _pnm(b"6", 3, data)


_READERS: dict[str, Callable[[memoryview], tuple[int, int]]] = {
    ".png": _png,
    ".tif": _tif,
    ".bmp": _bmp,
    ".jpg": _jpg,
    ".ppm": _ppm,
    ".pgm": _pgm,
}
