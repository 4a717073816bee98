"""The chunks of a store in a directory, and what their own indexes and journals say."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from imgstore.disk.checksums import HASH_NAME, checksum
from imgstore.disk.chunk_index import as_frame_numbers, as_frame_times, read_arrays, read_chunk_index
from imgstore.disk.journal import read_journal
from imgstore.disk.kept_arrays import KEPT_PREFIX
from imgstore.disk.layout import chunk_base, chunk_name
from imgstore.errors import ChunkError, ChunkIndexError, StaleIndexError
from imgstore.index.frame_index import ImgStoreIndex
from imgstore.index.store_index import StoreIndex, UnfinishedChunks
from imgstore.reading.chunks import Chunks
from imgstore.reading.same_recording import Recording
from imgstore.sources.directory import Directory
from imgstore.sources.source import Stamp

__all__ = ["NUMBER_NAME", "TIME_NAME", "StoreChunks"]

NUMBER_NAME, TIME_NAME = "frame_number", "frame_time"  # in the index of a chunk


class StoreChunks(Chunks):
    """The chunks of a store.

    Parameters
    ----------
    root : str
        The store's directory.
    extension : str or None
        Of its video files; None where chunks are directories.
    frame_extension : str
        Of the files of frames, where chunks are directories.
    recording : Recording, optional
        What must still lie there whenever a chunk is opened; default whatever does.
    """

    def __init__(self, root: str, extension: str | None, frame_extension: str, recording: Recording | None = None):
        self.root = root
        self.source = Directory(root)
        self._extension = extension
        self._frame_extension = frame_extension
        self._recording = recording
        self._contents: dict[int, int] = {}  # of the index of each chunk that was opened, a checksum

    def name(self, chunk: int) -> str:
        return chunk_name(chunk) + (self._extension or "")

    def frame_name(self, chunk: int, position: int) -> str:
        return f"{chunk:06d}/{position:06d}{self._frame_extension}"

    def stamp(self, chunk: int) -> Stamp:
        """Return what changes; of a chunk that still grows that is only the file's own number."""
        video = self.name(chunk)
        base = video.removesuffix(self._extension) if self._extension is not None else f"{video}/index"
        for index in (base + ".npz", base + ".yaml"):
            with contextlib.suppress(OSError):
                noted = self.source.stamp(index)
                return (*(self.source.stamp(video) if self._extension is not None else noted), *noted)
        try:
            return self.source.stamp(video)[:1]
        except OSError:
            return ()

    def index_arrays(
        self, chunk: int, names: Sequence[str], index: ImgStoreIndex | None
    ) -> Mapping[str, npt.NDArray[Any]]:
        """Return arrays of a chunk's own index, or of its journal; of the index of a video what its codec keeps there, too."""
        base = chunk_base(self.root, chunk, self._extension)
        told = [NUMBER_NAME, TIME_NAME, *names]
        try:
            arrays = dict(read_arrays(base, told, KEPT_PREFIX if self._extension is not None else None))
            if index is None:
                return arrays
            if NUMBER_NAME not in arrays or TIME_NAME not in arrays:  # YAML, or damaged
                arrays[NUMBER_NAME], arrays[TIME_NAME] = read_chunk_index(base)
            numbers, times = as_frame_numbers(arrays[NUMBER_NAME]), as_frame_times(arrays[TIME_NAME])
        except (ChunkIndexError, ValueError) as error:
            try:
                return self._journal_arrays(chunk, index)
            except ChunkError:
                if index is None:
                    return {}
                raise StaleIndexError(f"chunk {chunk} is in the index, but {error}") from error
        index.compare(chunk, numbers, times)
        content = checksum([np.ascontiguousarray(arrays[name]) for name in sorted(told) if name in arrays])
        if self._contents.setdefault(chunk, content) != content:
            raise StaleIndexError(f"{base}: chunk {chunk} was written anew since frames of it were read")
        return arrays

    def _journal_arrays(self, chunk: int, index: ImgStoreIndex | None) -> Mapping[str, npt.NDArray[Any]]:
        records = read_journal(self.root, chunk)
        if index is not None:
            index.compare(chunk, *(np.ascontiguousarray(records[n]) for n in (NUMBER_NAME, TIME_NAME)))
        return {} if self._extension is not None else {HASH_NAME: np.ascontiguousarray(records["content_hash"])}

    def options(self, chunk: int) -> Mapping[str, Any]:
        return {}

    def open_index(self, unfinished: UnfinishedChunks, *, cached: bool = True) -> StoreIndex:
        return StoreIndex(self.root, self._extension, unfinished, cached=cached)

    def check(self, chunk: int | None = None) -> None:
        if self._recording is not None:
            self._recording.check()

    def forget(self) -> None:
        self._contents.clear()
