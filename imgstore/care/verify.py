"""Is a store what was written? Looking, and changing nothing.

A quick look compares what the chunks consist of with their indexes, and every file with the checksum that was noted
when its chunk was finished; of each chunk one frame is decoded. A deep one decodes them all.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

import numpy as np

from imgstore.beside.extra_data import MOTIF_H5_EXTENSION, MOTIF_JSON_EXTENSION, read_extra_data
from imgstore.beside.records import API_EXTENSION
from imgstore.care.chunk_files import index_files, readable_size
from imgstore.care.faults import Fault, Report, joined
from imgstore.care.parts import StoreParts, take_apart
from imgstore.care.quiet import without_warnings
from imgstore.care.verify_chunk import check_chunk, check_unfinished_chunk
from imgstore.disk.chunk_index import read_chunk_index
from imgstore.disk.layout import (
    FORK_INDEX_FILENAME,
    LOCK_FILENAME,
    METADATA_FILENAME,
    UNFINISHED_DIRECTORY,
    UNFINISHED_PLAN,
    Listing,
    chunk_bases,
    chunk_name,
    journal_path,
)
from imgstore.disk.lock import lock_state, read_lock
from imgstore.disk.metadata import store_directory
from imgstore.disk.update_metadata import accepted_checksums
from imgstore.errors import ArgumentError, ChunkIndexError, ExtraDataError, FormatError, MetadataError, StaleIndexError
from imgstore.index.cache import CACHE_FILENAME, read_cache
from imgstore.index.frame_index import ImgStoreIndex
from imgstore.index.sqlite_files import sqlite_indexes
from imgstore.index.store_index import finished_chunks

__all__ = ["LEFT_BY_WRITING", "check_store", "disagreement_of_cache", "disagreement_of_sqlite",
           "stray_files", "verify_store"]  # fmt: skip

LEFT_BY_WRITING = "is what an interrupted write has left"

Progress = Callable[[int, int], object]

_LARGEST_MOTIF_FILE = 1 << 32
_BESIDE_VIDEO = (".npz", ".yaml", API_EXTENSION, MOTIF_JSON_EXTENSION, MOTIF_H5_EXTENSION)


def verify_store(path: str | os.PathLike[str], *, deep: bool = False, progress: Progress | None = None) -> list[Fault]:
    """List what is wrong with a store: the faults of `check_store`, which has the arguments, without its notes and counts.

    Returns
    -------
    list of Fault
        Empty where everything is as it was written, as far as can be told. Frames in a row with the same fault are one.
    """
    return check_store(path, deep=deep, progress=progress).faults


def check_store(path: str | os.PathLike[str], *, deep: bool = False, progress: Progress | None = None) -> Report:
    """Look at all of a store, and change nothing.

    Every file is read once and compared with its checksum, where the store has them (imgstore 0.x noted none).

    Parameters
    ----------
    path : path-like
        The store's directory or its ``metadata.yaml``.
    deep : bool
        Decode every frame.
    progress : callable, optional
        Called with the number of chunks that are done, and of all chunks.

    Returns
    -------
    Report

    Raises
    ------
    NotAStoreError
        There is no store.
    """
    root = store_directory(path, None)
    try:
        parts = take_apart(root)
    except (MetadataError, FormatError, ArgumentError) as error:
        message = str(error).removeprefix(f"{os.path.join(root, METADATA_FILENAME)}: ")
        return Report(root, [Fault("metadata", os.path.join(root, METADATA_FILENAME), None, None, message)], [])
    with contextlib.closing(parts.frames), without_warnings():  # what reading would warn of is a fault here
        return _check(parts, deep, progress)


def _check(parts: StoreParts, deep: bool, progress: Progress | None) -> Report:
    faults: list[Fault] = []
    notes: list[Fault] = []
    state = lock_state(parts.root)
    _check_lock(parts.root, state, faults, notes)
    live = state == "held"
    listing = parts.listing()
    finished = finished_chunks(parts.root, parts.extension, listing)
    unfinished = sorted(listing.journals.difference(finished))
    without_index = [n for n in listing.without_index if n not in listing.journals]
    everything = sorted({*finished, *unfinished, *without_index, *listing.without_frames})
    counts: dict[int, int] = {}
    metadata_hashes: dict[int, int] = {}
    compared = decoded = before = 0
    for done, chunk in enumerate(everything):
        if progress is not None:
            progress(done, len(everything))
        if live and (chunk in listing.journals or not index_files(parts, chunk)):
            notes.append(Fault("unfinished", parts.path(chunk), chunk, None, f"chunk {chunk} is being recorded"))
            continue
        if chunk in without_index:
            message = f"has no index, so its frames are not known: the recording of chunk {chunk} was interrupted"
            faults.append(Fault("unfinished", parts.path(chunk), chunk, None, message))
            continue
        look = check_unfinished_chunk if chunk in unfinished else check_chunk
        check = look(parts, chunk, deep)
        parts.frames.close()  # of a store of weeks no more than one chunk is open
        faults += joined(check.faults, check.numbers, before)
        before += len(check.numbers)
        notes += check.notes
        if check.count is not None:
            counts[chunk] = check.count
        if check.metadata_hash is not None:
            metadata_hashes[chunk] = check.metadata_hash
        compared, decoded = compared + check.compared, decoded + check.decoded
        if chunk in listing.journals and chunk in finished:
            faults.append(_left_journal(parts, chunk))
    if progress is not None:
        progress(len(everything), len(everything))
    faults += _check_metadata_hash(parts.root, metadata_hashes)
    faults += _check_motif_files(parts, everything)
    if not live:
        faults += _check_left_records(parts, listing)
        faults += _check_cache(parts, [n for n in finished if n in counts or n not in unfinished], counts, notes)
        faults += _check_sqlite(parts, counts)
        faults += stray_files(parts, everything)
    notes += _note_gaps(parts, everything)
    notes += _note_checksums(parts, counts, metadata_hashes)
    return Report(parts.root, faults, notes, len(everything), sum(counts.values()), compared, decoded)


def _check_lock(root: str, state: str, faults: list[Fault], notes: list[Fault]) -> None:
    path, holder = os.path.join(root, LOCK_FILENAME), read_lock(root)
    if state == "held":
        notes.append(Fault("lock", path, None, None, f"the store is being written by {holder}"))
    elif state == "left behind":
        faults.append(Fault("lock", path, None, None, f"was left behind by {holder}, which is gone"))
    elif state == "unknown":
        who = str(holder) if holder is not None else "a writer that left no name (imgstore 0.x?)"
        message = f"names {who}: whether that is still at work cannot be told from here"
        notes.append(Fault("lock", path, None, None, message))


def _left_journal(parts: StoreParts, chunk: int) -> Fault:
    message = f"was left beside the finished chunk {chunk}; `imgstore repair` sees to it"
    return Fault("journal", journal_path(parts.root, chunk), chunk, None, message)


def _check_metadata_hash(root: str, noted: dict[int, int]) -> Iterator[Fault]:
    path = os.path.join(root, METADATA_FILENAME)
    accepted = accepted_checksums(root)
    other = [chunk for chunk, value in noted.items() if value not in accepted]
    if other:
        which = "the chunks were" if len(other) == len(noted) else f"{len(other)} of {len(noted)} chunks were"
        message = (
            f"is not what it was when {which} written. If it was edited on purpose, `imgstore repair --accept-metadata`"
            " notes it as it is now"
        )
        yield Fault("metadata", path, None, None, message)


def _check_motif_files(parts: StoreParts, chunks: list[int]) -> Iterator[Fault]:
    names = set(os.listdir(parts.root))
    for chunk in chunks:
        for extension in (MOTIF_H5_EXTENSION, MOTIF_JSON_EXTENSION):
            name = chunk_name(chunk) + extension
            if name not in names:
                continue
            path = os.path.join(parts.root, name)
            size = readable_size(path)
            if size is not None and size > _LARGEST_MOTIF_FILE:
                yield Fault("extra data", path, chunk, None, f"has {size} bytes, too many to be looked at")
                continue
            try:
                read_extra_data([path])
            except ExtraDataError as error:
                yield Fault("extra data", path, chunk, None, str(error))


def _check_left_records(parts: StoreParts, listing: Listing) -> Iterator[Fault]:
    for name in sorted(os.listdir(parts.root)):
        stem = name[1:].removesuffix(".records")
        if name == f".{stem}.records" and stem.isdigit() and int(stem) not in listing.journals:
            message = "is extra data of a chunk whose journal is gone"
            yield Fault("journal", os.path.join(parts.root, name), int(stem), None, message)


def _check_cache(parts: StoreParts, chunks: list[int], counts: dict[int, int], notes: list[Fault]) -> Iterator[Fault]:
    path = os.path.join(parts.root, CACHE_FILENAME)
    if not os.path.lexists(path):
        notes.append(Fault("cache", path, None, None, "is not there: opening reads the index of every chunk"))
        return
    message = disagreement_of_cache(parts, chunks, counts)
    if message is not None:
        what = "does not agree with the chunks, of which some may have been added, removed or exchanged"
        yield Fault("cache", path, None, None, f"{what}: {message}")


def disagreement_of_cache(parts: StoreParts, chunks: list[int], counts: dict[int, int]) -> str | None:
    """Say in what the cached index differs from the indexes of the chunks, given how many frames each lists."""
    bases = chunk_bases(parts.root, chunks, parts.extension)
    try:
        cached = read_cache(os.path.join(parts.root, CACHE_FILENAME), parts.root, bases)
        index = ImgStoreIndex(cached.frames, bases, verified=False)
        if {chunk for chunk, count in counts.items() if count} != set(index.chunks):
            return "other chunks hold frames now"
        cached.frames.times()  # looks at the checksum of every block in the file
        index.verify_all()
    except (StaleIndexError, ValueError, OSError, OverflowError, MemoryError) as error:
        return str(error)
    return None


def _check_sqlite(parts: StoreParts, counts: dict[int, int]) -> Iterator[Fault]:
    """Compare the indexes that other programs go by, where there are any."""
    for path in sqlite_indexes(parts.root):
        message = disagreement_of_sqlite(parts, path, counts)
        if message is not None:
            yield Fault("sqlite index", path, None, None, message)


def disagreement_of_sqlite(parts: StoreParts, path: str, counts: dict[int, int]) -> str | None:
    """Say in what an SQLite index differs from the indexes of the chunks, given how many frames each lists.

    In one that the fork has made the numbers are positions, whatever the chunks say.
    """
    from imgstore.index.sqlite import read_sqlite_chunks  # SQLite costs 2 MB

    seen = set()
    start = 0
    try:
        for chunk, numbers, times in read_sqlite_chunks(path):
            if chunk not in counts:
                return f"lists chunk {chunk}, which the store does not have"
            own_numbers, own_times = read_chunk_index(parts.base(chunk))
            stop = start + len(numbers)
            counted = os.path.basename(path) == FORK_INDEX_FILENAME and np.array_equal(numbers, np.arange(start, stop))
            same_numbers = counted or np.array_equal(numbers, own_numbers)
            if not (same_numbers and np.array_equal(times, own_times, equal_nan=True)):
                return f"has other frames in chunk {chunk} than the chunk's own index"
            seen.add(chunk)
            start = stop
    except (ChunkIndexError, OSError) as error:
        return str(error)
    absent = [chunk for chunk, count in counts.items() if count and chunk not in seen]
    return f"does not list chunk {absent[0]}" if absent else None


def stray_files(parts: StoreParts, chunks: list[int]) -> Iterator[Fault]:
    """Find files and directories that look as if they were of a chunk, and are of none."""
    known = set(chunks)
    with os.scandir(parts.root) as entries:
        names = sorted((entry.name, entry.is_dir()) for entry in entries)
    for name, is_directory in names:
        path = os.path.join(parts.root, name)
        stem, dot, _ = name.partition(".")
        ending = name[len(stem) :]
        has_no_plan = name == UNFINISHED_DIRECTORY and is_directory and not os.path.exists(os.path.join(path, UNFINISHED_PLAN))
        if has_no_plan or (name.startswith(".") and name.endswith(".tmp")):
            yield Fault("stray", path, None, None, LEFT_BY_WRITING)
        elif stem.isascii() and stem.isdigit() and len(stem) >= 6:
            if not _belongs(parts, stem, ending, is_directory, known):
                yield Fault("stray", path, None, None, "looks like a part of a chunk, and belongs to none")
        elif parts.extension is None and is_directory:
            yield Fault("stray", path, None, None, "is no chunk, and imgstore 0.x takes every directory here for one")
    if parts.extension is None:
        for chunk in chunks:
            yield from _stray_in_directory(parts, chunk)


def _belongs(parts: StoreParts, stem: str, ending: str, is_directory: bool, known: set[int]) -> bool:
    if len(stem) > 19 or chunk_name(int(stem)) != stem or int(stem) not in known:
        return False
    if parts.extension is None:
        return is_directory if not ending else ending in (MOTIF_JSON_EXTENSION, MOTIF_H5_EXTENSION)
    return not is_directory and ending in (parts.extension, *_BESIDE_VIDEO)


def _stray_in_directory(parts: StoreParts, chunk: int) -> Iterator[Fault]:
    extension = parts.entry.format.extension
    try:
        names = sorted(os.listdir(parts.path(chunk)))
    except OSError:
        return
    for name in names:
        stem, _, _ = name.partition(".")
        left = name.startswith(".") and name.endswith(".tmp")
        alien = stem.isascii() and stem.isdigit() and name != f"{int(stem[:19]):06d}{extension}"
        if left or alien:
            what = LEFT_BY_WRITING if left else "looks like a frame, and is none of this chunk"
            yield Fault("stray", os.path.join(parts.path(chunk), name), chunk, None, what)


def _note_gaps(parts: StoreParts, chunks: list[int]) -> Iterator[Fault]:
    for before, after in zip([-1, *chunks], chunks, strict=False):
        if after != before + 1:
            first, last = before + 1, after - 1
            which = f"chunk {first} is" if first == last else f"chunks {first} to {last} are"
            yield Fault("missing", parts.root, None, None, f"{which} not there")


def _note_checksums(parts: StoreParts, counts: dict[int, int], noted: dict[int, int]) -> Iterator[Fault]:
    without = len(counts) - len(noted)
    if without > 0:
        which = "the chunks have" if not noted else f"{without} of {len(counts)} chunks have"
        message = f"{which} no checksums (imgstore 0.x writes none): only their form could be checked"
        yield Fault("checksum", parts.root, None, None, message)
