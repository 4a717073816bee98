"""Data recorded beside the frames: where it is, reading it into a table, writing it, renumbering it.

What is written through ``add_extra_data`` is a JSON list of records beside a chunk's index, ``.extra.json``.
Motif, the recorder, writes ``.extra_data.json`` or ``.extra_data.h5`` into the store's directory instead;
`imgstore.beside.motif` reads them. Where a chunk has several, Motif's HDF5 comes before its JSON, and that before
ours. ``docs/format.md`` describes all three.
"""

from __future__ import annotations

import datetime
import json
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from imgstore.disk.atomic import replace_file
from imgstore.disk.layout import chunk_name
from imgstore.errors import ArgumentError, ExtraDataError, ImgStoreWarning

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "EXTENSIONS",
    "NUMBER_BEFORE_REINDEX",
    "JsonCustomEncoder",
    "dumps_record",
    "extra_data_samplerate",
    "find_extra_data_files",
    "iter_extra_data_files",
    "load_records",
    "read_extra_data",
    "records_path",
    "renumber_records",
    "write_records",
]

API_EXTENSION = ".extra.json"
MOTIF_JSON_EXTENSION = ".extra_data.json"
MOTIF_H5_EXTENSION = ".extra_data.h5"
EXTENSIONS = (API_EXTENSION, MOTIF_JSON_EXTENSION, MOTIF_H5_EXTENSION)

NUMBER_BEFORE_REINDEX = "_frame_number_before_reindex"
_MAX_SIZE = 2**29  # bytes, of the records of one chunk
_TIME_TOLERANCE = 1e-9  # seconds; 0.x wrote times with ten decimals when it reindexed


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
        A value cannot be written as JSON.
    """
    try:
        return _encode(record)
    except (TypeError, ValueError, RecursionError) as error:
        for key, value in record.items():
            try:
                _encode({key: value})
            except (TypeError, ValueError, RecursionError) as cause:
                raise ArgumentError(f"extra data {key!r} cannot be written as JSON: {cause}") from cause
        raise ArgumentError(f"extra data cannot be written as JSON: {error}") from error


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


def iter_extra_data_files(
    root: str, chunk_bases: Iterable[tuple[int, str]], extensions: Sequence[str] = EXTENSIONS
) -> Iterator[str]:
    """Find the files with extra data, at most one per chunk.

    Parameters
    ----------
    root : str
        The store's directory.
    chunk_bases : iterable of (int, str)
        Number of each chunk and its path without extension, see `imgstore.disk.layout.chunk_base`.
    extensions : sequence of str
        Which of `EXTENSIONS` to look for.

    Yields
    ------
    str
        Paths, in the order of `chunk_bases`.
    """
    names = set(os.listdir(root))  # one listing in place of a question for each file of each chunk
    in_root = [e for e in (MOTIF_H5_EXTENSION, MOTIF_JSON_EXTENSION) if e in extensions]
    for chunk, base in chunk_bases:
        name = chunk_name(chunk)
        motif = next((name + e for e in in_root if name + e in names), None)
        if motif is not None:
            yield os.path.join(root, motif)
        elif API_EXTENSION in extensions:
            path = records_path(base)
            if name + API_EXTENSION in names if os.path.basename(base) == name else os.path.isfile(path):
                yield path


def find_extra_data_files(
    root: str, chunk_bases: Iterable[tuple[int, str]], extensions: Sequence[str] = EXTENSIONS
) -> list[str]:
    """Return what `iter_extra_data_files` finds, as a list."""
    return list(iter_extra_data_files(root, chunk_bases, extensions))


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
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > _MAX_SIZE:
            raise ExtraDataError(f"extra data {path!r} is damaged: {size} bytes are more than any has")
        data = file.read()
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


def records_to_df(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Make a table of records: one row each, one column per key, in order of appearance."""
    import pandas as pd

    table: pd.DataFrame = pd.DataFrame(list(records))
    return table


def _read_file(path: str) -> pd.DataFrame:
    from imgstore.beside import motif

    try:
        if path.endswith(MOTIF_H5_EXTENSION):
            return motif.extra_data_h5_to_df(path)
        if path.endswith(MOTIF_JSON_EXTENSION):
            return motif.extra_data_json_to_df(path)
        return records_to_df(load_records(path))
    except OSError as error:
        raise ExtraDataError(f"extra data {path!r} cannot be read: {error.strerror or error}") from error


def read_extra_data(
    sources: Iterable[str | Sequence[Mapping[str, Any]]], ignore_corrupt_chunks: bool = False
) -> pd.DataFrame | None:
    """Read extra data into one table.

    Parameters
    ----------
    sources : iterable of str or of sequences of mappings
        Files as `find_extra_data_files` returns them, and records of chunks that have none yet (their journals have
        them).
    ignore_corrupt_chunks : bool
        Leave out, with a warning, what cannot be read.

    Returns
    -------
    pandas.DataFrame or None
        The rows of all sources, one after the other, numbered from 0; the union of their columns, in the order
        in which they appear. None where there is nothing to read, or where Motif's files have no used row.

    Raises
    ------
    ExtraDataError
        A file cannot be read; the message names it.

    Warns
    -----
    ImgStoreWarning
        The same, with `ignore_corrupt_chunks`.
    """
    import pandas as pd

    tables = []
    for path in sources:
        if not isinstance(path, str):
            tables.append(records_to_df(path))
            continue
        try:
            table = _read_file(path)
        except ExtraDataError as error:
            if not ignore_corrupt_chunks:
                raise
            warnings.warn(f"{error}; it is left out", ImgStoreWarning, stacklevel=2)
            continue
        if len(table) or path.endswith(API_EXTENSION):
            tables.append(table)
    if not tables:
        return None
    # an empty table has no columns and no dtypes, and must not have a say in those of the others
    return pd.concat([table for table in tables if len(table)] or tables[:1], ignore_index=True, sort=False)


def extra_data_samplerate(files: Iterable[str]) -> float:
    """Return the sample rate that Motif noted for its extra data.

    Parameters
    ----------
    files : iterable of str
        As `find_extra_data_files` returns them. The rate is the recording's, so the first that states one
        tells.

    Returns
    -------
    float
        Samples per second.

    Raises
    ------
    ExtraDataError
        No file states a sample rate, or its datasets have different ones; or it cannot be read.
    """
    from imgstore.beside import motif

    for path in files:
        if not path.endswith(MOTIF_H5_EXTENSION):
            continue
        attributes = motif.extra_data_h5_attrs(path)
        rates = {
            name: float(attributes[name]["samplerate"])
            for name in attributes["_datasets"]
            if "samplerate" in attributes.get(name, {})
        }
        if len(set(rates.values())) > 1:
            raise ExtraDataError(
                f"extra data {path!r} has several sample rates: {rates}; see motif_extra_data_h5_attrs"
            )
        if rates:
            return next(iter(rates.values()))
    raise ExtraDataError("no file with extra data states a sample rate")


def renumber_records(
    path: str,
    old_numbers: npt.NDArray[np.integer[Any]],
    frame_times: npt.NDArray[np.floating[Any]],
    new_numbers: npt.NDArray[np.integer[Any]],
    *,
    sync: bool = True,
) -> int:
    """Give the records of a chunk the new numbers of their frames, and keep the old ones beside them.

    A record belongs to the frame at its ``frame_index`` if that has the record's ``frame_time`` (its number may be
    another where an earlier run was interrupted). If it has not, as when chunks before it were deleted, the record
    belongs to the frame with its ``frame_number``, of several to the one nearest in time. A record that belongs to
    no frame stays as it is, with a warning.

    Parameters
    ----------
    path : str
        The chunk's ``.extra.json``, replaced in one step.
    old_numbers, frame_times, new_numbers : ndarray, shape (n,)
        Of all frames of the store, in store order; times in seconds.
    sync : bool
        Wait until it is on the disk.

    Returns
    -------
    int
        How many records were renumbered.

    Raises
    ------
    ExtraDataError
        The file holds no list of records; it is untouched.
    OSError
        The operating system refused; the file is untouched.
    """
    records = load_records(path)
    changed = 0
    for record in records:
        position = _position_of(record, old_numbers, frame_times)
        if position is None:
            continue
        record.setdefault(NUMBER_BEFORE_REINDEX, record["frame_number"])  # the camera's own, however often
        record["frame_number"] = int(new_numbers[position])
        changed += 1
    if changed < len(records):
        warnings.warn(
            f"extra data {path!r}: {len(records) - changed} records belong to no frame of the store and keep"
            " their frame numbers",
            ImgStoreWarning,
            stacklevel=2,
        )
    if changed:
        replace_file(path, _json_list(map(dumps_record, records)), sync=sync)
    return changed


def _position_of(
    record: Mapping[str, Any], frame_numbers: npt.NDArray[Any], frame_times: npt.NDArray[Any]
) -> int | None:
    number, time, index = (record.get(key) for key in ("frame_number", "frame_time", "frame_index"))
    if not _is_number(number):
        return None  # added before the first frame
    has_time = _is_number(time)
    if isinstance(index, int) and 0 <= index < len(frame_numbers):
        if has_time and abs(frame_times[index] - time) <= _TIME_TOLERANCE:
            return index
        if not has_time and frame_numbers[index] == number:
            return index
    candidates = np.flatnonzero(frame_numbers == number)
    if len(candidates) > 1 and has_time:
        return int(candidates[np.argmin(np.abs(frame_times[candidates] - time))])
    return int(candidates[0]) if len(candidates) == 1 else None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value
