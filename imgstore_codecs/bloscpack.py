"""``bpk``: a file per frame in bloscpack's format, for any type and shape, without loss.

The format is documented in bloscpack's README ("Bloscpack Format", version 3; https://github.com/Blosc/bloscpack),
chunks in c-blosc's README_HEADER::

    | header | metadata | offsets | chunk | checksum | chunk | checksum | ...

How arrays are described in the metadata was observed on files of bloscpack 0.16: JSON with ``dtype`` (the literal
of numpy's descr), ``shape``, ``order`` ('C' or 'F') and ``container`` ('numpy').

The original is not needed, only python-blosc. Files say how large their parts are, and blosc believes them; so every
size is checked, and every checksum compared, before blosc is given anything.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from imgstore.codec import Buffer, Codec, Format, FrameCodec, FrameSpec
from imgstore.errors import ArgumentError, FormatError, FrameDecodeError
from imgstore.hookspecs import hookimpl
from imgstore.npy_header import dtype_of_descr, parse_literal

__all__ = ["BloscpackCodec"]

Frame = npt.NDArray[Any]

# magic, version, options, checksum, typesize, chunk size, last chunk's size, number of chunks, room for more
_HEADER = struct.Struct("<4sBBBBiiqq")
# magic, options, checksum, codec, level, size, room, compressed size, user codec
_METADATA_HEADER = struct.Struct("<8sBBBBIII8s")
# version, version of the compressor, flags, typesize, size, size of blocks, compressed size
_CHUNK_HEADER = struct.Struct("<BBBBIII")

_MAGIC = b"blpk"
_VERSION = 3
_OFFSETS, _METADATA = 0x01, 0x02
_MAX_DIMENSIONS = 32  # of numpy before 2.0
_MAX_METADATA = 1 << 16  # the description of an array takes a hundred bytes

_COMPRESSORS = ("blosclz", "lz4", "lz4hc", "zlib", "zstd")
_SHUFFLES = {"none": 0, "byte": 1, "bit": 2}
# zstd at its lowest level after bitshuffle: of noisy 8-bit images it leaves three quarters in about 1 ms per megapixel
_DEFAULTS: dict[str, Any] = {"compressor": "zstd", "level": 1, "shuffle": "bit"}

# A chunk is compressed as a whole by several threads; blosc takes up to 2 GiB, and chunks must divide by the item size.
_CHUNK_SIZE = 1 << 28
_MAX_TYPESIZE = 255
_MAX_CHUNK = (1 << 31) - 1 - 16

_Digest = Callable[[Any], bytes]


def _word(function: Callable[[Any], int]) -> _Digest:
    return lambda data: struct.pack("<I", function(data))


def _hash(name: str) -> _Digest:
    # not for security: a system that forbids md5 for that purpose must read its files nevertheless
    return lambda data: hashlib.new(name, data, usedforsecurity=False).digest()


# by their number in headers: name, size, function
_CHECKSUMS: tuple[tuple[str, int, _Digest], ...] = (
    ("none", 0, lambda data: b""),
    ("adler32", 4, _word(zlib.adler32)),
    ("crc32", 4, _word(zlib.crc32)),
    ("md5", 16, _hash("md5")),
    ("sha1", 20, _hash("sha1")),
    ("sha224", 28, _hash("sha224")),
    ("sha256", 32, _hash("sha256")),
    ("sha384", 48, _hash("sha384")),
    ("sha512", 64, _hash("sha512")),
)
_ADLER32 = 1


class _Layout(NamedTuple):
    """What stands before the offsets: the same in all files of a store."""

    size: int  # of all that, in bytes
    checksum: int
    chunk_sizes: tuple[int, ...]  # uncompressed
    first_chunk: int  # where it begins
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran_order: bool


class BloscpackCodec(FrameCodec):
    """Arrays as bloscpack's ``pack_ndarray_to_file`` writes them."""

    name = "bloscpack"
    formats = (Format("bpk", ".bpk", lossless=True, dtypes=None, any_shape=True),)

    def missing(self, fmt: Format) -> str | None:
        """Say when python-blosc is not there."""
        try:
            import blosc  # noqa: F401
        except ImportError as error:
            return f"python-blosc cannot be imported ({error}): pip install imgstore[bloscpack]"
        return None

    def write_options(self, fmt: Format) -> Mapping[str, str]:
        """Name the options."""
        return {
            "compressor": f"one of {', '.join(_COMPRESSORS)}; default: {_DEFAULTS['compressor']}",
            "level": f"0 (none) to 9 (smallest, slow); default: {_DEFAULTS['level']}",
            "shuffle": f"one of {', '.join(_SHUFFLES)}; default: {_DEFAULTS['shuffle']}",
        }

    def check_options(self, fmt: Format, spec: FrameSpec, options: Mapping[str, Any]) -> None:
        """Check the options' values, and refuse types that would need pickles."""
        _arguments(options)
        _refuse_objects(spec.dtype)

    def frame_spec(self, path: str, fmt: Format) -> FrameSpec:
        """Tell what the file says of itself; that it can be decompressed is seen with the room that a frame of this takes."""
        data = np.fromfile(path, np.uint8)
        layout = _parse_start(data.data)
        spec = FrameSpec(layout.shape, layout.dtype.newbyteorder("="))
        img = self.decoder(fmt, spec)(data)
        return FrameSpec(img.shape, img.dtype)

    def encoder(self, fmt: Format, spec: FrameSpec, options: Mapping[str, Any]) -> Callable[[Frame], Sequence[Buffer]]:
        """Give the function that compresses a frame."""
        _refuse_objects(spec.dtype)
        compress = _compressor(spec.dtype.itemsize, options)
        nbytes = math.prod(spec.shape) * spec.dtype.itemsize
        sizes = _split(nbytes, spec.dtype.itemsize)
        start = _start_of_file(spec, sizes)
        pack_offsets = struct.Struct(f"<{len(sizes)}q").pack
        first = len(start) + 8 * len(sizes)

        def encode(img: Frame) -> Sequence[Buffer]:
            samples = img.reshape(-1).view(np.uint8)
            offsets, chunks = [], []
            position, begin = first, 0
            for size in sizes:
                chunk = compress(samples[begin : begin + size])
                offsets.append(position)
                chunks += [chunk, struct.pack("<I", zlib.adler32(chunk))]
                begin += size
                position += len(chunk) + 4
            return [start, pack_offsets(*offsets), *chunks]

        return encode

    def decoder(self, fmt: Format, spec: FrameSpec) -> Callable[[Frame], Frame]:
        """Give the function that checks and decompresses a file."""
        import blosc

        nbytes = math.prod(spec.shape) * spec.dtype.itemsize
        # as for npy: all files of a store begin alike, and threads share one tuple, replaced as a whole
        known: tuple[bytes, _Layout] | None = None

        def decode(data: Frame) -> Frame:
            nonlocal known
            seen = known
            if seen is not None and data[: seen[1].size].tobytes() == seen[0]:
                layout = seen[1]
            else:
                layout = _parse_start(data.data)
                if sum(layout.chunk_sizes) > nbytes:  # of a few bytes blosc would make as many as they ask for
                    raise FrameDecodeError(
                        f"the bpk file holds a {layout.dtype} array of shape {layout.shape}, which is larger than the"
                        f" frames of the store: {spec.dtype} of shape {spec.shape}"
                    )
                known = (data[: layout.size].tobytes(), layout)
            chunks = _locate_chunks(data.data, layout)  # all are checked before memory is taken
            samples = np.empty(sum(layout.chunk_sizes), np.uint8)
            begin = 0
            for chunk, size in zip(chunks, layout.chunk_sizes, strict=True):
                if size:
                    _decompress(blosc, chunk, samples[begin : begin + size])
                begin += size
            img: Frame = samples.view(layout.dtype)
            if layout.fortran_order:
                img = np.ascontiguousarray(img.reshape(layout.shape[::-1]).transpose())
            return img.reshape(layout.shape).astype(layout.dtype.newbyteorder("="), copy=False)

        return decode


# --- writing


def _arguments(options: Mapping[str, Any]) -> tuple[str, int, int]:
    """Check the options, and give blosc's name of the compressor, its level and its number of the filter."""
    compressor, level, shuffle = (options.get(name, default) for name, default in _DEFAULTS.items())
    if compressor not in _COMPRESSORS:
        raise ArgumentError(f"compressor of bpk is one of {', '.join(map(repr, _COMPRESSORS))}, not {compressor!r}")
    if isinstance(level, (bool, np.bool_)) or not isinstance(level, (int, np.integer)) or not 0 <= level <= 9:
        raise ArgumentError(f"level of bpk is a whole number from 0 to 9, not {level!r}")
    if not isinstance(shuffle, str) or shuffle not in _SHUFFLES:
        raise ArgumentError(f"shuffle of bpk is one of {', '.join(map(repr, _SHUFFLES))}, not {shuffle!r}")
    return str(compressor), int(level), _SHUFFLES[shuffle]


def _refuse_objects(dtype: np.dtype[Any]) -> None:
    if dtype.hasobject:
        raise FormatError(f"format 'bpk' holds no Python objects ({dtype}): they would be pickled")


def _compressor(itemsize: int, options: Mapping[str, Any]) -> Callable[[Frame], bytes]:
    import blosc

    compressor, level, shuffle = _arguments(options)
    typesize = itemsize if itemsize <= _MAX_TYPESIZE else 1

    def compress(samples: Frame) -> bytes:
        # the address of the samples: other ways into python-blosc copy them first
        chunk: bytes = blosc.compress_ptr(
            samples.ctypes.data, samples.size // typesize, typesize, level, shuffle, compressor
        )
        return chunk

    return compress


def _split(nbytes: int, itemsize: int) -> tuple[int, ...]:
    """Cut so many bytes into chunks of whole items; no bytes are one empty chunk."""
    whole = _CHUNK_SIZE // itemsize * itemsize
    full, rest = divmod(nbytes, whole)
    return (whole,) * full + ((rest,) if rest or not full else ())


def _start_of_file(spec: FrameSpec, sizes: Sequence[int]) -> bytes:
    descr = repr(np.lib.format.dtype_to_descr(spec.dtype))
    metadata = json.dumps(
        {"dtype": descr, "shape": spec.shape, "order": "C", "container": "numpy"}, separators=(",", ":")
    ).encode("ascii")
    # no room to grow, neither for more metadata nor for more chunks: a frame does not
    return b"".join(
        (
            _HEADER.pack(
                _MAGIC,
                _VERSION,
                _OFFSETS | _METADATA,
                _ADLER32,
                min(spec.dtype.itemsize, _MAX_TYPESIZE),
                sizes[0],
                sizes[-1],
                len(sizes),
                0,
            ),
            _METADATA_HEADER.pack(b"JSON", 0, _ADLER32, 0, 0, len(metadata), len(metadata), len(metadata), b""),
            metadata,
            struct.pack("<I", zlib.adler32(metadata)),
        )
    )


# --- reading


def _require(sound: bool, fault: str) -> None:
    if not sound:
        raise FrameDecodeError(fault)


def _verify(number: int, data: memoryview, stored: memoryview, what: str) -> None:
    name, _, digest = _CHECKSUMS[number]
    _require(digest(data) == stored, f"the bpk file is damaged: {what} has another {name} checksum")


def _parse_start(data: memoryview) -> _Layout:
    _require(data[:4] == _MAGIC, "this is not a bpk file: it does not begin as one does")
    _require(len(data) >= _HEADER.size, "the bpk file is truncated within its header")
    _, version, options, checksum, _, chunk_size, last_size, count, room = _HEADER.unpack_from(data)
    _require(version == _VERSION, f"bpk files of version {version} are not known, only {_VERSION}")
    _require(bool(options & _METADATA), "the bpk file has no metadata, so that shape and type are not known")
    _require(checksum < len(_CHECKSUMS), f"the bpk file is damaged: unknown checksum {checksum}")
    metadata, size = _parse_metadata(data)
    shape, dtype, fortran_order = _parse_array(metadata)

    # nothing of the following is allocated or looped over before it agrees with the array's size and the file's
    nbytes = math.prod(shape) * dtype.itemsize
    offsets = 8 * (count + room) if options & _OFFSETS else 0
    _require(
        0 <= last_size <= chunk_size <= _MAX_CHUNK
        and count >= 1
        and room >= 0
        and chunk_size * (count - 1) + last_size == nbytes
        and size + offsets + count * _CHUNK_HEADER.size <= len(data),
        f"the bpk file is damaged or truncated: {count} chunks of {chunk_size} bytes, the last of {last_size}, "
        f"do not make a {dtype} array of shape {shape} out of {len(data)} bytes",
    )
    sizes = (chunk_size,) * (count - 1) + (last_size,)
    return _Layout(size, checksum, sizes, size + offsets, shape, dtype, fortran_order)


def _parse_metadata(data: memoryview) -> tuple[bytes, int]:
    """Return the metadata, and where the section ends."""
    begin = _HEADER.size + _METADATA_HEADER.size
    _require(len(data) >= begin, "the bpk file is truncated within its header")
    kind, _, checksum, codec, _, size, room, stored_size, _ = _METADATA_HEADER.unpack_from(data, _HEADER.size)
    _require(kind.rstrip(b" \0") == b"JSON", f"the metadata of the bpk file is of an unknown kind ({kind!r})")
    _require(
        checksum < len(_CHECKSUMS)
        and codec in (0, 1)
        and size <= _MAX_METADATA
        and stored_size <= room
        and (codec == 1 or size == stored_size),
        "the bpk file is damaged: its metadata section has impossible sizes",
    )
    end = begin + room + _CHECKSUMS[checksum][1]
    _require(end <= len(data), "the bpk file is truncated within its metadata")
    stored = data[begin : begin + stored_size]
    _verify(checksum, stored, data[begin + room : end], "its metadata")
    if codec == 0:
        return bytes(stored), end
    inflate = zlib.decompressobj()
    try:
        metadata = inflate.decompress(stored, size + 1)
    except zlib.error as error:
        raise FrameDecodeError(f"the bpk file is damaged: its metadata cannot be inflated ({error})") from error
    _require(inflate.eof and len(metadata) == size, "the bpk file is damaged: its metadata has another size")
    return metadata, end


def _parse_array(metadata: bytes) -> tuple[tuple[int, ...], np.dtype[Any], bool]:
    try:
        entries = json.loads(metadata)
        container, descr, shape, order = (entries[key] for key in ("container", "dtype", "shape", "order"))
        if container != "numpy" or order not in ("C", "F") or not isinstance(shape, list) or not isinstance(descr, str):
            raise ValueError(f"container {container!r}, order {order!r}, shape {shape!r}")
        if len(shape) > _MAX_DIMENSIONS or not all(type(n) is int and 0 <= n < 2**62 for n in shape):
            raise ValueError(f"shape {shape}")
        dtype = dtype_of_descr(parse_literal(descr))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise FrameDecodeError(f"the metadata of the bpk file does not describe an array ({error})") from error
    _require(not dtype.hasobject, "the bpk file holds pickled Python objects, which are never loaded")
    _require(dtype.itemsize > 0, f"the bpk file holds values of no size ({dtype})")
    return tuple(shape), dtype, order == "F"


def _locate_chunks(data: memoryview, layout: _Layout) -> list[memoryview]:
    """Walk over the chunks, and verify what blosc will rely on; the offsets are not needed for that."""
    _, checksum_size, _ = _CHECKSUMS[layout.checksum]
    chunks = []
    position = layout.first_chunk
    for number, size in enumerate(layout.chunk_sizes):
        _require(position + _CHUNK_HEADER.size <= len(data), f"the bpk file is truncated before its chunk {number}")
        _, _, _, _, nbytes, _, stored_size = _CHUNK_HEADER.unpack_from(data, position)
        end = position + stored_size
        _require(
            nbytes == size and stored_size >= _CHUNK_HEADER.size,
            f"the bpk file is damaged: its chunk {number} holds {nbytes} bytes, not {size}",
        )
        _require(end + checksum_size <= len(data), f"the bpk file is truncated within its chunk {number}")
        chunk = data[position:end]
        _verify(layout.checksum, chunk, data[end : end + checksum_size], f"its chunk {number}")
        chunks.append(chunk)
        position = end + checksum_size
    return chunks


def _decompress(blosc: Any, chunk: memoryview, out: Frame) -> None:
    """Decompress into `out`, whose size is the one in the chunk's header."""
    # The file's checksum is optional and does not mean that what wrote it was right: blosc's own check finds headers
    # that would lead it out of the buffers.
    if not blosc.cbuffer_validate(chunk):
        raise FrameDecodeError("the bpk file is damaged: blosc does not accept one of its chunks")
    try:
        written = blosc.decompress_ptr(chunk, out.ctypes.data)
    except Exception as error:  # blosc_extension.error has no public name
        raise FrameDecodeError(f"the bpk file is damaged: blosc cannot decompress it ({error})") from error
    _require(written == out.size, f"the bpk file is damaged: blosc gave {written} bytes, not {out.size}")


@hookimpl
def imgstore_codecs() -> Sequence[Codec]:
    """Give imgstore this codec."""
    return [BloscpackCodec()]
