"""The index of a store: where it comes from, and where it goes.

`ImgStoreIndex` is what stores look frames up in (`imgstore.index.look_ups`). It is made from the chunks' own indexes,
from the cache file, or from an SQLite database of imgstore 0.x.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from imgstore.disk.chunk_index import as_frame_numbers, as_frame_times, read_chunk_index
from imgstore.errors import ArgumentError, ChunkIndexError, ImgStoreWarning, StaleIndexError
from imgstore.index._index import FrameIndex, encode_block
from imgstore.index.agreement import Agreement, ChunkPaths, unknown_stamps, warn_of_chunk
from imgstore.index.cache import CACHE_FILENAME, IndexBuilder, OldCacheError, chunk_names, read_cache
from imgstore.index.look_ups import LookUps
from imgstore.index.stamps import Stamps, read_stamps
from imgstore.v04.index_names import IndexNames

if TYPE_CHECKING:
    import sqlite3

__all__ = ["ImgStoreIndex"]


class ImgStoreIndex(IndexNames, LookUps):
    """Frame numbers and times of all frames of a store, and look-ups among them. It does not change.

    What is in it, and how frames are found, is in `imgstore.index.look_ups.LookUps`.

    Parameters
    ----------
    frames : FrameIndex
        The compiled index.
    chunk_paths : sequence of (int, str)
        All chunks of the store, those without frames too: number and path of the chunk's own index without
        extension.
    verified : bool
        Whether `frames` is known to have agreed with these very files. If not, see `verify`.
    stamps : array of int64, optional
        Size and time that they had then (`imgstore.index.stamps`).

    See Also
    --------
    ImgStoreIndex.new_from_chunks, ImgStoreIndex.open_cached, ImgStoreIndex.new_from_file
    """

    def __init__(
        self,
        frames: FrameIndex,
        chunk_paths: ChunkPaths = (),
        *,
        verified: bool = True,
        stamps: Stamps[int] | None = None,
    ) -> None:
        super().__init__(frames)
        unverified = set() if verified else set(self._chunks)
        self._agreement = Agreement(frames, self._chunks, chunk_paths, stamps, unverified)

    # ---- where an index comes from

    @classmethod
    def new_from_chunks(cls, chunk_n_and_chunk_paths: ChunkPaths) -> ImgStoreIndex:
        """Read the index of every chunk.

        Parameters
        ----------
        chunk_n_and_chunk_paths : sequence of (int, str)
            Number of each chunk, in store order, and path of its index without extension.

        Returns
        -------
        ImgStoreIndex

        Warns
        -----
        ImgStoreWarning
            The index of a chunk cannot be read; the frames of that chunk are left out.
        """
        paths = [(int(chunk), os.fspath(path)) for chunk, path in chunk_n_and_chunk_paths]
        builder = IndexBuilder()
        stamps = read_stamps(path for _, path in paths)  # before they are read, so that no change is missed
        for chunk, path in paths:
            try:
                numbers, times = read_chunk_index(path)
            except ChunkIndexError as error:
                warn_of_chunk(chunk, error)
                continue
            builder.add_chunk(chunk, path, numbers, times)
        frames = builder.finish()
        assert frames is not None
        return cls(frames, paths, stamps=stamps)

    @classmethod
    def new_from_file(cls, path: str | os.PathLike[str]) -> ImgStoreIndex:
        """Read an SQLite index, of this version or of imgstore 0.x.

        Parameters
        ----------
        path : str or PathLike
            The database, such as a store's ``.index.sqlite``.

        Returns
        -------
        ImgStoreIndex
            Not verified. The chunk paths in the database are those of the machine that wrote it; `bind` gives
            others.

        Raises
        ------
        ChunkIndexError
            The file is missing, damaged or something else.
        """
        from imgstore.index.sqlite import read_sqlite_chunks, read_sqlite_paths  # SQLite costs 2 MB

        paths = read_sqlite_paths(path)
        names = dict(paths)
        builder = IndexBuilder()
        for chunk, numbers, times in read_sqlite_chunks(path):
            builder.add_chunk(chunk, names.get(chunk, ""), numbers, times)
        frames = builder.finish()
        assert frames is not None
        return cls(frames, paths, verified=False)

    @classmethod
    def open_cached(cls, root: str | os.PathLike[str], chunk_paths: ChunkPaths) -> ImgStoreIndex | None:
        """Open the cached index of a store, if there is one and it is good.

        It must be of the chunks that the directory has. Each of their own indexes must have the size and the time
        that it had when the cache was written, or else is read and must hold the same: in a store that was copied
        without the times of its files all are read.

        Parameters
        ----------
        root : str or PathLike
            The store's directory.
        chunk_paths : sequence of (int, str)
            Number and path without extension, made by joining `root` and a name, of all its chunks in store
            order.

        Returns
        -------
        ImgStoreIndex or None
            None when there is no usable cache.

        Warns
        -----
        ImgStoreWarning
            There is one, but it is damaged or is not of these chunks.
        """
        path = os.path.join(os.fspath(root), CACHE_FILENAME)
        try:
            cached = read_cache(path, root, chunk_paths)
        except FileNotFoundError:
            return None
        except OldCacheError:
            return None  # by another version, or on another machine
        except (ValueError, OSError, OverflowError, MemoryError) as error:
            _warn_of_cache(path, error)
            return None
        index = cls(cached.frames, chunk_paths, stamps=cached.stamps)
        try:
            index._agreement.see_unchanged(cached.written)
        except StaleIndexError as error:
            _warn_of_cache(path, error)
            return None
        index._agreement.warn_of_unreadable()
        return index

    def extended(
        self,
        chunks: Sequence[tuple[int, npt.ArrayLike, npt.ArrayLike]],
        chunk_paths: ChunkPaths | None = None,
        stamps: Stamps[int] | None = None,
    ) -> ImgStoreIndex:
        """Make an index with further chunks, without copying this one.

        Parameters
        ----------
        chunks : sequence of (int, array_like, array_like)
            Number, frame numbers and times of each chunk, in store order after those that are there. They
            count as verified. A chunk without frames is left out.
        chunk_paths : sequence of (int, str), optional
            All chunks that the store has now: those that this index knows, and further ones.
        stamps : array of int64, optional
            What `read_stamps` gave of the further ones before they were read; default nothing is known.

        Returns
        -------
        ImgStoreIndex
            This one stays as it is. Closing either leaves the other usable.

        Raises
        ------
        ArgumentError
            The numbers or times are none, or of different lengths.
        """
        table, data, start = bytearray(), bytearray(), self.frame_count
        for chunk, frame_numbers, frame_times in chunks:
            try:
                numbers, times = as_frame_numbers(frame_numbers), as_frame_times(frame_times)
                if len(numbers) != len(times):
                    raise ValueError(f"{len(numbers)} frame numbers but {len(times)} frame times")
            except ValueError as error:
                raise ArgumentError(f"chunk {chunk}: {error}") from error
            if len(numbers):
                row, block = encode_block(chunk, start, len(data), numbers, times)
                table += row
                data += block
                start += len(numbers)
        known = self._agreement
        paths = known.paths if chunk_paths is None else chunk_paths
        further = unknown_stamps(paths[len(known.paths) :]) if stamps is None else stamps
        new = ImgStoreIndex(self._frames.extended(table, data), paths, stamps=known.stamps + further)
        new._agreement.unverified = set(known.unverified)
        return new

    def __reduce__(self) -> tuple[Any, ...]:
        chunks = [(chunk, *self._arrays(chunk)) for chunk in self._chunks]
        return _unpickle, (chunks, list(self._agreement.paths), sorted(self._agreement.unverified))

    def close(self) -> None:
        """Let go of what is in memory. The index cannot be used any more, arrays that it gave can."""
        self._frames.close()

    # ---- files

    def to_file(self, path: str | os.PathLike[str]) -> None:
        """Write the index as an SQLite database that imgstore 0.x reads too.

        Parameters
        ----------
        path : str or PathLike
            The database; one that is there is replaced.

        Raises
        ------
        StoreWriteError
            It cannot be written; what was there is untouched.
        """
        from imgstore.index.sqlite import write_sqlite

        write_sqlite(path, *self._tables())

    def to_memory(self) -> sqlite3.Connection:
        """Return the same database in memory, of as many bytes as the file has."""
        from imgstore.index.sqlite import in_memory

        return in_memory(*self._tables())

    def _tables(self) -> tuple[Iterator[tuple[int, str, Any, Any]], dict[str, float]]:
        names = dict(self._agreement.paths)
        summary = {
            "frame_time_min": self.frame_time_min,
            "frame_time_max": self.frame_time_max,
            "frame_min": self.frame_min,
            "frame_max": self.frame_max,
        }
        chunks = ((chunk, names.get(chunk, ""), *self._arrays(chunk)) for chunk in self._chunks)
        return chunks, {name: float(value) for name, value in summary.items()}

    def write_cache(self, path: str | os.PathLike[str], *, sync: bool = True) -> None:
        """Write the cache file, all at once or not at all.

        Parameters
        ----------
        path : str or PathLike
            ``CACHE_FILENAME`` in the store's directory.
        sync : bool
            Wait until it is on the disk.

        Raises
        ------
        ArgumentError
            A chunk of the index has no path below that directory.
        StoreWriteError
            It cannot be written; what was there is untouched.
        """
        paths, stamps = self._agreement.paths, self._agreement.stamps
        missing = set(self._chunks).difference(chunk for chunk, _ in paths)
        if missing:
            raise ArgumentError(f"cannot write {os.fspath(path)}: chunk {min(missing)} has no path")
        names = chunk_names(Path(path).parent if os.path.dirname(path) else "", paths)
        builder = IndexBuilder(path, sync=sync)
        try:
            for k, ((chunk, _), name) in enumerate(zip(paths, names, strict=True)):
                builder.add_chunk(chunk, name, *self._arrays(chunk), stamps[2 * k : 2 * k + 2])
            builder.finish()
        finally:
            builder.abort()  # does nothing once it is finished

    def bind(self, chunk_paths: ChunkPaths) -> None:
        """Say where the chunks of this index are now, for `verify`.

        Parameters
        ----------
        chunk_paths : sequence of (int, str)
            Number and path of the chunk's index without extension, of all chunks of the store.
        """
        self._agreement = Agreement(self._frames, self._chunks, chunk_paths, None, self._agreement.unverified)

    # ---- does it still agree with the chunks?

    def compare(self, chunk_n: int, frame_numbers: npt.NDArray[np.int64], frame_times: npt.NDArray[np.float64]) -> None:
        """Compare a chunk with what has just been read of its own index, or of its journal while it is written.

        Raises
        ------
        StaleIndexError
            They differ; the index is to be built from the chunks.
        """
        self._agreement.compare(chunk_n, frame_numbers, frame_times)

    def verify(self, chunk_n: int) -> None:
        """Compare a chunk with its own index file, unless it is known to have agreed.

        Parameters
        ----------
        chunk_n : int
            Number of a chunk.

        Raises
        ------
        StaleIndexError
            They differ, or the file is gone; the index is to be built from the chunks.
        """
        self._agreement.verify(chunk_n)

    def verify_all(self) -> None:
        """Compare all chunks with their own index files, as far as they are not known to have agreed.

        Raises
        ------
        StaleIndexError
            One differs; the index is to be built from the chunks.
        """
        if self._agreement.unverified:
            for chunk in self._chunks:
                self._agreement.verify(chunk)

    def see_unchanged(self) -> None:
        """Compare with the chunks whose own index files have another size or time than they had when it was made.

        Raises
        ------
        StaleIndexError
            One differs; the index is to be built from the chunks.
        """
        self._agreement.see_unchanged()

    @property
    def verified(self) -> bool:
        """Whether all chunks are known to have agreed with their own index files."""
        return not self._agreement.unverified


def _unpickle(chunks: list[Any], chunk_paths: list[tuple[int, str]], unverified: list[int]) -> ImgStoreIndex:
    index = ImgStoreIndex(FrameIndex(b"", b""), chunk_paths).extended(chunks)
    index._agreement.unverified = set(unverified)
    return index


def _warn_of_cache(path: str, error: Exception) -> None:
    warnings.warn(
        f"{path}: the cached index is ignored and the chunks are read: {error}", ImgStoreWarning, stacklevel=3
    )
