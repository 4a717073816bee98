"""Making a damaged or interrupted store whole, with what its files hold: nothing is encoded again, nothing is deleted.

Journals become indexes; videos without an end get one, cut after the last good frame, by copying packets; what cannot
be read goes to a directory beside the store (`imgstore.care.set_aside`); cached indexes are made anew. A second run finds
nothing to do. ``docs/recovery.md`` says what happens to what.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from imgstore.care.accept_frames import accept_frames as take_frames
from imgstore.care.bench import Action, Bench
from imgstore.care.lost_numbers import LostNumbers
from imgstore.care.make_metadata import made_metadata
from imgstore.care.parts import StoreParts, take_apart
from imgstore.care.quiet import without_warnings
from imgstore.care.repair_chunk import mend_chunk
from imgstore.care.set_aside import SetAside
from imgstore.care.verify import LEFT_BY_WRITING, disagreement_of_cache, disagreement_of_sqlite, stray_files
from imgstore.disk import lock
from imgstore.disk.checksums import METADATA_NAME, file_checksum
from imgstore.disk.chunk_index import read_all_arrays, read_chunk_index, write_chunk_index
from imgstore.disk.layout import (
    LOCK_FILENAME,
    METADATA_FILENAME,
    UNFINISHED_DIRECTORY,
    chunk_bases,
    is_half_removed,
)
from imgstore.disk.metadata import read_metadata, store_directory, write_metadata
from imgstore.disk.open_files import who_writes_in
from imgstore.disk.update_metadata import accepted_checksums
from imgstore.errors import (
    ChunkIndexError,
    ImgStoreError,
    MetadataError,
    NotAStoreError,
    StoreLockedError,
    StoreWriteError,
)
from imgstore.index.cache import CACHE_FILENAME
from imgstore.index.frame_index import ImgStoreIndex
from imgstore.index.sqlite_files import sqlite_indexes
from imgstore.index.store_index import finished_chunks

__all__ = ["Action", "repair_store"]


def repair_store(
    path: str | os.PathLike[str],
    *,
    dry_run: bool = False,
    estimate_times: bool = False,
    accept_metadata: bool = False,
    accept_frames: bool = False,
    make_metadata: bool = False,
    break_lock: bool = False,
    set_aside: str | os.PathLike[str] | None = None,
) -> list[Action]:
    """Make a store whole, as far as its files allow.

    What files hold is not compared with its checksums: `imgstore.verify.check_store` does that.

    Parameters
    ----------
    path : path-like
        The store's directory or its ``metadata.yaml``.
    dry_run : bool
        Change nothing, and say what would be done.
    estimate_times : bool
        Give frames whose numbers and times are lost such as continue those of the chunk before, and mark them as
        estimated (``_estimated`` in the chunk's index).
    accept_metadata : bool
        ``metadata.yaml`` has been changed on purpose: note it as it is now.
    accept_frames : bool
        Frames or videos have been changed on purpose: take those that are not what was written as they are now, where
        every frame can be read and there are as many as the indexes list. Frames of another size are taken, and the
        store's ``imgshape`` with them, where all frames of all chunks have it.
    make_metadata : bool
        Where ``metadata.yaml`` is missing or describes no store, make one from what the chunks say and from how their
        frames look. The action says where each value is from, and which are made up.
    break_lock : bool
        The writer that the store's lock names is gone for certain.
    set_aside : path-like, optional
        Where to put what is of no use in the store, on the same file system; default ``STORE.set-aside``.

    Returns
    -------
    list of Action
        What was done; those of kind ``'left'`` could not be repaired.

    Raises
    ------
    NotAStoreError, MetadataError, FormatError, ArgumentError
        There is no store, or nothing tells what its files are; with `make_metadata` also, where one is only begun, or is being
        replaced.
    StoreLockedError
        The store is being written, or may be.
    StoreWriteError
        The operating system refused. What was done is whole; run it again.
    """
    root = store_directory(path, None)
    aside = SetAside(root, os.fspath(set_aside) if set_aside is not None else None)
    made = _make_metadata(root, aside, dry_run) if make_metadata else None
    if made is not None and dry_run:
        return [made]  # of the rest nothing can be said before
    parts = take_apart(root)
    bench = Bench(parts, aside, dry_run, [made] if made is not None else [])
    accept_metadata = accept_metadata or made is not None
    try:
        with contextlib.closing(parts.frames), without_warnings(), _locked(parts, bench, break_lock):
            _repair(bench, estimate_times, accept_metadata, accept_frames)
    except OSError as error:
        if isinstance(error, ImgStoreError):
            raise
        what = f"cannot be repaired: {error.strerror or error}"
        raise StoreWriteError(error.errno, what, error.filename or parts.root) from error
    return bench.actions


def _make_metadata(root: str, aside: SetAside, dry_run: bool) -> Action | None:
    """Write ``metadata.yaml`` where there is none that describes the store."""
    path = os.path.join(root, METADATA_FILENAME)
    try:
        read_metadata(root)
    except NotAStoreError as error:
        _refuse_a_part(root, error)
    except MetadataError:
        pass
    else:
        return None
    holder = lock.read_lock(root)
    if lock.lock_state(root) == "held":
        raise StoreLockedError(f"{root}: the store is being written by {holder}: repair it when that has ended")
    meta, told = made_metadata(root)
    kept = f"; the file as it was is kept in {aside.directory}" if os.path.lexists(path) else ""
    if not dry_run:
        if kept:
            aside.move(path)
        write_metadata(root, meta)
    return Action("metadata", path, None, f"made: {told}{kept}")


def _refuse_a_part(root: str, error: NotAStoreError) -> None:
    """Raise an error where the chunks that are there are not all of a store, which would lack the others in silence."""
    unfinished = os.path.join(root, UNFINISHED_DIRECTORY)
    if os.path.isdir(unfinished):
        raise NotAStoreError(f"{error}; to have one of the chunks that are in place without it, remove {unfinished} first")
    if is_half_removed(root):
        raise error  # it says what to do


@contextlib.contextmanager
def _locked(parts: StoreParts, bench: Bench, break_lock: bool) -> Iterator[None]:
    """Keep writers out, and see that there is none."""
    root, path = parts.root, os.path.join(parts.root, LOCK_FILENAME)
    state, holder = lock.lock_state(root), lock.read_lock(root)
    if state == "held":
        raise StoreLockedError(f"{path}: the store is being written by {holder}: repair it when that has ended")
    if state == "unknown" and not break_lock:
        if holder is not None:
            raise StoreLockedError(
                f"{path}: the store is open for writing by {holder}, or was. If you know that this writer is gone, say"
                " so with --break-lock"
            )
        writer = who_writes_in(root)
        if writer is not None:
            raise StoreLockedError(f"{path}: process {writer} has files of the store open for writing")
        yield  # the lock of imgstore 0.x names nobody: it stays until somebody takes it away
        return
    if state != "free":
        bench.do("lock", path, None, f"of {holder or 'a writer without a name'}, which is gone; removed")
    if bench.dry_run:
        yield
        return
    lock.acquire(root, break_lock=break_lock)
    try:
        yield
    finally:
        lock.release(root)


def _repair(bench: Bench, estimate_times: bool, accept_metadata: bool, accept_frames: bool) -> None:
    parts, seen_to = bench.parts, set()
    if accept_frames:
        parts = bench.parts = take_frames(bench, finished_chunks(parts.root, parts.extension, parts.listing()))
        kinds = ("left", "accepted") if bench.dry_run else ("left",)
        seen_to = {action.chunk for action in bench.actions if action.kind in kinds}  # what is left is told
    lost = LostNumbers(parts, estimate_times)
    named = sorted(_named_chunks(parts))
    for stray in stray_files(parts, named):
        if stray.message == LEFT_BY_WRITING:  # first of all: files are written under these names here too
            bench.set_aside(stray.path, stray.chunk, stray.message)
    for chunk in named:
        if chunk not in seen_to:
            mend_chunk(bench, chunk, lost)
    gone = {action.path for action in bench.actions if action.kind == "set aside"}  # in a dry run it is still there
    chunks = [n for n in sorted(_named_chunks(parts)) if parts.path(n) not in gone]
    for stray in stray_files(parts, chunks):
        if stray.path in gone or os.path.dirname(stray.path) in gone:
            continue
        if os.path.isdir(stray.path) and not os.path.basename(stray.path).isdigit():
            bench.leave(stray.path, None, stray.message)
        else:
            bench.set_aside(stray.path, stray.chunk, stray.message)
    _mend_metadata_checksums(parts, bench, chunks, accept_metadata)
    _mend_indexes_of_store(parts, bench)


def _named_chunks(parts: StoreParts) -> set[int]:
    """Return the chunks that any name tells of, that of a record of extra data without a journal too."""
    listing = parts.listing()
    found = {*listing.chunks, *listing.with_index, *listing.without_index, *listing.journals}
    for name in os.listdir(parts.root):
        if name.startswith(".") and name.endswith(".records") and name[1:-8].isdigit():
            found.add(int(name[1:-8]))
        elif parts.extension is not None and name.endswith(".extra.json") and name[:-11].isdigit():
            found.add(int(name[:-11]))
    return found


def _mend_metadata_checksums(parts: StoreParts, bench: Bench, chunks: list[int], accept: bool) -> None:
    """Note ``metadata.yaml`` as it is now, where a person says that it is right."""
    path = os.path.join(parts.root, METADATA_FILENAME)
    found, accepted = file_checksum(path)[1], accepted_checksums(parts.root)
    other: list[tuple[int, dict[str, npt.NDArray[Any]]]] = []
    for chunk in chunks:
        with contextlib.suppress(ChunkIndexError):
            arrays = read_all_arrays(parts.base(chunk))
            if METADATA_NAME in arrays and not accepted.issuperset(arrays[METADATA_NAME].ravel().tolist()):
                other.append((chunk, arrays))
    if not other:
        return
    if not accept:
        message = "is not what it was when the chunks were written; --accept-metadata says that it is right"
        bench.leave(path, None, message)
        return

    def note() -> None:
        for chunk, arrays in other:
            bench.aside.keep(parts.base(chunk) + ".npz")
            numbers, times = arrays.pop("frame_number"), arrays.pop("frame_time")
            arrays[METADATA_NAME] = np.array([found], np.uint64)
            write_chunk_index(parts.base(chunk), numbers, times, arrays)

    bench.do("metadata", path, None, f"noted as it is now in the indexes of {len(other)} chunks", note)


def _mend_indexes_of_store(parts: StoreParts, bench: Bench) -> None:
    """Make the indexes of all chunks together anew, where they do not agree with the chunks."""
    chunks = finished_chunks(parts.root, parts.extension, parts.listing())
    bases = chunk_bases(parts.root, chunks, parts.extension)
    counts = {}
    for chunk, base in bases:
        with contextlib.suppress(ChunkIndexError):
            counts[chunk] = len(read_chunk_index(base)[0])
    changed = any(action.kind in ("index", "set aside") for action in bench.actions)
    path = os.path.join(parts.root, CACHE_FILENAME)
    if os.path.lexists(path) or changed:
        wrong = disagreement_of_cache(parts, chunks, counts) if os.path.lexists(path) else "is not there"
        if wrong is not None or (changed and bench.dry_run):
            bench.do(
                "cache", path, None, "made anew from the chunks",
                lambda: ImgStoreIndex.new_from_chunks(bases).write_cache(path),
            )  # fmt: skip

    def make_anew(path: str) -> None:
        bench.aside.keep(path)
        ImgStoreIndex.new_from_chunks(bases).to_file(path)

    for path in sqlite_indexes(parts.root):
        wrong = disagreement_of_sqlite(parts, path, counts)
        if wrong is not None or (changed and bench.dry_run):
            bench.do(
                "sqlite index", path, None,
                f"made anew from the chunks; the one before is kept in {bench.aside.directory}",
                partial(make_anew, path),
            )  # fmt: skip
