"""The index of a whole store in one hidden file, so that opening need not read every chunk's own.

The file is never needed: whatever is wrong with it, the chunks are read instead. It is written front to back,
a block whenever a chunk is finished, so that a recording of weeks keeps nothing of it in memory but the
table, and it appears under its name when it is whole. Of it the header and what stands behind the blocks is read
at once, and each block when it is needed: the file may shrink or be written over meanwhile, which would end a process
that has it mapped. Everything in it is of the machine's own byte order, which the header shows.

=============  ===================================================================================
header         128 bytes, see `_HEADER`
blocks         as `imgstore.index._index.encode_block` makes them
table          a row for each chunk that has frames
chunk numbers  int64, of all chunks that the directory listing showed
stamps         `imgstore.index.stamps.read_stamps` of the same, when they were read or written
names          UTF-8, of the same, relative to the store, without extension, one a line
orders         of numbers and of times, where they are all too unsorted (`FrameIndex.order`)
=============  ===================================================================================

A CRC-32 in the header covers header, table, numbers, stamps and names; each order has its own, and each block a
checksum in the table.
"""

from __future__ import annotations

import array
import os
import struct
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from imgstore.disk.atomic import atomic_file
from imgstore.errors import ArgumentError, StoreWriteError
from imgstore.index._index import ROW_SIZE, FrameIndex, encode_block
from imgstore.index.stamps import Stamps, read_stamps

__all__ = ["CACHE_FILENAME", "CachedIndex", "IndexBuilder", "OldCacheError", "chunk_names", "read_cache"]

CACHE_FILENAME = ".imgstore-index"

_MAGIC = b"imgstidx"
_VERSION = 2
_BYTE_ORDER = 0x01020304
_HEADER_SIZE = 128
# magic, version, byte order, size of the file, frames, bytes of blocks, rows, chunks listed, bytes of names,
# then for numbers and for times: offset of the order (0: none), its entries, its CRC
_HEADER = struct.Struct("=8sII6Q2QI2QI")
_CRC = struct.Struct("=I")

# Sorting takes 16 bytes a frame. Beyond this (a week at 60 fps) it is left to readers that need it.
_MAX_FRAMES_TO_SORT = 2**25


class IndexBuilder:
    """Put an index together chunk by chunk, in memory or straight into a cache file.

    Parameters
    ----------
    path : str or PathLike, optional
        The cache file. It is there, whole, after `finish`; until then a hidden temporary file grows beside
        it. None builds in memory.
    sync : bool
        Whether `finish` waits until the file is on the disk.

    Attributes
    ----------
    frame_count : int
        Frames so far.

    Raises
    ------
    StoreWriteError
        The operating system refused, here or in any method; nothing is left behind, and the store is as good
        without a cache.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None, *, sync: bool = True) -> None:
        self.frame_count = 0
        self._table = bytearray()
        self._chunks: list[int] = []
        self._names: list[str] = []
        self._stamps: Stamps[int] = array.array("q")
        self._data = bytearray()
        self._data_size = 0
        self._path = path
        self._context = None if path is None else atomic_file(path, sync=sync)
        self._file: BinaryIO | None = None
        if self._context is not None:
            self._file = self._context.__enter__()
            self._write(bytes(_HEADER_SIZE))

    def add_chunk(
        self,
        chunk: int,
        base_name: str,
        frame_numbers: npt.NDArray[np.int64],
        frame_times: npt.NDArray[np.float64],
        stamp: Stamps[int] | None = None,
    ) -> None:
        """Add the next chunk in store order.

        Parameters
        ----------
        chunk : int
            Its number.
        base_name : str
            Path of its own index without extension, relative to the store, with ``/``: ``000000`` or
            ``000000/index``.
        frame_numbers : ndarray of int64, shape (n,)
        frame_times : ndarray of float64, shape (n,)
            Seconds. A chunk without frames, or without a readable index, is added with n = 0: the cache is
            only valid for a directory that lists the same chunks.
        stamp : array of int64, optional
            What `read_stamps` gave of its index before that was read; default what it gives now, if it is for a file.
        """
        self._chunks.append(chunk)
        self._names.append(base_name)
        if self._path is not None:
            base = os.path.join(os.path.dirname(self._path), base_name)
            self._stamps += read_stamps([base]) if stamp is None else stamp
        if not len(frame_numbers):
            return
        row, block = encode_block(chunk, self.frame_count, self._data_size, frame_numbers, frame_times)
        if self._path is None:
            self._data += block
        else:
            self._write(block)
        self._data_size += len(block)
        self._table += row
        self.frame_count += len(frame_numbers)

    def finish(self) -> FrameIndex | None:
        """Complete the index.

        Returns
        -------
        FrameIndex or None
            The index where it was built in memory, None where it is in the file now.
        """
        if self._path is None:
            return FrameIndex(bytes(self._table), self._data)
        chunks = array.array("q", self._chunks).tobytes()
        names = "\n".join(self._names).encode("utf-8", "surrogateescape")
        index = bytes(self._table) + chunks + self._stamps.tobytes() + names
        size = _HEADER_SIZE + self._data_size + len(index)
        self._write(index)
        orders: list[int] = []
        for order in self._sort():
            if order is None:
                orders += (0, 0, 0)
                continue
            positions, entries = order
            size += self._write(bytes(-size % 8))
            orders += (size, entries, zlib.crc32(positions.data))
            size += self._write(positions.data.cast("B"))
        rows = len(self._table) // ROW_SIZE
        header = _HEADER.pack(
            _MAGIC, _VERSION, _BYTE_ORDER, size, self.frame_count, self._data_size, rows, len(self._chunks),
            len(names), *orders,
        )  # fmt: skip
        checksum = _CRC.pack(zlib.crc32(index, zlib.crc32(header)))
        self._write((header + checksum).ljust(_HEADER_SIZE, b"\0"), at=0)
        context, self._context, self._file = self._context, None, None
        if context is not None:
            context.__exit__(None, None, None)
        return None

    def abort(self) -> None:
        """Give up: the temporary file is removed, a cache that was there before stays."""
        context, self._context, self._file = self._context, None, None
        if context is not None:
            context.__exit__(_Abandoned, _Abandoned(), None)

    def _write(self, data: bytes | memoryview, at: int | None = None) -> int:
        if self._file is None:
            raise StoreWriteError(f"{self._path}: writing the cached index has failed before or is finished")
        try:
            if at is not None:
                self._file.seek(at)
            self._file.write(data)
        except OSError as error:
            self.abort()
            reason = f"cannot write: {error.strerror or error}"
            raise StoreWriteError(error.errno, reason, str(self._path)) from error
        return len(data)

    def _sort(self) -> list[tuple[npt.NDArray[np.uint32] | npt.NDArray[np.int64], int] | None]:
        """Sort what look-ups cannot find by bisection as it is."""
        if not 0 < self.frame_count <= _MAX_FRAMES_TO_SORT or self._file is None:
            return [None, None]
        self._file.flush()
        frames = FrameIndex(bytes(self._table), _Blocks(self._file.name, _HEADER_SIZE, self._data_size))
        return [frames.order("frame_number"), frames.order("frame_time")]


class _Abandoned(Exception):
    """Ends the writing of a cache file without putting it in place."""


class OldCacheError(ValueError):
    """The file is of another version: there is nothing wrong with it, and it is of no use."""


@dataclass(frozen=True)
class CachedIndex:
    """What `read_cache` found.

    Attributes
    ----------
    frames : FrameIndex
        Reads its blocks from the file when they are needed.
    stamps : array of int64
        Of the chunks' own indexes, as they were when the file was written, in the order of the chunks.
    written : int
        When that was, in nanoseconds since the epoch, by the clock of the file system.
    """

    frames: FrameIndex
    stamps: Stamps[int]
    written: int


@dataclass(frozen=True)
class _Blocks:
    """The blocks in a cache file. It is opened for each, so that nothing has to be closed or shared with a fork."""

    path: str
    start: int
    size: int

    def __len__(self) -> int:
        return self.size

    def __call__(self, offset: int, size: int) -> bytes:
        return _read(self.path, self.start + offset, size)


def _read(path: str, offset: int, size: int) -> bytes:
    with open(path, "rb", buffering=0) as file:
        file.seek(offset)
        return file.read(size)


def chunk_names(root: str | os.PathLike[str], chunk_paths: Sequence[tuple[int, str]]) -> list[str]:
    """Give chunk paths as they stand in a cache file.

    Parameters
    ----------
    root : str or PathLike
        The store's directory.
    chunk_paths : sequence of (int, str)
        Number and path without extension, each made by joining `root` and a name.

    Returns
    -------
    list of str

    Raises
    ------
    ArgumentError
        A path is not below `root`.
    """
    if not chunk_paths:
        return []
    # all at once: a store of weeks has tens of thousands, and this is on the way of opening it
    prefix = os.path.join(os.fspath(root), "")
    text = "\0" + "\0".join(map(itemgetter(1), chunk_paths))
    if text.count("\0" + prefix) != len(chunk_paths) or text.count("\0") != len(chunk_paths):
        raise ArgumentError(f"the chunks do not all lie in {os.fspath(root)!r}")
    return text.replace("\0" + prefix, "\0").replace(os.sep, "/")[1:].split("\0")


def read_cache(path: str | os.PathLike[str], root: str | os.PathLike[str],
               chunk_paths: Sequence[tuple[int, str]]) -> CachedIndex:  # fmt: skip
    """Read a cache file, but for its blocks and orders.

    Parameters
    ----------
    path : str or PathLike
        The file.
    root : str or PathLike
        The store's directory.
    chunk_paths : sequence of (int, str)
        Number and path without extension of each chunk that the directory holds now.

    Returns
    -------
    CachedIndex

    Raises
    ------
    FileNotFoundError
        There is none.
    OldCacheError
        It is of another version.
    ValueError, OSError
        It is damaged, foreign, or of other chunks. The message says which, and not of what file.
    """
    with open(path, "rb", buffering=0) as file:
        facts = os.fstat(file.fileno())
        start = file.read(_HEADER_SIZE)
        if len(start) < _HEADER_SIZE:
            raise ValueError("the file is cut off")
        header = _HEADER.unpack_from(start)
        magic, version, byte_order, file_size, frames, data_size, rows, listed, names_size = header[:9]
        if magic != _MAGIC:
            raise ValueError("this is no index of imgstore")
        if byte_order != _BYTE_ORDER or version != _VERSION:
            raise OldCacheError(f"it is of version {version} or of a machine that is not {sys.byteorder}-endian")
        table_size, chunks_size, stamps_size = rows * ROW_SIZE, listed * 8, listed * 16
        size = table_size + chunks_size + stamps_size + names_size
        if file_size != facts.st_size or _HEADER_SIZE + data_size + size > file_size:
            raise ValueError("the file is cut off")
        file.seek(_HEADER_SIZE + data_size)
        data = memoryview(file.read(size))
    if len(data) != size:
        raise ValueError("the file is cut off")
    if (zlib.crc32(data, zlib.crc32(start[: _HEADER.size])),) != _CRC.unpack_from(start, _HEADER.size):
        raise ValueError("the checksum of its table is wrong")
    table, chunks = data[:table_size], data[table_size : table_size + chunks_size]
    stamps, names = array.array("q"), data[size - names_size :]
    stamps.frombytes(data[table_size + chunks_size : size - names_size])
    if chunks != array.array("q", map(itemgetter(0), chunk_paths)).tobytes():
        raise ValueError("the store has other chunks now")
    if names != "\n".join(chunk_names(root, chunk_paths)).encode("utf-8", "surrogateescape"):
        raise ValueError("the chunks have other names now")
    width = 4 if frames <= 0xFFFFFFFF else 8
    orders = []
    for offset, entries, checksum in (header[9:12], header[12:]):
        whole = offset and offset + frames * width <= file_size
        read = partial(_read, os.fspath(path), offset, frames * width)
        orders.append((read, entries, checksum) if whole else None)
    index = FrameIndex(table, _Blocks(os.fspath(path), _HEADER_SIZE, data_size), *orders)
    if index.frame_count != frames:
        raise ValueError("its counts contradict each other")
    return CachedIndex(index, stamps, facts.st_mtime_ns)
