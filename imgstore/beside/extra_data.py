"""Data recorded beside the frames: where it is, and reading it.

What is written through ``add_extra_data`` is a JSON list of records beside a chunk's index, ``.extra.json``
(`imgstore.beside.records`). Motif, the recorder, writes ``.extra_data.json`` or ``.extra_data.h5`` into the store's
directory instead; `imgstore.beside.motif` reads them. Where a chunk has several, Motif's HDF5 comes before its JSON,
and that before ours. ``docs/format.md`` describes all three.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from imgstore.beside import motif
from imgstore.beside.records import API_EXTENSION, load_records, records_path
from imgstore.beside.table import joined, records_to_df
from imgstore.disk.layout import chunk_name
from imgstore.errors import ExtraDataError, ImgStoreWarning

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "EXTENSIONS",
    "extra_data_samplerate",
    "find_extra_data_files",
    "iter_extra_data_files",
    "read_extra_data",
    "read_extra_records",
]

MOTIF_JSON_EXTENSION = ".extra_data.json"
MOTIF_H5_EXTENSION = ".extra_data.h5"
EXTENSIONS = (API_EXTENSION, MOTIF_JSON_EXTENSION, MOTIF_H5_EXTENSION)

Record = dict[str, Any]
Source = str | Sequence[Mapping[str, Any]]
_T = TypeVar("_T")


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
    chunk_bases = list(chunk_bases)
    if not chunk_bases:
        return
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


def read_extra_data(sources: Iterable[Source], ignore_corrupt_chunks: bool = False) -> pd.DataFrame | None:
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
        in which they appear. Integers that a float64 cannot hold stay integers, see `imgstore.beside.table`. None where
        there is nothing to read, or where Motif's files have no used row.

    Raises
    ------
    ExtraDataError
        A file cannot be read; the message names it.

    Warns
    -----
    ImgStoreWarning
        The same, with `ignore_corrupt_chunks`.
    """
    tables = []
    for source in sources:
        if not isinstance(source, str):
            tables.append(records_to_df(source))
            continue
        table = _read(_table_in, source, ignore_corrupt_chunks)
        if table is not None and (len(table) or source.endswith(API_EXTENSION)):
            tables.append(table)
    return joined(tables) if tables else None


def read_extra_records(sources: Iterable[Source], ignore_corrupt_chunks: bool = False) -> list[Record]:
    """Read extra data as the records that it consists of.

    Parameters
    ----------
    sources, ignore_corrupt_chunks
        As in `read_extra_data`.

    Returns
    -------
    list of dict
        Each with the keys and values that it has in its file, in the order of the rows of `read_extra_data`.

    Raises
    ------
    ExtraDataError
        A file cannot be read; the message names it.

    Warns
    -----
    ImgStoreWarning
        The same, with `ignore_corrupt_chunks`.
    """
    records: list[Record] = []
    for source in sources:
        if isinstance(source, str):
            records += _read(_records_in, source, ignore_corrupt_chunks) or []
        else:
            records += map(dict, source)
    return records


def _read(read: Callable[[str], _T], path: str, ignore_corrupt: bool) -> _T | None:
    """Read a file; None, with a warning, where it cannot be read and that is to be ignored."""
    try:
        try:
            return read(path)
        except OSError as error:
            raise ExtraDataError(f"extra data {path!r} cannot be read: {error.strerror or error}") from error
    except ExtraDataError as error:
        if not ignore_corrupt:
            raise
        warnings.warn(f"{error}; it is left out", ImgStoreWarning, stacklevel=3)
        return None


def _table_in(path: str) -> pd.DataFrame:
    if path.endswith(MOTIF_H5_EXTENSION):
        return motif.extra_data_h5_to_df(path)
    if path.endswith(MOTIF_JSON_EXTENSION):
        return motif.extra_data_json_to_df(path)
    return records_to_df(load_records(path))


def _records_in(path: str) -> list[Record]:
    if path.endswith(MOTIF_H5_EXTENSION):
        table = motif.extra_data_h5_to_df(path)
        columns = [table[name].tolist() for name in table.columns]  # of Python's own types
        return [dict(zip(table.columns, row, strict=True)) for row in zip(*columns, strict=True)]
    if path.endswith(MOTIF_JSON_EXTENSION):
        return motif.extra_data_json_records(path)
    return load_records(path)


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
    for path in files:
        if not path.endswith(MOTIF_H5_EXTENSION):
            continue
        attributes = motif.extra_data_h5_attrs(path)
        noted = {
            name: attributes[name]["samplerate"]
            for name in attributes["_datasets"]
            if "samplerate" in attributes.get(name, {})
        }
        try:
            rates = {name: float(rate) for name, rate in noted.items()}
        except (TypeError, ValueError) as error:
            raise ExtraDataError(f"extra data {path!r}: a sample rate is no number: {noted}") from error
        if len(set(rates.values())) > 1:
            raise ExtraDataError(
                f"extra data {path!r} has several sample rates: {rates}; see motif_extra_data_h5_attrs"
            )
        if rates:
            return next(iter(rates.values()))
    raise ExtraDataError("no file with extra data states a sample rate")
