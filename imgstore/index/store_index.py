"""The index of a whole store: its finished chunks, those that are being written, and what has come since."""

from __future__ import annotations

import math
import operator
import os
import warnings
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from imgstore.disk.chunk_index import read_chunk_index
from imgstore.disk.journal import RECORD_DTYPE, read_journal
from imgstore.disk.layout import Listing, chunk_base, chunk_bases, chunk_path, has_index, journal_path, list_store
from imgstore.errors import ChunkError, ImgStoreWarning, StaleIndexError
from imgstore.index.frame_index import ImgStoreIndex
from imgstore.index.stamps import read_stamps

__all__ = ["StoreIndex", "finished_chunks", "sort_out"]

_ChunkArrays = tuple[int, npt.NDArray[np.int64], npt.NDArray[np.float64]]


def finished_chunks(root: str, extension: str | None, listing: Listing) -> list[int]:
    """Return the chunks that have an index; a journal beside a directory without one says that it is not finished."""
    if extension is not None or not listing.journals:
        return listing.chunks
    return [n for n in listing.chunks if n not in listing.journals or has_index(root, extension, n)]


def sort_out(root: str, extension: str | None, listing: Listing) -> tuple[list[int], list[int], list[int]]:
    """Return the finished chunks, those that are being written, and videos of which nothing is known.

    The names are read one after the other. Of a chunk that was begun or finished meanwhile a video may be among them
    and neither journal nor index, and a directory, which has its index inside, without the journal.
    """
    finished = finished_chunks(root, extension, listing)
    begun, unknown = listing.journals.difference(finished), []
    if extension is None:
        newest = next((n for n in reversed(finished) if n not in listing.journals), None)
        if newest is not None and not has_index(root, extension, newest) and _has_journal(root, newest):
            finished, begun = [n for n in finished if n != newest], begun | {newest}
    else:
        for n in listing.without_index:
            if n in begun or _has_journal(root, n):
                begun |= {n}
            elif has_index(root, extension, n):
                finished = sorted([*finished, n])
            else:
                unknown.append(n)
    return finished, sorted(begun), unknown


def _has_journal(root: str, chunk: int) -> bool:
    return os.path.exists(journal_path(root, chunk))


class UnfinishedChunks(Protocol):
    """What the index asks those who read frames about a chunk that is being written."""

    def readable(self, chunk: int, records: npt.NDArray[Any]) -> int:
        """Return how many of the frames in a chunk's journal are whole."""

    def forget(self, chunks: Sequence[int]) -> None:
        """Ask again next time: these chunks may have grown."""


class StoreIndex:
    """Makes the index of a store and brings it up to date.

    Parameters
    ----------
    root : str
        The store's directory.
    extension : str or None
        Of its video files; None where chunks are directories.
    unfinished : UnfinishedChunks
        Tells how many frames of an unfinished chunk are whole.
    cached : bool
        Whether the cached index may be used.

    Attributes
    ----------
    index : ImgStoreIndex
        All frames, as of the last look at the directory.
    made : int
        How often it was made from nothing: frames that were there before may be others since then.
    """

    def __init__(self, root: str, extension: str | None, unfinished: UnfinishedChunks, *, cached: bool = True):
        self._root = root
        self._extension = extension
        self._unfinished_chunks = unfinished
        self._finished: list[int] = []  # in `_base`, from the lowest on without a gap in store order
        self._base: ImgStoreIndex | None = None
        self._unfinished: list[int] = []  # when the directory was listed
        self.made = 0
        self.index = self._look(cached, warn=True)

    def refresh(self) -> None:
        """Bring in what has been written since.

        Frames that were there keep their positions, unless their chunks have changed or are gone.
        """
        self._unfinished_chunks.forget(self._unfinished)  # they hold more frames now
        self.index = self._look(cached=False, warn=False)

    def _look(self, cached: bool, *, warn: bool) -> ImgStoreIndex:
        listing = list_store(self._root, self._extension)
        chunks, self._unfinished, unknown = sort_out(self._root, self._extension, listing)
        unfinished = []
        for n in self._unfinished:
            frames = self._read_journal(n)
            if frames is None:
                chunks = sorted([*chunks, n]) if has_index(self._root, self._extension, n) else chunks
            elif len(frames[1]):
                unfinished.append(frames)
        if warn:
            self._warn_of_gaps(unknown, listing.without_frames)
        # A chunk that could not be finished may be followed by others that could.
        first = min((n for n, _, _ in unfinished), default=math.inf)
        settled = chunks if first == math.inf else [n for n in chunks if n < first]
        base = self._index_of(settled, cached)
        if not unfinished:
            return base
        later = [self._read_chunk(n) for n in chunks if n > first]
        return base.extended(sorted([*unfinished, *later], key=operator.itemgetter(0)))

    def _index_of(self, chunks: list[int], cached: bool) -> ImgStoreIndex:
        """Return the index of finished chunks, which is the one at hand and what has come to it."""
        known, base = self._finished, self._base
        paths = chunk_bases(self._root, chunks, self._extension)
        if base is not None and chunks[: len(known)] == known and _is_unchanged(base):
            new = chunks[len(known) :]
            if new:
                stamps = read_stamps(path for _, path in paths[len(known) :])  # before they are read
                base = base.extended([self._read_chunk(n) for n in new], paths, stamps)
        else:
            base = ImgStoreIndex.open_cached(self._root, paths) if cached else None
            if base is None:
                base = ImgStoreIndex.new_from_chunks(paths)
            self.made += 1
        self._finished, self._base = chunks, base
        return base

    def _read_chunk(self, chunk: int) -> _ChunkArrays:
        try:
            return chunk, *read_chunk_index(chunk_base(self._root, chunk, self._extension))
        except ChunkError as error:
            warnings.warn(f"{error}; chunk {chunk} is left out", ImgStoreWarning, stacklevel=4)
            return chunk, np.empty(0, np.int64), np.empty(0, np.float64)

    def _read_journal(self, chunk: int) -> _ChunkArrays | None:
        """Read numbers and times of those frames of an unfinished chunk that are whole; None where it is finished."""
        while True:
            try:
                records = read_journal(self._root, chunk)
            except ChunkError as error:
                if not _has_journal(self._root, chunk):
                    return None
                warnings.warn(f"{error}; chunk {chunk} is left out", ImgStoreWarning, stacklevel=5)
                records = np.empty(0, RECORD_DTYPE)
            whole = self._unfinished_chunks.readable(chunk, records) if len(records) else 0
            if whole == len(records) or not self._has_changed(chunk, records):
                records = records[:whole]
                return chunk, records["frame_number"].astype(np.int64), records["frame_time"].astype(np.float64)
            self._unfinished_chunks.forget([chunk])

    def _has_changed(self, chunk: int, records: npt.NDArray[Any]) -> bool:
        """Whether a journal says something else by now than it did, and not only more."""
        try:
            # as bytes: a time may be NaN, which equals nothing
            return read_journal(self._root, chunk)[: len(records)].tobytes() != records.tobytes()
        except ChunkError:
            return True

    def _warn_of_gaps(self, without_index: list[int], without_frames: list[int]) -> None:
        for n in without_index:
            path = chunk_path(self._root, n, self._extension)
            why = "its recording was interrupted or goes on"
            warnings.warn(f"{path}: has no index, so its frames are not known: {why}", ImgStoreWarning, stacklevel=6)
        for n in without_frames:
            path = chunk_path(self._root, n, self._extension)
            why = "its index is still there; its frames are left out"
            warnings.warn(f"{path}: is missing, {why}", ImgStoreWarning, stacklevel=6)


def _is_unchanged(index: ImgStoreIndex) -> bool:
    try:
        index.see_unchanged()
    except StaleIndexError:
        return False
    return True
