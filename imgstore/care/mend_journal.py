"""Mending a chunk that was being written: its journal becomes its index, or goes where it says nothing more."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from imgstore.beside.records import dumps_record, load_records, records_path, write_records
from imgstore.care.bench import Bench
from imgstore.care.chunk_files import index_files
from imgstore.care.mend_directory import FrameFiles
from imgstore.care.mend_index import SINCE_REPAIR, make_index, rewrite_index
from imgstore.care.mend_records import noted_records
from imgstore.care.mend_video import VideoFile
from imgstore.disk.atomic import sync_directory
from imgstore.disk.journal import goes_on_after_damage, read_journal, remove_journal
from imgstore.disk.layout import journal_path
from imgstore.errors import ChunkError

__all__ = ["drop_journal", "finish_from_journal", "set_aside_journal"]

Array = npt.NDArray[Any]


def finish_from_journal(bench: Bench, chunk: int, frames: FrameFiles | VideoFile, index_fault: str) -> bool:
    """Give a chunk the index that its journal holds; False where it holds nothing."""
    parts = bench.parts
    path = journal_path(parts.root, chunk)
    try:
        noted = read_journal(parts.root, chunk)
    except ChunkError as error:
        bench.set_aside(path, chunk, str(error))
        return False
    if goes_on_after_damage(parts.root, chunk, len(noted)):
        raise ChunkError(f"{path}: the journal is damaged after {len(noted)} frames, and goes on")
    lines = noted_records(bench, chunk)
    for index in index_files(parts, chunk):
        bench.set_aside(index, chunk, index_fault)
    kept = frames.keep_noted(noted)
    if not kept:
        bench.set_aside_chunk(chunk, "no frame of it is whole, or known")
    if not kept and not lines:
        why = "no frame that it tells of is there" if len(noted) else "tells of no frame"
        set_aside_journal(bench, chunk, why)
        return True
    lost = len(noted) - kept
    message = f"made from the journal, with {kept} frames and {len(lines)} records of extra data"
    if lost:
        message += f"; {lost} more frames were noted, and had not reached the disk"

    def finish() -> None:
        if parts.extension is None:
            os.makedirs(parts.path(chunk), exist_ok=True)
        if lines:
            write_records(parts.base(chunk), lines)
        extra = SINCE_REPAIR if parts.extension is not None and kept else {}
        files = frames.checksums(noted, kept)
        make_index(bench, chunk, noted["frame_number"][:kept], noted["frame_time"][:kept], files, extra)
        remove_journal(parts.root, chunk)
        sync_directory(parts.root)

    bench.do("index", parts.base(chunk) + ".npz", chunk, message, finish)
    return True


def drop_journal(bench: Bench, chunk: int, arrays: Mapping[str, Array]) -> None:
    """Remove the journal of a chunk that is finished, once it is sure that nothing stands in it alone."""
    parts = bench.parts
    path = journal_path(parts.root, chunk)
    try:
        noted = read_journal(parts.root, chunk) if os.path.lexists(path) else None
    except ChunkError as error:
        noted = None
        bench.set_aside(path, chunk, str(error))
    count = len(arrays["frame_number"])
    if noted is not None and not np.array_equal(noted["frame_number"], arrays["frame_number"]):
        set_aside_journal(bench, chunk, "tells of other frames than the index of the chunk")
        return
    lines = noted_records(bench, chunk)
    records = records_path(parts.base(chunk))
    if lines and not os.path.exists(records):
        bench.do(
            "extra data", records, chunk, f"made from {len(lines)} records beside the journal",
            lambda: write_records(parts.base(chunk), lines), lambda: rewrite_index(bench, chunk, arrays, count),
        )  # fmt: skip
    elif lines and [dumps_record(record) for record in load_records(records)][: len(lines)] != lines:
        set_aside_journal(bench, chunk, "has other extra data than the chunk")
        return
    bench.do(
        "journal", path, chunk, "all that it says is in the finished chunk; removed",
        lambda: remove_journal(parts.root, chunk), lambda: sync_directory(parts.root),
    )  # fmt: skip


def set_aside_journal(bench: Bench, chunk: int, why: str) -> None:
    """Take a chunk's journal, and the records beside it, out of the store."""
    for kind in ("records", "journal"):
        bench.set_aside(journal_path(bench.parts.root, chunk, kind), chunk, why)
