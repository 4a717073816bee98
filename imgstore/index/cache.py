"""The index of a whole store in one hidden file, so that opening need not read every chunk's own.

The file is never needed: whatever is wrong with it, the chunks are read instead. It is written front to back,
a block whenever a chunk is finished, so that a recording of weeks keeps nothing of it in memory but the
table, and it appears under its name when it is whole. It is read by mapping it into memory. Everything in it
is of the machine's own byte order, which the header shows.

=============  ===================================================================================
header         128 bytes, see `_HEADER`
blocks         as `imgstore.index._index.encode_block` makes them
table          a row for each chunk that has frames
chunk numbers  int64, of all chunks that the directory listing showed
names          UTF-8, of the same, relative to the store, without extension, one a line
orders         of numbers and of times, where they are all too unsorted (`FrameIndex.order`)
=============  ===================================================================================

A CRC-32 in the header covers header, table, numbers and names; each order has its own. Blocks have none: they
are compared with the chunks' own indexes.
"""

from __future__ import annotations

import array
import contextlib
import mmap
import os
import struct
import sys
import zlib
from collections.abc import Sequence
from operator import itemgetter
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from imgstore.disk.atomic import atomic_file
from imgstore.errors import ArgumentError, StoreWriteError
from imgstore.index._index import ROW_SIZE, FrameIndex, encode_block

__all__ = ["CACHE_FILENAME", "CachedIndex", "IndexBuilder", "chunk_names", "read_cache"]

CACHE_FILENAME = ".imgstore-index"

_MAGIC = b"imgstidx"
_VERSION = 1
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
        """
        self._chunks.append(chunk)
        self._names.append(base_name)
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
        index = bytes(self._table) + chunks + names
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
        with mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            frames = FrameIndex(bytes(self._table), memoryview(mapped)[_HEADER_SIZE:])
            try:
                return [frames.order("frame_number"), frames.order("frame_time")]
            finally:
                frames.close()


class _Abandoned(Exception):
    """Ends the writing of a cache file without putting it in place."""


class CachedIndex:
    """What `read_cache` found.

    Attributes
    ----------
    frames : FrameIndex
        Over the mapped file.
    mapped : mmap.mmap
        The file.
    """

    def __init__(self, frames: FrameIndex, mapped: mmap.mmap) -> None:
        self.frames = frames
        self.mapped = mapped


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
    """Map a cache file.

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
    ValueError, OSError
        It is damaged, foreign, or of other chunks. The message says which, and not of what file.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size < _HEADER_SIZE:
            raise ValueError("the file is cut off")
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    view = memoryview(mapped)
    try:
        return CachedIndex(_load(view, size, root, chunk_paths), mapped)
    except BaseException:
        view.release()
        with contextlib.suppress(BufferError):  # where a traceback still holds a part, the map goes with that
            mapped.close()
        raise


def _load(view: memoryview, size: int, root: str | os.PathLike[str],
          chunk_paths: Sequence[tuple[int, str]]) -> FrameIndex:  # fmt: skip
    header = _HEADER.unpack_from(view)
    magic, version, byte_order, file_size, frames, data_size, rows, listed, names_size = header[:9]
    if magic != _MAGIC:
        raise ValueError("this is no index of imgstore")
    if byte_order != _BYTE_ORDER or version != _VERSION:
        raise ValueError(f"it is of version {version} or of a machine that is not {sys.byteorder}-endian")
    table = _HEADER_SIZE + data_size
    chunks = table + rows * ROW_SIZE
    names = chunks + listed * 8
    end = names + names_size
    if file_size != size or end > size:
        raise ValueError("the file is cut off")
    checksum = zlib.crc32(view[table:end], zlib.crc32(view[: _HEADER.size]))
    if (checksum,) != _CRC.unpack_from(view, _HEADER.size):
        raise ValueError("the checksum of its table is wrong")
    if bytes(view[chunks:names]) != array.array("q", map(itemgetter(0), chunk_paths)).tobytes():
        raise ValueError("the store has other chunks now")
    if bytes(view[names:end]) != "\n".join(chunk_names(root, chunk_paths)).encode("utf-8", "surrogateescape"):
        raise ValueError("the chunks have other names now")
    stored: list[tuple[memoryview, int, int] | None] = []
    for offset, entries, order_checksum in (header[9:12], header[12:]):
        width = 4 if frames <= 0xFFFFFFFF else 8
        order = view[offset : offset + frames * width]
        stored.append((order, entries, order_checksum) if offset else None)
    index = FrameIndex(view[table:chunks], view[_HEADER_SIZE:table], *stored)
    if index.frame_count != frames:
        raise ValueError("its counts contradict each other")
    return index
