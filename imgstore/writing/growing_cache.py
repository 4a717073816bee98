"""The cached index of a store that is written, which grows with every chunk. It is never needed: no recording fails for it."""

from __future__ import annotations

import logging
import os

import numpy as np
import numpy.typing as npt

from imgstore.disk.chunk_index import read_chunk_index
from imgstore.disk.layout import chunk_base
from imgstore.index.cache import CACHE_FILENAME, IndexBuilder

__all__ = ["GrowingCache"]

_log = logging.getLogger(__name__)


class GrowingCache:
    """Puts the cached index together while chunks come. The file is there after `finish`.

    Parameters
    ----------
    root : str
        The store's directory.
    extension : str or None
        Of its video files; None where chunks are directories.
    """

    def __init__(self, root: str, extension: str | None):
        self._root, self._extension = root, extension
        self._chunks: list[int] = []  # that are, or would be, in it
        self._builder = self._begin()

    def _begin(self) -> IndexBuilder | None:
        try:
            return IndexBuilder(os.path.join(self._root, CACHE_FILENAME))
        except OSError as error:
            _log.warning("%s: the index will not be cached: %s", self._root, error)
            return None

    def add(self, number: int, numbers: npt.NDArray[np.int64], times: npt.NDArray[np.float64]) -> None:
        """Take in the frame numbers and times of a chunk."""
        in_order = not self._chunks or number > self._chunks[-1]
        self._chunks.append(number)
        if self._builder is None or not in_order:  # `finish` sees to the order
            return
        base = chunk_base(self._root, number, self._extension)
        try:
            self._builder.add_chunk(number, os.path.relpath(base, self._root).replace(os.sep, "/"), numbers, times)
        except OSError as error:
            _log.warning("%s: the index will not be cached: %s", self._root, error)
            self._builder = None

    def abort(self) -> None:
        """Leave nothing of it behind."""
        if self._builder is not None:
            self._builder.abort()
            self._builder = None

    def finish(self) -> None:
        """Put it in place."""
        if self._builder is not None and self._chunks != sorted(self._chunks):
            # a chunk was completed after a later one, when there was space again
            numbers, self._chunks = sorted(self._chunks), []
            self._builder.abort()
            self._builder = self._begin()
            for number in numbers:
                self.add(number, *read_chunk_index(chunk_base(self._root, number, self._extension)))
        builder, self._builder = self._builder, None
        if builder is not None:
            try:
                builder.finish()
            except OSError as error:
                _log.warning("%s: the index is not cached: %s", self._root, error)
