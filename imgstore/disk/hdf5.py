"""HDF5 files, read so that damage is an error: on some damage the HDF5 library crashes, from other it never returns."""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING, Any

from imgstore.errors import ExtraDataError

if TYPE_CHECKING:
    import h5py

HEAP = b"GCOL\x01"  # signature and version


def attributes(thing: h5py.Group | h5py.Dataset) -> dict[str, Any]:
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
    if any(found[name].dtype.hasobject for name in text):
        _check_heaps(thing.file)
    return {name: thing.attrs[name] for name in found if name in text or _can_be_read_as_it_is(found[name])}


def dataset(file: h5py.File, name: str) -> h5py.Dataset:
    """Return a dataset that can be read as it is.

    Raises
    ------
    ExtraDataError
        There is no such dataset.
    TypeError, ValueError
        The library tells that it is damaged.
    """
    import h5py

    found = file.get(name)
    if not isinstance(found, h5py.Dataset) or not _can_be_read_as_it_is(found.id):
        raise ExtraDataError(f"extra data {file.filename!r}: {name!r} is no dataset of numbers")
    return found


def _can_be_read_as_it_is(thing: h5py.h5a.AttrID | h5py.h5d.DatasetID) -> bool:
    """Tell whether elements are in the file as in memory.

    Where they are converted, and a damaged type tells where, the library writes beyond the memory it was given.
    """
    import h5py

    dtype = thing.dtype
    return not dtype.hasobject and bool(thing.get_type().equal(h5py.h5t.py_create(dtype)))


def _check_heaps(file: h5py.File) -> None:
    """Refuse lists of objects from which the library does not return, such as one with free space of no size.

    Text of variable length lies in global heaps. Source: HDF5 File Format Specification, Version 3.0, section III.E.
    """
    size_of_lengths = file.id.get_create_plist().get_sizes()[1]
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
                at += size
            heap = content.find(HEAP, heap + 1)
