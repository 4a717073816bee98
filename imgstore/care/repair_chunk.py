"""Mending one chunk: which of its parts tells what, and in which order they are mended. Nothing is encoded again and
nothing is deleted."""

from __future__ import annotations

import errno
import os
from typing import Any

import numpy as np
import numpy.typing as npt

from imgstore.beside.records import records_path, write_records
from imgstore.care.bench import Bench
from imgstore.care.chunk_files import index_files, without_path
from imgstore.care.estimate import ESTIMATED_NAME
from imgstore.care.lost_numbers import LostNumbers
from imgstore.care.mend_directory import FrameFiles
from imgstore.care.mend_index import SINCE_REPAIR, keep_index, make_index, rewrite_index
from imgstore.care.mend_journal import drop_journal, finish_from_journal, set_aside_journal
from imgstore.care.mend_records import mend_records, noted_records
from imgstore.care.mend_video import VideoFile
from imgstore.disk.atomic import sync_directory
from imgstore.disk.checksums import CHUNK_NAME, EXTRA_DATA_NAME, HASH_NAME
from imgstore.disk.chunk_index import read_all_arrays
from imgstore.disk.journal import remove_journal
from imgstore.disk.layout import journal_path
from imgstore.errors import ChunkError, ChunkIndexError, ExtraDataError, StoreWriteError

__all__ = ["mend_chunk"]

Array = npt.NDArray[Any]

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


def mend_chunk(bench: Bench, chunk: int, lost: LostNumbers) -> None:
    """Make a chunk whole, as far as its files allow.

    Parameters
    ----------
    bench : Bench
        What is done, and how.
    chunk : int
        Number of the chunk.
    lost : LostNumbers
        Where numbers and times are from, where the chunk's own are gone.

    Raises
    ------
    StoreWriteError
        The operating system refused to write.
    """
    parts = bench.parts
    frames = FrameFiles(bench, chunk) if parts.extension is None else VideoFile(bench, chunk)
    has_journal = os.path.lexists(journal_path(parts.root, chunk))
    try:
        arrays, index_fault = read_all_arrays(parts.base(chunk)), ""
    except ChunkIndexError as error:
        arrays, index_fault = None, str(error)
    try:
        _see_that_it_may_be_read(parts.path(chunk))
        if arrays is not None:
            _mend_finished(bench, chunk, frames, arrays)
            if has_journal or os.path.lexists(journal_path(parts.root, chunk, "records")):
                drop_journal(bench, chunk, arrays)
        elif not (has_journal and finish_from_journal(bench, chunk, frames, index_fault)):
            _mend_without_numbers(bench, chunk, frames, index_fault, lost)
    except StoreWriteError:
        raise
    except (ChunkError, ExtraDataError, OSError) as error:
        if isinstance(error, OSError) and error.errno in _NO_SPACE:  # this is not the chunk's fault
            raise StoreWriteError(error.errno, f"cannot write: {error.strerror}", parts.root) from error
        bench.leave(parts.path(chunk), chunk, without_path(error))
    finally:
        parts.frames.close()


def _see_that_it_may_be_read(path: str) -> None:
    """Raise OSError where the system does not give a video's bytes, which says nothing about the frames in it."""
    if os.path.isfile(path):
        with open(path, "rb") as file:
            file.read(1)


def _mend_finished(bench: Bench, chunk: int, frames: FrameFiles | VideoFile, arrays: dict[str, Array]) -> None:
    """Mend a chunk that has an index."""
    index, count = bench.parts.base(chunk) + ".npz", len(arrays["frame_number"])
    kept = frames.keep_listed(count, arrays)
    if kept is None:
        return
    changed = kept != count or (HASH_NAME in arrays and frames.replaced)
    changed_records = mend_records(bench, chunk, expected=EXTRA_DATA_NAME in arrays)
    if kept < count:
        message = f"cut from {count} to {kept} entries: the other frames are gone"
    else:
        message = "its checksums are those of what is there now"
    if changed or changed_records:
        bench.do(
            "index", index, chunk, message,
            lambda: keep_index(bench, chunk), lambda: rewrite_index(bench, chunk, arrays, kept),
        )  # fmt: skip
    if CHUNK_NAME in arrays and arrays[CHUNK_NAME].tolist() != [chunk]:
        bench.leave(index, chunk, "is the index of another chunk: somebody has to say which is which")


def _mend_without_numbers(
    bench: Bench, chunk: int, frames: FrameFiles | VideoFile, index_fault: str, lost: LostNumbers
) -> None:
    """Give a chunk without a journal and a readable index one from elsewhere, where there is one."""
    parts, path = bench.parts, bench.parts.path(chunk)
    held = frames.count()
    if held is None:
        bench.leave(path, chunk, index_fault)
        return
    if not held:
        bench.set_aside_chunk(chunk, "holds no frame that can be decoded")
        return
    known = lost.find(chunk, held)
    if known is None:
        bench.leave(
            path, chunk,
            f"nobody knows the numbers and times of its {held} frames;"
            " --estimate-times estimates them where a rate is known",
        )  # fmt: skip
        return
    lines = [] if os.path.exists(records_path(parts.base(chunk))) else noted_records(bench, chunk)
    held = frames.cut(held)
    mend_records(bench, chunk, expected=False)
    for index in index_files(parts, chunk):
        bench.set_aside(index, chunk, index_fault)

    def write() -> None:
        if lines:
            write_records(parts.base(chunk), lines)
        estimated = {ESTIMATED_NAME: np.ones(held, np.bool_)} if known.estimated else {}
        files, extra = frames.checksums(None, held), {**estimated, **SINCE_REPAIR}
        make_index(bench, chunk, known.numbers[:held], known.times[:held], files, extra)
        if lines:
            remove_journal(parts.root, chunk)
            sync_directory(parts.root)

    bench.do("index", parts.base(chunk) + ".npz", chunk, f"made for {held} frames, {known.source}", write)
    if not lines:
        set_aside_journal(bench, chunk, "the chunk has other extra data")
