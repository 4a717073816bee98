"""HDF5 files, read so that damage is an error: on some damage the HDF5 library crashes, from other it never returns.

A file can also say that what it holds is elsewhere: behind a link to another file, in a file with raw bytes, in a virtual
dataset of parts of others; that it is compressed with something that the library would look for among its plugins and
load; or that it is gigabytes of what was never written. None of that is read.
"""

from __future__ import annotations

import math
import mmap
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from imgstore.errors import ExtraDataError

if TYPE_CHECKING:
    import h5py

__all__ = ["attributes", "check_sizes", "check_written", "dataset", "member", "open_file"]

HEAP = b"GCOL\x01"  # signature and version

# What is in a file may be larger than the file where it is compressed; no data that was measured is so by more.
_MAX_GROWTH, _ALWAYS_ENOUGH = 64, 16 << 20  # bytes
_FILTERS = {1: "deflate", 2: "shuffle", 3: "fletcher32", 32000: "lzf"}  # those that h5py brings along


def open_file(path: str) -> h5py.File:
    """Open a file for reading.

    Raises
    ------
    OSError
        It cannot be opened, or is no HDF5 file.
    """
    import h5py

    if not os.path.isfile(path):  # the library would wait for whoever writes into a pipe
        os.stat(path)
        raise OSError("it is no regular file")
    return h5py.File(path, "r")


def member(file: h5py.File, name: str) -> h5py.Group | h5py.Dataset | h5py.Datatype:
    """Return what a file itself has under a name.

    Raises
    ------
    ExtraDataError
        It has nothing there, or a link to somewhere else.
    """
    import h5py

    if "/" in name or name not in file:
        raise ExtraDataError(f"extra data {file.filename!r} has no {name!r}")
    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        raise ExtraDataError(
            f"extra data {file.filename!r}: {name!r} is a link to somewhere else, which is not followed"
        )
    return file[name]


def attributes(thing: h5py.Group | h5py.Dataset | h5py.Datatype) -> dict[str, Any]:
    """Return the attributes of something in a file: text, and what can be read as it is.

    Raises
    ------
    ExtraDataError
        The file is damaged.
    OSError, RuntimeError, TypeError, ValueError
        The library tells that it is damaged.
    """
    import h5py

    found = {name: thing.attrs.get_id(name) for name in thing.attrs}
    text = {name for name, attribute in found.items() if h5py.check_string_dtype(attribute.dtype)}
    largest = 0
    if any(found[name].dtype.hasobject for name in text):
        largest = _check_heaps(thing.file)
    for name, attribute in found.items():
        size = largest if attribute.dtype.hasobject else attribute.dtype.itemsize
        if size * math.prod(attribute.shape) > _limit(thing.file):
            raise ExtraDataError(f"extra data {thing.file.filename!r}: the attribute {name!r} is larger than the file")
    return {name: thing.attrs[name] for name in found if name in text or _can_be_read_as_it_is(found[name])}


def dataset(file: h5py.File, name: str) -> h5py.Dataset:
    """Return a dataset that can be read as it is, and is in the file itself.

    Raises
    ------
    ExtraDataError
        There is no such dataset, or its data are elsewhere.
    RuntimeError, TypeError, ValueError
        The library tells that it is damaged.
    """
    import h5py

    found = member(file, name)
    if not isinstance(found, h5py.Dataset) or not _can_be_read_as_it_is(found.id):
        raise ExtraDataError(f"extra data {file.filename!r}: {name!r} is no dataset of numbers")
    properties = found.id.get_create_plist()
    if properties.get_layout() == h5py.h5d.VIRTUAL or properties.get_external_count():
        raise ExtraDataError(
            f"extra data {file.filename!r}: the data of {name!r} are in other files, which are not opened"
        )
    filters = {properties.get_filter(n)[0] for n in range(properties.get_nfilters())}
    if filters - _FILTERS.keys():
        raise ExtraDataError(
            f"extra data {file.filename!r}: {name!r} is stored with the filters {sorted(filters)}, of which only"
            f" {', '.join(f'{number} ({filter})' for number, filter in _FILTERS.items())} are read"
        )
    return found


def check_sizes(file: h5py.File, datasets: Iterable[h5py.Dataset]) -> None:
    """Refuse to read datasets that are together far larger than their file.

    Raises
    ------
    ExtraDataError
        They are.
    """
    size = sum(math.prod(found.shape) * found.dtype.itemsize for found in datasets)
    if size > _limit(file):
        raise ExtraDataError(
            f"extra data {file.filename!r} would be {size} bytes, which a file of {os.path.getsize(file.filename)} bytes"
            " does not hold"
        )


def check_written(found: h5py.Dataset, used: npt.NDArray[np.bool_]) -> None:
    """Refuse a dataset in which a sample is used that nobody has written: the library makes up a value for it.

    Parameters
    ----------
    found : h5py.Dataset
        Samples are along its last dimension.
    used : ndarray of bool, shape (samples,)
        Which samples are wanted.

    Raises
    ------
    ExtraDataError
        There is one.
    RuntimeError, ValueError
        The library tells that the file is damaged.
    """
    if found.chunks is None:
        unwritten = used if not found.id.get_storage_size() else np.zeros_like(used)
    else:
        width = found.chunks[-1]
        count = -(-len(used) // width)  # of pieces along the samples
        above = math.prod(-(-n // chunk) for n, chunk in zip(found.shape[:-1], found.chunks[:-1], strict=True))
        if found.id.get_num_chunks() == count * above:
            return
        written = np.zeros(count, np.int64)

        def note(chunk: Any) -> None:
            written[chunk.chunk_offset[-1] // width] += 1

        found.id.chunk_iter(note)
        unwritten = used & np.repeat(written < above, width)[: len(used)]
    if unwritten.any():
        first = int(np.flatnonzero(unwritten)[0])
        raise ExtraDataError(
            f"extra data {found.file.filename!r}: {found.name[1:]!r} lacks {int(unwritten.sum())} samples that were never"
            f" written, the first is sample {first}"
        )


def _limit(file: h5py.File) -> int:
    return _MAX_GROWTH * os.path.getsize(file.filename) + _ALWAYS_ENOUGH


def _can_be_read_as_it_is(thing: h5py.h5a.AttrID | h5py.h5d.DatasetID) -> bool:
    """Tell whether elements are in the file as in memory.

    Where they are converted, and a damaged type tells where, the library writes beyond the memory it was given.
    """
    import h5py

    dtype = thing.dtype
    return not dtype.hasobject and bool(thing.get_type().equal(h5py.h5t.py_create(dtype)))


def _check_heaps(file: h5py.File) -> int:
    """Refuse lists of objects from which the library does not return, such as one with free space of no size.

    Text of variable length lies in global heaps. Source: HDF5 File Format Specification, Version 3.0, section III.E.

    Returns
    -------
    int
        Size in bytes of the largest object.
    """
    size_of_lengths = file.id.get_create_plist().get_sizes()[1]
    largest = 0
    with open(file.filename, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:

        def length(at: int) -> int:
            return int.from_bytes(content[at + 8 : at + 8 + size_of_lengths], "little")

        heap = content.find(HEAP)
        while heap >= 0:
            end = heap + length(heap)
            at = heap + 16
            while end - at >= 16:
                free = content[at : at + 2] == b"\0\0"
                size = length(at) if free else 16 + -(-length(at) // 8) * 8  # that of free space counts its header
                if size < 16 or size > min(end, len(content)) - at:
                    raise ExtraDataError(f"extra data {file.filename!r} is damaged: the heap at byte {heap}")
                largest = max(largest, size)
                at += size
            heap = content.find(HEAP, heap + 1)
    return largest
