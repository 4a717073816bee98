"""The index that lies beside (or inside) one chunk: its frame numbers and times.

On disk this is ``numpy.savez``'s format, a ZIP archive of ``.npy`` members, or YAML in very old stores.
imgstore 0.x puts other members in as well, some of them pickled. They are never looked at: only the members
that are asked for are parsed, and those are refused when they would need a pickle.

A store has thousands of these files and opening it may read them all, so the usual one, uncompressed and
written by numpy, is read in one go and its arrays are views of the bytes. Whatever is unusual goes through
`zipfile`.

Sources: PKWARE's APPNOTE.TXT 6.3.10, sections 4.3.7 (local header), 4.3.12 (central directory) and 4.3.16
(end of central directory); `numpy.lib.format` for ``.npy``.
"""

from __future__ import annotations

import contextlib
import io
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from imgstore.disk.atomic import replace_file
from imgstore.disk.plain_yaml import load_plain_yaml
from imgstore.disk.read_file import read_file
from imgstore.errors import ArgumentError, ChunkIndexError
from imgstore.npy_header import npy_header_size, parse_npy_header

__all__ = [
    "as_frame_numbers",
    "as_frame_times",
    "read_all_arrays",
    "read_arrays",
    "read_chunk_index",
    "write_chunk_index",
]

Int64Array = npt.NDArray[np.int64]
Float64Array = npt.NDArray[np.float64]

_NUMBER = "frame_number"
_TIME = "frame_time"

_END = struct.Struct("<4s4H2LH")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_ENCRYPTED = 0x1
_VERSION, _UNIX, _UTF8, _NO_DATE, _READABLE = 20, 3 << 8, 0x800, 0x21, 0o644 << 16  # of what is written
_MAX_SIZE = 2**30  # bytes: room for thirty million frames in one chunk, checksums included
_ZIP64 = 0xFFFFFFFF
# An index that somebody has compressed may be so many times larger, and a few megabytes at any rate: numbers in a row and
# regular times are so by less.
_MAX_GROWTH, _ALWAYS_ENOUGH = 32, 4 << 20


def read_chunk_index(base: str | os.PathLike[str]) -> tuple[Int64Array, Float64Array]:
    """Read the frame numbers and times of a chunk.

    Parameters
    ----------
    base : str or PathLike
        The index's path without its extension, ``store/000000`` or ``store/000000/index``. ``.npz`` is read,
        or ``.yaml`` where there is no ``.npz``.

    Returns
    -------
    frame_numbers : ndarray of int64, shape (n,)
        Possibly read-only.
    frame_times : ndarray of float64, shape (n,)
        In seconds. Possibly read-only.

    Raises
    ------
    ChunkIndexError
        The file is missing, unreadable, damaged, or does not hold one number and one time per frame. The
        message names the file.
    """
    path, data = _read_file(base)
    try:
        if path.endswith(".npz"):
            arrays: Mapping[str, Any] = _parse_npz(data)
        else:
            arrays = _parse_yaml(data)
        return _checked_pair(arrays)
    except _Fault as fault:
        raise ChunkIndexError(f"{path}: {fault}") from fault.__cause__


def read_arrays(
    base: str | os.PathLike[str], names: Sequence[str], prefix: str | None = None
) -> Mapping[str, npt.NDArray[Any]]:
    """Read some arrays of a chunk's index, those that are there.

    Parameters
    ----------
    base : str or PathLike
        The index's path without its extension.
    names : sequence of str
        Which.
    prefix : str, optional
        Those whose names begin so as well; none of them where one cannot be read.

    Raises
    ------
    ChunkIndexError
        The file is missing, unreadable or damaged.
    """
    path, data = _read_file(base)
    if not path.endswith(".npz"):
        return {}
    try:
        if prefix is not None:
            with contextlib.suppress(_Fault):
                return _parse_npz(data, names, prefix)
        return _parse_npz(data, names)
    except _Fault as fault:
        raise ChunkIndexError(f"{path}: {fault}") from fault.__cause__


def read_all_arrays(base: str | os.PathLike[str]) -> dict[str, npt.NDArray[Any]]:
    """Read every array of a chunk's index that does not need a pickle.

    Parameters
    ----------
    base : str or PathLike
        The index's path without its extension.

    Returns
    -------
    dict of str to ndarray
        ``frame_number`` (int64) and ``frame_time`` (float64) as from `read_chunk_index`, and whatever else is
        there, such as ``_frame_number_before_reindex``. Pickled members are left out.

    Raises
    ------
    ChunkIndexError
        As `read_chunk_index`.
    """
    path, data = _read_file(base)
    try:
        is_npz = path.endswith(".npz")
        content: Mapping[Any, Any] = _parse_npz_with_zipfile(data, wanted=None) if is_npz else _parse_yaml(data)
        pair = _checked_pair(content)
        arrays = dict(content) if is_npz else {str(name): array for name, array in _as_arrays(content)}
        arrays[_NUMBER], arrays[_TIME] = pair
        return arrays
    except _Fault as fault:
        raise ChunkIndexError(f"{path}: {fault}") from fault.__cause__


def _as_arrays(content: Mapping[Any, Any]) -> Iterator[tuple[Any, npt.NDArray[Any]]]:
    """Give what can be held without pickling."""
    for name, values in content.items():
        with contextlib.suppress(ValueError):  # lists of several lengths in one
            array = np.asarray(values)
            if not array.dtype.hasobject:
                yield name, array


def write_chunk_index(
    base: str | os.PathLike[str],
    frame_numbers: npt.ArrayLike,
    frame_times: npt.ArrayLike,
    extra: Mapping[str, npt.ArrayLike] | None = None,
    *,
    sync: bool = True,
) -> Path:
    """Write the frame numbers and times of a chunk, all at once or not at all.

    Parameters
    ----------
    base : str or PathLike
        The index's path without its extension.
    frame_numbers : array_like, shape (n,)
        Integers within int64.
    frame_times : array_like, shape (n,)
        Seconds.
    extra : mapping of str to array_like, optional
        Further arrays to put in the file; none may need a pickle.
    sync : bool
        Wait until the file is on the disk.

    Returns
    -------
    pathlib.Path
        The file, ``base`` with ``.npz``.

    Raises
    ------
    ArgumentError
        The values are not as above.
    StoreWriteError
        The operating system refused; an index that was there is untouched.
    """
    path = Path(f"{os.fspath(base)}.npz")
    try:
        numbers, times = as_frame_numbers(frame_numbers), as_frame_times(frame_times)
    except ValueError as error:
        raise ArgumentError(f"cannot write {path}: {error}") from error
    if len(numbers) != len(times):
        raise ArgumentError(f"cannot write {path}: {len(numbers)} frame numbers but {len(times)} frame times")
    arrays: dict[str, npt.NDArray[Any]] = {_NUMBER: numbers, _TIME: times}
    for name, values in (extra or {}).items():
        array = np.asarray(values)
        if array.dtype.hasobject:
            raise ArgumentError(f"cannot write {path}: {name!r} could only be stored as a pickle")
        if name in arrays:
            raise ArgumentError(f"cannot write {path}: {name!r} is given twice")
        arrays[name] = array

    if sum(array.nbytes for array in arrays.values()) > _MAX_SIZE // 2:
        raise ArgumentError(f"cannot write {path}: {len(numbers)} frames are more than a chunk may have")
    return replace_file(path, _pack(arrays), sync=sync)


def _pack(arrays: Mapping[str, npt.NDArray[Any]]) -> list[bytes]:
    """Make an archive as `numpy.savez` does; `zipfile` takes five times as long for small members."""
    pieces: list[bytes] = []
    directory: list[bytes] = []
    offset = 0
    for name, array in arrays.items():
        file = io.BytesIO()
        np.lib.format.write_array(file, array, allow_pickle=False)
        member, stem = file.getvalue(), f"{name}.npy".encode()
        same = _VERSION, _UTF8, 0, 0, _NO_DATE, zlib.crc32(member), len(member), len(member), len(stem), 0
        directory += [_CENTRAL.pack(b"PK\1\2", _UNIX | _VERSION, *same, 0, 0, 0, _READABLE, offset), stem]
        header = _LOCAL.pack(b"PK\3\4", *same)
        pieces += [header, stem, member]
        offset += len(header) + len(stem) + len(member)
    size, count = sum(map(len, directory)), len(arrays)
    return [*pieces, *directory, _END.pack(b"PK\5\6", 0, 0, count, count, size, offset, 0)]


def as_frame_numbers(values: npt.ArrayLike) -> Int64Array:
    """Give frame numbers as int64, exactly or not at all.

    Parameters
    ----------
    values : array_like, shape (n,)
        Integers of any type and byte order; floats that hold whole numbers are taken too.

    Returns
    -------
    ndarray of int64, shape (n,)
        `values` itself where it already is one.

    Raises
    ------
    ValueError
        Not one-dimensional, not numbers, not whole, or beyond int64.
    """
    array = _as_vector(values, "frame numbers")
    if not array.size:
        return np.zeros(0, np.int64)  # of whatever type no numbers are
    if array.dtype.kind == "i":
        return np.ascontiguousarray(array, dtype=np.int64)
    if array.dtype.kind == "u":
        if int(array.max()) > np.iinfo(np.int64).max:  # numpy 1 compares the two as floats
            raise ValueError("a frame number is beyond 64 bits")
    elif array.dtype.kind == "f":
        if not np.isfinite(array).all() or (array != np.rint(array)).any():
            raise ValueError("the frame numbers are not whole numbers")
        # 2**63 itself is a float, the largest int64 is not
        if (array < -(2.0**63)).any() or (array >= 2.0**63).any():
            raise ValueError("a frame number is beyond 64 bits")
    else:
        raise ValueError(f"the frame numbers are of type {array.dtype}, not integers")
    return np.ascontiguousarray(array, dtype=np.int64)


def as_frame_times(values: npt.ArrayLike) -> Float64Array:
    """Give frame times as float64.

    Parameters
    ----------
    values : array_like, shape (n,)
        Real numbers of any type and byte order, in seconds; NaN is allowed.

    Returns
    -------
    ndarray of float64, shape (n,)
        `values` itself where it already is one.

    Raises
    ------
    ValueError
        Not one-dimensional or not real numbers.
    """
    array = _as_vector(values, "frame times")
    if not array.size:
        return np.zeros(0, np.float64)
    if array.dtype.kind not in "iuf":
        raise ValueError(f"the frame times are of type {array.dtype}, not real numbers")
    return np.ascontiguousarray(array, dtype=np.float64)


def _as_vector(values: npt.ArrayLike, what: str) -> npt.NDArray[Any]:
    if isinstance(values, Sequence) and any(isinstance(value, bool) for value in values):
        raise ValueError(f"the {what} hold true or false")  # numpy would make 0 and 1 of them
    try:
        array = np.asarray(values)
    except (ValueError, OverflowError, TypeError) as error:
        raise ValueError(f"the {what} are not a list of numbers ({error})") from error
    if array.ndim != 1:
        raise ValueError(f"the {what} have {array.ndim} dimensions, not 1")
    if array.dtype.hasobject and array.size and all(isinstance(value, int) for value in array.tolist()):
        raise ValueError(f"one of the {what} is beyond 64 bits")
    return array


class _Fault(Exception):
    """What is wrong with a file, until the name of the file is put in front of it."""


def _read_file(base: str | os.PathLike[str]) -> tuple[str, bytes]:
    # os.fspath, not pathlib: this is called once for every chunk of a store
    name = os.fspath(base)
    for path in (f"{name}.npz", f"{name}.yaml"):
        try:
            return path, read_file(path, _MAX_SIZE)
        except FileNotFoundError:
            continue
        except ValueError as error:
            raise ChunkIndexError(f"{path}: the chunk's index is damaged: {error}") from error
        except OSError as error:
            reason = error.strerror or error
            raise ChunkIndexError(f"{path}: the chunk's index cannot be read ({reason})") from error
    raise ChunkIndexError(f"{name}.npz: the chunk's index is missing (no .yaml either)")


def _checked_pair(arrays: Mapping[str, Any]) -> tuple[Int64Array, Float64Array]:
    for name in (_NUMBER, _TIME):
        if name not in arrays:
            raise _Fault(f"the chunk's index has no {name}")
    try:
        numbers, times = as_frame_numbers(arrays[_NUMBER]), as_frame_times(arrays[_TIME])
    except ValueError as error:
        raise _Fault(f"the chunk's index is damaged: {error}") from error
    if len(numbers) != len(times):
        raise _Fault(f"the chunk's index has {len(numbers)} frame numbers but {len(times)} frame times")
    return numbers, times


def _parse_yaml(data: bytes) -> Mapping[Any, Any]:
    try:
        content = load_plain_yaml(data)
    except ValueError as error:
        raise _Fault("the chunk's index is not valid YAML") from error
    if not isinstance(content, Mapping):
        raise _Fault("the chunk's index is not a YAML mapping")
    return content


def _parse_npz(
    data: bytes, wanted: Sequence[str] = (_NUMBER, _TIME), prefix: str | None = None
) -> Mapping[str, npt.NDArray[Any]]:
    """Read some arrays, as views of `data` where they lie in it uncompressed; those with a prefix only where all do."""
    end = len(data) - _END.size
    if end < 0 or data[:2] != b"PK":
        raise _Fault("the chunk's index is damaged: this is no .npz archive" if data else "the file is empty")
    signature, *_, entries, size, offset, comment = _END.unpack_from(data, end)
    if signature != b"PK\5\6" or comment or offset + size != end:
        return _parse_npz_with_zipfile(data, wanted)
    members = [f"{name}.npy".encode() for name in wanted]
    begins = prefix.encode() if prefix is not None else None
    arrays: dict[str, npt.NDArray[Any]] = {}
    position: int = offset
    try:
        for _ in range(entries):
            entry = _CENTRAL.unpack_from(data, position)
            signature, flags, method, crc, compressed, plain, name_size = entry[0], *entry[3:5], *entry[7:11]
            position += _CENTRAL.size
            name = data[position : position + name_size]
            position += name_size + entry[11] + entry[12]
            if name not in members and (begins is None or not name.startswith(begins)):
                continue
            if name[:-4].decode() in arrays:
                raise _Fault(f"the chunk's index is damaged: it has {name[:-4].decode()} twice")
            plainly_stored = not method and not flags & _ENCRYPTED and compressed == plain != _ZIP64
            if signature != b"PK\1\2" or not plainly_stored:
                return _parse_npz_with_zipfile(data, wanted)
            start = entry[-1]
            local = _LOCAL.unpack_from(data, start)
            start += _LOCAL.size + local[-2] + local[-1]
            member = memoryview(data)[start : start + plain]
            if local[0] != b"PK\3\4" or len(member) != plain or zlib.crc32(member) != crc:
                raise _Fault(f"the chunk's index is damaged: {name[:-4].decode()} fails its checksum")
            arrays[name[:-4].decode()] = _parse_npy(member, name[:-4].decode())
            found_all = begins is None and len(arrays) == len(members)
            if found_all and not any(data.find(name, position, end) >= 0 for name in members):
                break  # they stand first, and once: the rest is not asked for
    except struct.error as error:
        raise _Fault("the chunk's index is damaged: its directory is cut off") from error
    except UnicodeDecodeError as error:
        raise _Fault("the chunk's index is damaged: a name in it is none") from error
    return arrays


def _parse_npz_with_zipfile(data: bytes, wanted: Sequence[str] | None) -> dict[str, npt.NDArray[Any]]:
    """Read the `wanted` arrays, or all that need no pickle, of an archive of any kind."""
    if not data:
        raise _Fault("the file is empty")
    arrays: dict[str, npt.NDArray[Any]] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = [(member, member.filename.removesuffix(".npy")) for member in archive.infolist()]
            members = [(member, name) for member, name in names if wanted is None or name in wanted]
            size = sum(member.file_size for member, _ in members)
            if size > _MAX_GROWTH * len(data) + _ALWAYS_ENOUGH:
                raise _Fault(f"the chunk's index is damaged: {len(data)} bytes would be {size}")
            for member, name in members:
                try:
                    if name in arrays:
                        raise _Fault(f"the chunk's index is damaged: it has {name} twice")
                    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                        raise _Fault(f"the chunk's index is damaged: {name} is compressed as numpy compresses nothing")
                    arrays[name] = _parse_npy(memoryview(archive.read(member)), name)
                except _Fault:
                    # others' members may be pickles or no arrays at all, and are none of our business
                    if name in (_NUMBER, _TIME):
                        raise
    # zipfile lets a good deal through from archives that are damaged, or that ask for what it cannot do
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, IndexError,
            NotImplementedError, RuntimeError, OverflowError, MemoryError) as error:  # fmt: skip
        raise _Fault(f"the chunk's index is damaged ({error})") from error
    return arrays


def _parse_npy(member: memoryview, name: str) -> npt.NDArray[Any]:
    """Turn a whole ``.npy`` into an array that is a view of it."""
    try:
        start = npy_header_size(bytes(member[:12]))
        shape, fortran_order, dtype, nbytes = parse_npy_header(bytes(member[:start]))
    except ValueError as error:
        raise _Fault(f"the chunk's index is damaged: {name} has a header that is not numpy's ({error})") from error
    if dtype.hasobject:
        raise _Fault(f"{name} is pickled, and nothing is unpickled")
    if nbytes != len(member) - start:
        raise _Fault(f"the chunk's index is damaged: {name} is of another size than it says")
    if not nbytes:
        return np.empty(shape, dtype)
    array: npt.NDArray[Any] = np.frombuffer(member, dtype, nbytes // dtype.itemsize, start)
    return array.reshape(shape, order="F" if fortran_order else "C")
