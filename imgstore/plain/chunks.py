"""Plain files as chunks: a video is one, and all images together are one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from imgstore.codec import Survey
from imgstore.errors import StaleIndexError
from imgstore.index import ImgStoreIndex
from imgstore.index._index import FrameIndex
from imgstore.index.store_index import UnfinishedChunks
from imgstore.reading.chunks import Chunks
from imgstore.sources.named import Named
from imgstore.sources.source import Stamp

__all__ = ["ImageChunks", "VideoChunks"]

NumbersAndTimes = tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]


@dataclass
class _FixedIndex:
    """An index to which nothing comes."""

    index: ImgStoreIndex
    chunks: Chunks
    made: int = 0

    def refresh(self) -> None:
        """See that the files are what they were."""
        self.chunks.check()


class _PlainChunks(Chunks):
    """Files with numbers and times that are known of all their frames.

    Parameters
    ----------
    named : Named
        The files.
    frames : sequence of (numbers, times)
        Of each chunk.
    """

    def __init__(self, named: Named, frames: Sequence[NumbersAndTimes]):
        self.root = named.what
        self.source = named.source
        self._names = named.source.names()
        self._frames = frames

    def index_arrays(
        self, chunk: int, names: Sequence[str], index: ImgStoreIndex | None
    ) -> Mapping[str, npt.NDArray[Any]]:
        """Return nothing: no checksums are known."""
        return {}

    def open_index(self, unfinished: UnfinishedChunks, *, cached: bool = True) -> _FixedIndex:
        chunks = [(chunk, numbers, times) for chunk, (numbers, times) in enumerate(self._frames)]
        return _FixedIndex(ImgStoreIndex(FrameIndex(b"", b"")).extended(chunks), self)


class VideoChunks(_PlainChunks):
    """Videos, a chunk each.

    Parameters
    ----------
    named : Named
        The files.
    frames : sequence of (numbers, times)
        Of each of them.
    surveys : sequence of Survey
        What is known of each.
    stamps : sequence of Stamp
        What each was like then.
    """

    def __init__(
        self, named: Named, frames: Sequence[NumbersAndTimes], surveys: Sequence[Survey], stamps: Sequence[Stamp]
    ):
        super().__init__(named, frames)
        self._surveys = surveys
        self._stamps = stamps

    def name(self, chunk: int) -> str:
        return self._names[chunk]

    def frame_name(self, chunk: int, position: int) -> str:
        raise NotImplementedError("the frames of a video are no files")

    def stamp(self, chunk: int) -> Stamp:
        try:
            return self.source.stamp(self._names[chunk])
        except OSError:
            return ()

    def options(self, chunk: int) -> Mapping[str, Any]:
        self.check(chunk)
        return {"survey": self._surveys[chunk]}

    def check(self, chunk: int | None = None) -> None:
        """See that videos are what they were when they were surveyed."""
        for k in range(len(self._names)) if chunk is None else (chunk,):
            found = self.stamp(k)
            if found != self._stamps[k]:
                what = "has changed since it was opened; open it again" if found else "is not here any more"
                raise StaleIndexError(f"{self.path(k)}: {what}")


class ImageChunks(_PlainChunks):
    """Images, all of them one chunk. Nothing is known of each until it is read, and each is read as it is then."""

    def name(self, chunk: int) -> str:
        return "" if len(self._names) != 1 else self._names[0]

    def path(self, chunk: int) -> str:
        return self.root

    def frame_name(self, chunk: int, position: int) -> str:
        return self._names[position]

    def stamp(self, chunk: int) -> Stamp:
        return ()

    def options(self, chunk: int) -> Mapping[str, Any]:
        return {}

    def check(self, chunk: int | None = None) -> None:
        """Nothing was known that could have changed."""
