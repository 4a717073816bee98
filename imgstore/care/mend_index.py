"""Writing the index of a chunk that has been mended: its numbers and times, and checksums of what is there."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from imgstore.beside.records import records_path
from imgstore.care.bench import Bench
from imgstore.care.chunk_files import index_files
from imgstore.care.parts import StoreParts
from imgstore.disk.checksums import (
    CHUNK_NAME,
    EXTRA_DATA_NAME,
    FRAME_NAME,
    HASH_NAME,
    METADATA_NAME,
    SINCE_REPAIR_NAME,
    SIZE_NAME,
    STREAM_NAME,
    checksum_arrays,
    file_checksum,
    frame_arrays,
    place_arrays,
)
from imgstore.disk.chunk_index import write_chunk_index
from imgstore.disk.kept_arrays import is_kept
from imgstore.disk.store_arrays import store_arrays

__all__ = ["SINCE_REPAIR", "keep_index", "make_index", "renew_checksums", "rewrite_index"]

Array = npt.NDArray[Any]

SINCE_REPAIR = {SINCE_REPAIR_NAME: np.ones(1, np.bool_)}
_ONE_ENTRY = (METADATA_NAME, CHUNK_NAME, SINCE_REPAIR_NAME, STREAM_NAME)


def make_index(
    bench: Bench,
    chunk: int,
    numbers: Array,
    times: Array,
    files: list[tuple[int, int]],
    extra: Mapping[str, Array],
) -> None:
    """Write an index for a chunk that has none.

    Parameters
    ----------
    bench : Bench
        What is done, and how.
    chunk : int
        Number of the chunk.
    numbers, times : ndarray, shape (n,)
        Of its frames.
    files : list of (int, int)
        Size and checksum of each frame's file, or of the one video file.
    extra : mapping of str to ndarray
        Further arrays.
    """
    parts = bench.parts
    beside = records_path(parts.base(chunk))
    checksums = checksum_arrays(
        [size for size, _ in files], [noted for _, noted in files], beside if os.path.exists(beside) else None
    )
    arrays = {**checksums, **extra, **place_arrays(parts.root, chunk), **store_arrays(parts.meta.values)}
    write_chunk_index(parts.base(chunk), numbers, times, arrays)


def keep_index(bench: Bench, chunk: int) -> None:
    """Keep the index of a chunk as it is now, beside the store."""
    for path in index_files(bench.parts, chunk):
        bench.aside.keep(path)


def renew_checksums(parts: StoreParts, chunk: int, arrays: Mapping[str, Array], positions: Sequence[int]) -> None:
    """Write the index of a chunk again with the checksums of some frames, or of its video, as they are now.

    What the index says of nothing stays unsaid: a chunk of 0.x gets no checksums.
    """
    if HASH_NAME not in arrays:
        return
    extra = {name: values for name, values in arrays.items() if name not in ("frame_number", "frame_time")}
    if parts.extension is None:
        files = [parts.frame_path(chunk, k) for k in positions]
    else:
        files = [parts.path(chunk)]
        reader = parts.frames.reader(chunk)
        hashes = reader.frame_checksums()
        extra = {k: v for k, v in extra.items() if k not in (FRAME_NAME, STREAM_NAME) and not is_kept(k)}
        described = reader.description if hashes else None
        extra |= frame_arrays(hashes, described, reader.kept_arrays(), os.path.getsize(files[0]))
        parts.frames.close()
    sizes, content = np.array(arrays[SIZE_NAME], np.int64), np.array(arrays[HASH_NAME], np.uint64)
    for k, path in zip(positions, files, strict=True):
        sizes[k], content[k] = file_checksum(path)
    extra |= {SIZE_NAME: sizes, HASH_NAME: content, **SINCE_REPAIR}
    _replace(parts, chunk, arrays, extra)


def _replace(parts: StoreParts, chunk: int, arrays: Mapping[str, Array], extra: Mapping[str, Array]) -> None:
    write_chunk_index(parts.base(chunk), arrays["frame_number"], arrays["frame_time"], extra)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(parts.base(chunk) + ".yaml")  # kept aside; 0.x would find it beside the new one


def _is_of_frames(name: str, values: Array, count: int) -> bool:
    """Whether an array of an index has an entry for each frame; what 0.x and others put beside them is of the store."""
    is_other = name in _ONE_ENTRY or is_kept(name)
    return name.startswith("_") and not is_other and values.shape[:1] == (count,)


def rewrite_index(bench: Bench, chunk: int, arrays: Mapping[str, Array], kept: int) -> None:
    """Write the index of a chunk again, for its first frames alone, with the checksums of what is there."""
    parts = bench.parts
    base = parts.base(chunk)
    count = len(arrays["frame_number"])
    extra = {
        name: values[:kept] if _is_of_frames(name, values, count) else values
        for name, values in arrays.items()
        if name not in ("frame_number", "frame_time", EXTRA_DATA_NAME)
    }
    if HASH_NAME in arrays:
        if parts.extension is not None:
            files = [file_checksum(parts.path(chunk))] if kept else []
            extra[SIZE_NAME] = np.array([size for size, _ in files], np.int64)
            extra[HASH_NAME] = np.array([content_hash for _, content_hash in files], np.uint64)
            if kept < count or not all(np.array_equal(extra[n], arrays.get(n, [])) for n in (SIZE_NAME, HASH_NAME)):
                extra = {name: values for name, values in extra.items() if not is_kept(name)}  # it is another file
            extra |= SINCE_REPAIR
            extra.pop(STREAM_NAME, None)  # a mended file may have a header of another kind
        if os.path.exists(records_path(base)):
            extra[EXTRA_DATA_NAME] = np.array([file_checksum(records_path(base))[1]], np.uint64)
    _replace(parts, chunk, {name: arrays[name][:kept] for name in ("frame_number", "frame_time")}, extra)
