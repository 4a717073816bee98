"""Numbering frames from the only frame number 0."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Sequence

import numpy as np

from imgstore.beside.records import records_path
from imgstore.beside.renumber import NUMBER_BEFORE_REINDEX, renumber_records
from imgstore.disk.checksums import EXTRA_DATA_NAME, file_checksum
from imgstore.disk.chunk_index import read_all_arrays, read_chunk_index, write_chunk_index
from imgstore.disk.store_arrays import STORE_NAMES
from imgstore.errors import FrameNotFoundError, StoreWriteError
from imgstore.index.cache import CACHE_FILENAME
from imgstore.index.frame_index import ImgStoreIndex
from imgstore.index.sqlite_files import sqlite_indexes

__all__ = ["reindex"]

_log = logging.getLogger(__name__)


def reindex(root: str, chunk_bases: Sequence[tuple[int, str]]) -> None:
    """Give the frames before the only frame number 0 the numbers ..., -2, -1, in every index and all extra data.

    Parameters
    ----------
    root : str
        The store's directory.
    chunk_bases : sequence of (int, str)
        Number of each finished chunk and its path without extension, in store order.

    Raises
    ------
    FrameNotFoundError
        There is no frame number 0, or several; nothing is changed.
    StoreWriteError
        The operating system refused. Doing it again does what was left.
    """
    old_by_chunk, times_by_chunk = [], []
    for _, base in chunk_bases:
        numbers, times = read_chunk_index(base)
        old_by_chunk.append(numbers)
        times_by_chunk.append(times)
    old = np.concatenate([np.empty(0, np.int64), *old_by_chunk])
    times = np.concatenate([np.empty(0, np.float64), *times_by_chunk])
    zeros = np.flatnonzero(old == 0)
    if len(zeros) != 1:
        what = "no frame has the number 0" if not len(zeros) else f"{len(zeros)} frames have the number 0"
        raise FrameNotFoundError(f"{root}: cannot be reindexed, {what}; nothing was changed")
    new = old.copy()
    new[: zeros[0]] = np.arange(-zeros[0], 0)

    cache = os.path.join(root, CACHE_FILENAME)
    cached = os.path.lexists(cache)
    _remove(cache)
    start = 0
    for (_, base), chunk_old, chunk_times in zip(chunk_bases, old_by_chunk, times_by_chunk, strict=True):
        stop = start + len(chunk_old)
        ours = {
            name: values
            for name, values in read_all_arrays(base).items()
            if name.startswith("_") or name in STORE_NAMES
        }
        ours.setdefault(NUMBER_BEFORE_REINDEX, chunk_old)  # the camera's own, however often
        write_chunk_index(base, new[start:stop], chunk_times, ours)
        _remove(base + ".yaml")
        if os.path.exists(records_path(base)):
            renumber_records(records_path(base), old, times, new)
            if EXTRA_DATA_NAME in ours:
                ours[EXTRA_DATA_NAME] = np.array([file_checksum(records_path(base))[1]], np.uint64)
                write_chunk_index(base, new[start:stop], chunk_times, ours)
        start = stop
    for path in sqlite_indexes(root):
        ImgStoreIndex.new_from_chunks(chunk_bases).to_file(path)
    if cached:
        try:
            ImgStoreIndex.new_from_chunks(chunk_bases).write_cache(cache)
        except StoreWriteError as error:  # it is never needed
            _log.warning("%s: the index is not cached: %s", root, error)


def _remove(path: str) -> None:
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    except OSError as error:
        raise StoreWriteError(error.errno, f"cannot be removed: {error.strerror or error}", path) from error
