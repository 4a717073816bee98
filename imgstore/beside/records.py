"""Records of extra data as they are on disk: a JSON list beside a chunk's index, ``.extra.json``."""

from __future__ import annotations

import datetime
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from imgstore.disk.atomic import replace_file
from imgstore.disk.journal import LONGEST_LINE
from imgstore.disk.read_file import read_file
from imgstore.errors import ArgumentError, ExtraDataError

__all__ = ["API_EXTENSION", "JsonCustomEncoder", "dumps_record", "load_records", "records_path", "write_records"]

API_EXTENSION = ".extra.json"
_MAX_SIZE = 2**31  # bytes, of the records of one chunk
_MAX_DEPTH = 100  # Python reads some thousand levels, fewer where the stack has been used
_MARK = re.compile(r'"(?:[^"\\]|\\.)*"|[][{}]')


class JsonCustomEncoder(json.JSONEncoder):
    """Encodes what programs that record have at hand, beside what JSON knows.

    NumPy scalars and arrays as numbers and (nested) lists, complex numbers as ``[real, imaginary]``, bytes as
    the UTF-8 text that they hold, sets as lists (sorted where they can be), dates and times in ISO 8601,
    durations in seconds, paths as text. NaN and the infinities are written ``NaN``, ``Infinity`` and
    ``-Infinity``, which Python's json reads.
    """

    def default(self, o: Any) -> Any:
        if isinstance(o, np.ndarray | np.generic):
            return _numpy_to_python(o)
        if isinstance(o, complex):
            return [o.real, o.imag]
        if isinstance(o, bytes | bytearray | memoryview):
            return bytes(o).decode("utf-8")
        if isinstance(o, set | frozenset):
            try:
                return sorted(o)
            except TypeError:
                return list(o)
        if isinstance(o, datetime.datetime | datetime.date | datetime.time):
            return o.isoformat()
        if isinstance(o, datetime.timedelta):
            return o.total_seconds()
        if isinstance(o, os.PathLike):
            return os.fspath(o)
        return super().default(o)


def _numpy_to_python(value: npt.NDArray[Any] | np.generic) -> Any:
    if value.dtype.kind == "M":
        return np.datetime_as_string(value).tolist()  # as numbers the unit would be lost
    if value.dtype.kind == "m":
        return np.divide(value, np.timedelta64(1, "s")).tolist()
    if value.dtype == np.longdouble or value.dtype == np.clongdouble:
        # their tolist() returns NumPy scalars again
        value = value.astype(np.complex128 if value.dtype.kind == "c" else np.float64)
    return value.tolist()


_encode = JsonCustomEncoder().encode


def dumps_record(record: Mapping[str, Any]) -> str:
    """Encode a record of extra data as one line of JSON.

    Parameters
    ----------
    record : mapping of str to object
        Values as `JsonCustomEncoder` takes them.

    Returns
    -------
    str
        ASCII, without a line break.

    Raises
    ------
    ArgumentError
        A value cannot be written as JSON, or could not be read again: it is nested more than 100 levels deep, or the
        record is larger than 64 MB.
    """
    try:
        line = _encode(record)
    except (TypeError, ValueError, RecursionError) as error:
        for key, value in record.items():
            try:
                _encode({key: value})
            except (TypeError, ValueError, RecursionError) as cause:
                raise ArgumentError(f"extra data {key!r} cannot be written as JSON: {cause}") from cause
        raise ArgumentError(f"extra data cannot be written as JSON: {error}") from error
    if len(line) >= LONGEST_LINE:
        raise ArgumentError(
            f"extra data cannot be written: a record of {len(line)} bytes is larger than {LONGEST_LINE}"
        )
    if line.count("[") + line.count("{") > _MAX_DEPTH and _depth(line) > _MAX_DEPTH:
        raise ArgumentError(f"extra data cannot be written: a value is nested more than {_MAX_DEPTH} levels deep")
    return line


def _depth(line: str) -> int:
    depth = deepest = 0
    for mark in _MARK.findall(line):
        depth += 1 if mark in "[{" else -1 if mark in "]}" else 0
        deepest = max(deepest, depth)
    return deepest


def records_path(base: str) -> str:
    """Return the path of the records that belong to the chunk with this path without extension."""
    return base + API_EXTENSION


def write_records(base: str, lines: Iterable[str], *, sync: bool = True) -> None:
    """Write the records of a chunk, all or nothing.

    Parameters
    ----------
    base : str
        The chunk's path without extension, see `imgstore.disk.layout.chunk_base`.
    lines : iterable of str
        The records as `dumps_record` returns them.
    sync : bool
        Wait until they are on the disk.

    Raises
    ------
    OSError
        The operating system refused; what was there before is untouched.
    """
    replace_file(records_path(base), _json_list(lines), sync=sync)


def _json_list(lines: Iterable[str]) -> Iterator[bytes]:
    before = b"["
    for line in lines:
        yield before + line.encode("ascii")
        before = b",\n"
    yield b"[]" if before == b"[" else b"]"


def load_records(path: str) -> list[dict[str, Any]]:
    """Read a file of records, ours or Motif's JSON.

    Parameters
    ----------
    path : str
        The file.

    Returns
    -------
    list of dict
        As they stand in the file.

    Raises
    ------
    ExtraDataError
        It holds no list of records.
    OSError
        It cannot be opened.
    """
    try:
        data = read_file(path, _MAX_SIZE)
    except OSError:
        raise
    except ValueError as error:
        raise ExtraDataError(f"extra data {path!r} is damaged: {error}") from error
    try:
        records = json.loads(data)
    except (ValueError, RecursionError) as error:
        what = "is empty" if not data.strip() else f"is no valid JSON: {error}"
        raise ExtraDataError(f"extra data {path!r} {what}") from error
    if isinstance(records, dict):
        records = _rows(path, records)
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise ExtraDataError(f"extra data {path!r} is no list of records")
    return records


def _rows(path: str, columns: dict[str, Any]) -> list[dict[str, Any]]:
    """Turn a mapping of columns, which 0.x reads too, into records."""
    if not all(isinstance(values, list) for values in columns.values()):
        raise ExtraDataError(f"extra data {path!r} is no list of records")
    if len({len(values) for values in columns.values()}) > 1:
        raise ExtraDataError(f"extra data {path!r}: its columns are of different lengths")
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
