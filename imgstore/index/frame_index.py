"""The index of a store: which chunk, and where in it, is a frame.

`ImgStoreIndex` is what stores look frames up in (`imgstore.index.look_ups`). This module knows where an index can
come from (the chunks' own indexes, the cache file, an SQLite database of imgstore 0.x) and finds out when it no
longer agrees with the chunks, which are always right.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from imgstore.disk.chunk_index import as_frame_numbers, as_frame_times, read_chunk_index
from imgstore.errors import ArgumentError, ChunkIndexError, ImgStoreWarning, StaleIndexError
from imgstore.index._index import FrameIndex, encode_block
from imgstore.index.cache import CACHE_FILENAME, IndexBuilder, chunk_names, read_cache
from imgstore.index.look_ups import LookUps

if TYPE_CHECKING:
    import mmap

__all__ = ["ImgStoreIndex"]

ChunkPaths = Sequence[tuple[int, str]]


class ImgStoreIndex(LookUps):
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
        Whether `frames` was made from these very files just now. If not, see `verify`.
    mapped : mmap.mmap, optional
        What `frames` looks into, to be closed with it.

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
        mapped: mmap.mmap | None = None,
    ) -> None:
        super().__init__(frames)
        self._chunk_paths = chunk_paths
        self._mapped = mapped
        self._unverified: set[int] = set() if verified else set(self._chunks)

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
        for chunk, path in paths:
            try:
                numbers, times = read_chunk_index(path)
            except ChunkIndexError as error:
                _warn_of_chunk(chunk, error)
                continue
            builder.add_chunk(chunk, path, numbers, times)
        frames = builder.finish()
        assert frames is not None
        return cls(frames, paths)

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

        The file is mapped, not read, so this takes milliseconds for any store. It is checked against the
        chunks that the directory has, against the first and the last of their own indexes, and against chunks
        that had no readable index. The other chunks are left to `verify`.

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
        except (ValueError, OSError, OverflowError, MemoryError) as error:
            _warn_of_cache(path, error)
            return None
        index = cls(cached.frames, chunk_paths, verified=False, mapped=cached.mapped)
        try:
            for chunk in {*index._chunks[:1], *index._chunks[-1:]}:
                index.verify(chunk)
            index._verify_chunks_without_frames()
        except StaleIndexError as error:
            _warn_of_cache(path, error)
            index.close()
            return None
        return index

    def extended(
        self,
        chunks: Sequence[tuple[int, npt.ArrayLike, npt.ArrayLike]],
        chunk_paths: ChunkPaths | None = None,
    ) -> ImgStoreIndex:
        """Make an index with further chunks, without copying this one.

        Parameters
        ----------
        chunks : sequence of (int, array_like, array_like)
            Number, frame numbers and times of each chunk, in store order after those that are there. They
            count as verified. A chunk without frames is left out.
        chunk_paths : sequence of (int, str), optional
            All chunks that the store has now, in place of those that this index knows.

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
        paths = self._chunk_paths if chunk_paths is None else chunk_paths
        new = ImgStoreIndex(self._frames.extended(table, data), paths, mapped=self._mapped)
        new._unverified = set(self._unverified)
        return new

    def __reduce__(self) -> tuple[Any, ...]:
        chunks = [(chunk, *self._arrays(chunk)) for chunk in self._chunks]
        return _unpickle, (chunks, list(self._chunk_paths), sorted(self._unverified))

    def close(self) -> None:
        """Let go of the mapped cache file. The index cannot be used any more, arrays that it gave can."""
        self._frames.close()
        mapped, self._mapped = self._mapped, None
        if mapped is not None:
            # an index extended from this one, or an array, may still look into the map: then it goes with
            # them
            with contextlib.suppress(BufferError):
                mapped.close()

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

        names = dict(self._chunk_paths)
        summary = {
            "frame_time_min": self.frame_time_min,
            "frame_time_max": self.frame_time_max,
            "frame_min": self.frame_min,
            "frame_max": self.frame_max,
        }
        chunks = ((chunk, names.get(chunk, ""), *self._arrays(chunk)) for chunk in self._chunks)
        write_sqlite(path, chunks, {name: float(value) for name, value in summary.items()})

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
            It cannot be written; what was there is untouched. On Windows, also when some process has the old
            one mapped.
        """
        missing = set(self._chunks).difference(chunk for chunk, _ in self._chunk_paths)
        if missing:
            raise ArgumentError(f"cannot write {os.fspath(path)}: chunk {min(missing)} has no path")
        names = chunk_names(Path(path).parent if os.path.dirname(path) else "", self._chunk_paths)
        builder = IndexBuilder(path, sync=sync)
        try:
            for (chunk, _), name in zip(self._chunk_paths, names, strict=True):
                builder.add_chunk(chunk, name, *self._arrays(chunk))
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
        self._chunk_paths = chunk_paths
        self.__dict__.pop("_path_of", None)

    # ---- does it still agree with the chunks?

    def verify(self, chunk_n: int) -> None:
        """Compare a chunk with its own index file, unless that has been done.

        Parameters
        ----------
        chunk_n : int
            Number of a chunk.

        Raises
        ------
        StaleIndexError
            They differ, or the file is gone; the index is to be built from the chunks.
        """
        if chunk_n not in self._unverified:
            return
        if chunk_n not in self._path_of:
            raise StaleIndexError(f"chunk {chunk_n} is in the index but not in the store")
        try:
            numbers, times = read_chunk_index(self._path_of[chunk_n])
        except ChunkIndexError as error:
            raise StaleIndexError(f"chunk {chunk_n} is in the index, but {error}") from error
        if not self._frames.holds(self._row_of[chunk_n], numbers, times):
            raise StaleIndexError(f"the index of chunk {chunk_n} at {self._path_of[chunk_n]} has changed")
        self._unverified.discard(chunk_n)

    def verify_all(self) -> None:
        """Compare all chunks with their own index files, as far as that has not been done.

        Raises
        ------
        StaleIndexError
            One differs; the index is to be built from the chunks.
        """
        if self._unverified:
            for chunk in self._chunks:
                self.verify(chunk)

    @property
    def verified(self) -> bool:
        """Whether all chunks have been compared with their own index files."""
        return not self._unverified

    def _verify_chunks_without_frames(self) -> None:
        """See that chunks that had no frames when the index was made still have none."""
        if len(self._chunk_paths) == len(self._chunks):
            return
        for chunk, path in self._chunk_paths:
            if chunk in self._row_of:
                continue
            try:
                numbers, _ = read_chunk_index(path)
            except ChunkIndexError as error:
                _warn_of_chunk(chunk, error)
                continue
            if len(numbers):
                raise StaleIndexError(f"chunk {chunk} at {path} had no readable index and has one now")

    @cached_property
    def _path_of(self) -> dict[int, str]:
        return dict(self._chunk_paths)


def _unpickle(chunks: list[Any], chunk_paths: list[tuple[int, str]], unverified: list[int]) -> ImgStoreIndex:
    index = ImgStoreIndex(FrameIndex(b"", b""), chunk_paths).extended(chunks)
    index._unverified = set(unverified)
    return index


def _warn_of_chunk(chunk: int, error: Exception) -> None:
    warnings.warn(f"chunk {chunk} is left out: {error}", ImgStoreWarning, stacklevel=3)


def _warn_of_cache(path: str, error: Exception) -> None:
    warnings.warn(
        f"{path}: the cached index is ignored and the chunks are read: {error}", ImgStoreWarning, stacklevel=3
    )
