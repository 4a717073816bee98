"""A chunk that is complete gets what makes it one for every reader: its extra data, its index, and no journal any more."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from imgstore.beside.records import records_path, write_records
from imgstore.disk.atomic import as_write_error, sync_directory
from imgstore.disk.checksums import checksum_arrays, frame_arrays, place_arrays, video_checksums
from imgstore.disk.chunk_index import write_chunk_index
from imgstore.disk.journal import Journal, remove_journal
from imgstore.disk.layout import chunk_base, chunk_path
from imgstore.writing.chunk_files import VideoChunk
from imgstore.writing.chunk_in_hand import ChunkInHand

__all__ = ["paths_of_chunk", "put_in_place", "put_records_in_place"]

Int64Array = npt.NDArray[np.int64]
Float64Array = npt.NDArray[np.float64]


def put_in_place(
    root: str, extension: str | None, chunk: ChunkInHand, of_store: Mapping[str, npt.NDArray[Any]], *, sync: bool
) -> tuple[Int64Array, Float64Array]:
    """Finish a chunk: files on the disk, then extra data, then the index, then the journal goes.

    Parameters
    ----------
    root : str
        The store's directory.
    extension : str or None
        Of its video files; None where chunks are directories.
    chunk : ChunkInHand
        No frame is added to it any more.
    of_store : mapping of str to ndarray
        What its index says of the store.
    sync : bool
        Frames that are files are on the disk before this returns, however long that takes.

    Returns
    -------
    tuple of ndarray
        Frame numbers, int64 ``(n,)``, and times, float64 ``(n,)``, that the chunk holds.

    Raises
    ------
    StoreWriteError
        The operating system refused. The chunk is still readable by its journal, and this can be called again.
    """
    try:
        if not chunk.closed:
            chunk.close_files()
        if sync or isinstance(chunk.files, VideoChunk):
            chunk.files.sync()
        else:  # frames that are files are many: where the disk is slower than the recording, this is the system's
            chunk.files.sync_within(chunk.seconds / 2)
        if sync:  # the frames are safe from here on, whatever the rest takes
            chunk.journal.sync()
            sync_directory(root)
        count = len(chunk.numbers) if chunk.readable is None else chunk.readable
        base = chunk_base(root, chunk.number, extension)
        if chunk.records:
            write_records(base, chunk.records)
        numbers, times = np.array(chunk.numbers[:count], np.int64), np.array(chunk.times[:count], np.float64)
        sizes, hashes = chunk.files.checksums()
        if extension is None:
            sizes, hashes = sizes[:count], hashes[:count]
        extra_path = records_path(base) if chunk.records else None
        checksums = checksum_arrays(sizes, hashes, extra_path) | place_arrays(root, chunk.number)
        if chunk.whole:
            checksums |= frame_arrays(*chunk.files.frame_checksums(), chunk.files.kept_arrays(), chunk.files.size())
        write_chunk_index(base, numbers, times, {**checksums, **of_store})
        sync_directory(root)
    except OSError as error:
        raise as_write_error(chunk.files.path, error) from error
    chunk.journal.close()
    remove_journal(root, chunk.number)
    return numbers, times


def put_records_in_place(
    root: str,
    extension: str | None,
    number: int,
    early: tuple[Journal, Sequence[str]] | None,
    make_video: Callable[[str], object],
    of_store: Mapping[str, npt.NDArray[Any]],
) -> bool:
    """Make a chunk without frames: for extra data without a frame, and since 0.x opens no store that has no chunk.

    Parameters
    ----------
    root : str
        The store's directory.
    extension : str or None
        Of its video files; None where chunks are directories.
    number : int
        The chunk's.
    early : tuple or None
        The journal and the lines of extra data, where there are some.
    make_video : callable
        Makes a video without frames at a path.
    of_store : mapping of str to ndarray
        What the chunk's index says of the store.

    Returns
    -------
    bool
        False where there is no chunk: not every container can be without frames, and nothing was to be kept.

    Raises
    ------
    StoreWriteError
        The operating system refused. The extra data is read by its journal.
    """
    journal, records = early or (None, [])
    base, path = chunk_base(root, number, extension), chunk_path(root, number, extension)
    none = np.empty(0, np.int64), np.empty(0, np.float64)
    files: tuple[list[int], list[int]] = ([], [])
    extra_path = records_path(base) if records else None
    try:
        if extension is None:
            os.makedirs(path, exist_ok=True)
        else:
            make_video(path)
            if not records and not os.path.getsize(path):
                os.unlink(path)
                remove_journal(root, number)
                return False
            files = video_checksums(path)
        if records:
            write_records(base, records)
        write_chunk_index(base, *none, {**checksum_arrays(*files, extra_path), **of_store})
    except OSError as error:
        raise as_write_error(path, error) from error
    finally:
        if journal is not None:
            journal.close()
    remove_journal(root, number)
    return True


def paths_of_chunk(root: str, extension: str | None, number: int) -> list[str]:
    """Return the files and directories that belong to a chunk that is in place, none within another."""
    base, path = chunk_base(root, number, extension), chunk_path(root, number, extension)
    beside = [base + ".npz", records_path(base)]
    return [path, *(p for p in beside if not p.startswith(path + os.sep) and os.path.exists(p))]
