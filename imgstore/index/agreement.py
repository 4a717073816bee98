"""Whether the chunks' own indexes, which are always right, still say what the index of a store was made from."""

from __future__ import annotations

import array
import warnings
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from imgstore.disk.chunk_index import read_chunk_index
from imgstore.errors import ChunkIndexError, ImgStoreWarning, StaleIndexError
from imgstore.index._index import FrameIndex
from imgstore.index.stamps import Stamps, read_stamps

__all__ = ["Agreement", "ChunkPaths", "unknown_stamps", "warn_of_chunk"]

ChunkPaths = Sequence[tuple[int, str]]


class Agreement:
    """Compares an index with the chunks, by the sizes and times of their index files, and by what they hold.

    Parameters
    ----------
    frames : FrameIndex
        The index.
    chunks : sequence of int
        Numbers of the chunks that have a row in it, in its order.
    paths : sequence of (int, str)
        All chunks of the store, those without frames too: number and path of the chunk's own index without
        extension.
    stamps : array of int64, optional
        What `read_stamps` gave of these paths before they were read; default nothing is known.
    unverified : set of int
        Chunks of which it is not known that they ever agreed.
    """

    def __init__(
        self,
        frames: FrameIndex,
        chunks: Sequence[int],
        paths: ChunkPaths,
        stamps: Stamps[int] | None,
        unverified: set[int],
    ) -> None:
        self._frames = frames
        self._chunks = chunks
        self.paths = paths
        self.stamps = unknown_stamps(paths) if stamps is None else stamps
        self.unverified = unverified

    def compare(self, chunk: int, frame_numbers: npt.NDArray[np.int64], frame_times: npt.NDArray[np.float64]) -> None:
        """Compare a chunk with what has been read of it; a chunk that was unfinished may have grown.

        Raises
        ------
        StaleIndexError
            They differ; the index is to be built from the chunks.
        """
        row = self._row_of.get(chunk)
        if row is None:
            agrees = not len(frame_numbers)
        elif chunk in self._path_of:
            agrees = self._frames.holds(row, frame_numbers, frame_times)
        else:
            count = self._frames.row_size(row)
            agrees = self._frames.holds(row, frame_numbers[:count], frame_times[:count])
        if not agrees:
            raise StaleIndexError(f"the index of chunk {chunk} at {self._path_of.get(chunk, '?')} has changed")
        self.unverified.discard(chunk)

    def verify(self, chunk: int) -> None:
        """Compare a chunk with its own index file, unless it is known to have agreed."""
        if chunk in self.unverified:
            if chunk not in self._path_of:
                raise StaleIndexError(f"chunk {chunk} is in the index but not in the store")
            self._compare_file(chunk, self._path_of[chunk])

    def see_unchanged(self, written: int | None = None) -> None:
        """Compare with the index files that have another size or time than they had.

        Parameters
        ----------
        written : int, optional
            When it was noted what they had, in nanoseconds. A file that is not older may have changed since then
            without a change of its time, since clocks of file systems tick slowly.

        Raises
        ------
        StaleIndexError
            One holds something else.
        """
        before, now = self.stamps, read_stamps(path for _, path in self.paths)
        young = written is not None and any(moment >= written for moment in now[1::2])
        if young or now.tobytes() != before.tobytes():
            for k, (chunk, path) in enumerate(self.paths):
                pair = slice(2 * k, 2 * k + 2)
                if now[pair] != before[pair] or (written is not None and now[2 * k + 1] >= written):
                    self._compare_file(chunk, path)
        self.stamps = now

    def warn_of_unreadable(self) -> None:
        """Say which chunks have no frames here because their own indexes cannot be read."""
        if len(self.paths) == len(self._chunks):
            return
        for chunk, path in self.paths:
            if chunk not in self._row_of:
                try:
                    read_chunk_index(path)
                except ChunkIndexError as error:
                    warn_of_chunk(chunk, error)

    def _compare_file(self, chunk: int, path: str) -> None:
        try:
            numbers, times = read_chunk_index(path)
        except ChunkIndexError as error:
            if chunk not in self._row_of:
                return  # it could not be read before
            raise StaleIndexError(f"chunk {chunk} is in the index, but {error}") from error
        self.compare(chunk, numbers, times)

    @cached_property
    def _row_of(self) -> dict[int, int]:
        return {chunk: row for row, chunk in enumerate(self._chunks)}

    @cached_property
    def _path_of(self) -> dict[int, str]:
        return dict(self.paths)


def unknown_stamps(paths: ChunkPaths) -> Stamps[int]:
    """Return stamps that no file has, so that all are compared by what they hold."""
    return array.array("q", [-2]) * (2 * len(paths))


def warn_of_chunk(chunk: int, error: Exception) -> None:
    """Say that a chunk's own index cannot be read."""
    warnings.warn(f"chunk {chunk} is left out: {error}", ImgStoreWarning, stacklevel=4)
