"""Chunks that are whole become a store: records beside them, all in their places, the cached index, metadata last.

Whatever ends this, calling it again goes on.
"""

from __future__ import annotations

import contextlib
import math
import os
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from imgstore.beside.records import dumps_record, records_path, write_records
from imgstore.disk.atomic import as_write_error, sync_directory
from imgstore.disk.checksums import EXTRA_DATA_NAME, file_checksum
from imgstore.disk.chunk_index import read_all_arrays, read_chunk_index, write_chunk_index
from imgstore.disk.layout import chunk_name
from imgstore.disk.metadata import StoreMetadata, read_metadata, write_metadata
from imgstore.errors import MetadataError, NotAStoreError
from imgstore.mapping.job import Task
from imgstore.mapping.left_out import LeftOut
from imgstore.mapping.source import Source
from imgstore.mapping.work_directory import WorkDirectory
from imgstore.store.new_store import chunk_extensions
from imgstore.writing.growing_cache import GrowingCache
from imgstore.writing.remove_chunks import remove_store

__all__ = ["assemble", "is_same_store"]

Array = npt.NDArray[Any]


def assemble(
    root: str, work: WorkDirectory, metadata: StoreMetadata, tasks: Sequence[Task], source: Source
) -> tuple[int, LeftOut]:
    """Make a store of chunks that are all there. The work directory stays, and is to be removed.

    Parameters
    ----------
    root : str
        The destination, whose lock is held. A store that is there is removed.
    work : WorkDirectory
        Where the chunks are.
    metadata : StoreMetadata
        What the store's will be.
    tasks : sequence of Task
        Of all chunks.
    source : Source
        Whose extra data is copied.

    Returns
    -------
    tuple
        How many frames there are, and which were left out.

    Raises
    ------
    StoreWriteError
        The operating system refused.
    """
    left_out = LeftOut()
    by_chunk = {task.chunk: work.left_out(task.chunk) for task in tasks}
    for each in by_chunk.values():
        left_out.add_all(each)
    kept = [task for task in tasks if by_chunk[task.chunk].count < task.end - task.begin]
    extension = metadata.extension
    try:
        _write_records(source, work, kept, left_out.positions, extension)
        if not is_same_store(root, metadata):
            remove_store(root, chunk_extensions())
        cache = GrowingCache(root, extension)
        for task in kept:
            _move(root, work, task.chunk, extension)
            cache.add(task.chunk, *read_chunk_index(work.base(task.chunk, extension)))
        sync_directory(root)
        cache.finish()
        write_metadata(root, metadata)
    except OSError as error:
        raise as_write_error(error.filename or root, error) from error
    return (tasks[-1].end if tasks else 0) - left_out.count, left_out


def _write_records(
    source: Source, work: WorkDirectory, tasks: Sequence[Task], left_out: Sequence[int], extension: str | None
) -> None:
    """Write the records of extra data beside the chunks that have their frames, and say so in the chunks' indexes.

    They are marked as recording marks them. Those of frames that were left out stay with the frame before.
    """
    starts = [task.begin - bisect_left(left_out, task.begin) for task in tasks]  # among the frames of the new store
    placed: dict[int, list[tuple[int, dict[str, Any]]]] = {}
    for position, records in sorted(source.records().items()):
        index = position - bisect_right(left_out, position)  # of the last frame that was kept; -1: there is none
        k = max(0, bisect_right(starts, index) - 1)
        placed.setdefault(k, []).extend((index, record) for record in records)
    for k, marked in placed.items():
        base = work.base(tasks[k].chunk, extension)
        arrays = read_all_arrays(base)
        numbers, times = arrays.pop("frame_number"), arrays.pop("frame_time")
        write_records(base, (dumps_record(_marked(*each, starts[k], numbers, times)) for each in marked))
        arrays[EXTRA_DATA_NAME] = np.array([file_checksum(records_path(base))[1]], np.uint64)
        write_chunk_index(base, numbers, times, arrays)


def _marked(index: int, record: dict[str, Any], start: int, numbers: Array, times: Array) -> dict[str, Any]:
    if index < 0:
        return {**record, "frame_time": math.nan, "frame_number": math.nan, "frame_index": index}
    frame = index - start
    return {
        **record,
        "frame_time": record.get("frame_time", float(times[frame])),
        "frame_number": int(numbers[frame]),
        "frame_index": index,
    }


def is_same_store(root: str, metadata: StoreMetadata) -> bool:
    """Whether the store is there already, and only what it was made with has not been removed."""
    try:
        return read_metadata(root).uuid == metadata.uuid
    except (NotAStoreError, MetadataError):
        return False


def _move(root: str, work: WorkDirectory, chunk: int, extension: str | None) -> None:
    """Bring the files of a chunk to where they belong, its index last."""
    place, name = work.chunk(chunk), chunk_name(chunk)
    endings = [""] if extension is None else [extension, ".extra.json", ".npz"]
    for ending in endings:
        with contextlib.suppress(FileNotFoundError):  # has been moved before, or never was
            os.rename(os.path.join(place, name + ending), os.path.join(root, name + ending))
