"""Indexes of a whole store, written on request, and its frames renumbered."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from imgstore.disk.layout import FORK_INDEX_FILENAME, SQLITE_INDEX_FILENAME, chunk_bases, list_store
from imgstore.disk.metadata import read_metadata
from imgstore.errors import ArgumentError
from imgstore.index.frame_index import ImgStoreIndex
from imgstore.index.sqlite_files import sqlite_indexes
from imgstore.index.store_index import finished_chunks
from imgstore.store.shared import Path, Shared

__all__ = ["Indexes", "index_of_chunks"]


class Indexes(Shared):
    """The part of `ImgStore` that writes indexes."""

    def save_index(self, path: Path | None = None) -> None:
        """Write the index as 0.x does, an SQLite file.

        Parameters
        ----------
        path : path-like, optional
            Where; default ``.index.sqlite`` in the store.
        """
        if path is None:
            self._check_is_store()
        target = os.fspath(path) if path is not None else os.path.join(self._root, SQLITE_INDEX_FILENAME)
        self._readable.ask_of_all(lambda index: index.to_file(target))

    def cache_index(self) -> str:
        """Leave a cached index in the store, with which it opens in milliseconds whatever its length; return its path.

        It is never needed, checked whenever it is used, and not seen by 0.x.
        """
        self._check_is_store()
        self._readable.check_recording()
        return _write_cache(self._root, self._meta.extension)

    def _write_sqlite_indexes(self, chunks: Sequence[int], save_index: bool) -> None:
        """Write those that other programs go by after something was written: that are there, or are wanted."""
        paths = set(sqlite_indexes(self._root))
        if save_index:
            paths.add(os.path.join(self._root, SQLITE_INDEX_FILENAME))
        if "framerate" in self._meta.values:  # programs that were written for the fork ask its file with SQL
            paths.add(os.path.join(self._root, FORK_INDEX_FILENAME))
        if paths:
            index = ImgStoreIndex.new_from_chunks(chunk_bases(self._root, chunks, self._meta.extension))
            for path in sorted(paths):
                index.to_file(path)

    def reindex(self) -> None:
        """Make the frames before the only frame number 0 negative, in the indexes and in the extra data.

        The old numbers are kept as ``_frame_number_before_reindex``.

        Raises
        ------
        FrameNotFoundError
            There is no frame number 0, or several; nothing is changed. Also a ValueError.
        """
        from imgstore.care.reindex import reindex

        self._check_is_store()
        reader = self._readable
        chunks = finished_chunks(self._root, self._meta.extension, list_store(self._root, self._meta.extension))
        reader.check_recording()
        reindex(self._root, chunk_bases(self._root, chunks, self._meta.extension))
        reader.reopen()


def index_of_chunks(root: str, numbers: Iterable[int]) -> ImgStoreIndex:
    """Return an index of some chunks of a store, in the order of their numbers, as if the others were not there.

    Raises
    ------
    ArgumentError
        One is not there.
    """
    extension = read_metadata(root).extension
    wanted = {int(n) for n in numbers}
    listing = list_store(root, extension)
    missing = wanted.difference(listing.chunks)
    if missing:
        raise ArgumentError(f"{root}: there is no chunk {min(missing)}; the chunks are {sorted(listing.chunks)}")
    return ImgStoreIndex.new_from_chunks(chunk_bases(root, sorted(wanted), extension))


def _write_cache(root: str, extension: str | None) -> str:
    from imgstore.index.cache import CACHE_FILENAME

    chunks = finished_chunks(root, extension, list_store(root, extension))
    path = os.path.join(root, CACHE_FILENAME)
    ImgStoreIndex.new_from_chunks(chunk_bases(root, chunks, extension)).write_cache(path)
    return path
