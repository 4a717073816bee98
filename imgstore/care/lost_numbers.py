"""Numbers and times of frames whose own index is lost: from what is left of it, from copies, or estimated on request."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from imgstore.care.estimate import estimate
from imgstore.care.parts import StoreParts
from imgstore.disk.chunk_index import read_chunk_index
from imgstore.disk.layout import SQLITE_INDEX_FILENAME, chunk_bases
from imgstore.errors import ChunkIndexError, StaleIndexError
from imgstore.index.cache import CACHE_FILENAME, read_cache
from imgstore.index.frame_index import ImgStoreIndex

__all__ = ["Known", "LostNumbers"]

Numbers = npt.NDArray[np.int64]
Times = npt.NDArray[np.float64]


class Known(NamedTuple):
    """Numbers and times of all frames of a chunk, where they are from, and whether they are estimated."""

    numbers: Numbers
    times: Times
    source: str
    estimated: bool = False


@dataclass
class LostNumbers:
    """Finds the numbers and times of chunks whose own indexes are lost."""

    parts: StoreParts
    estimate_times: bool
    _copies: list[tuple[str, dict[int, tuple[Numbers, Times]]]] | None = field(default=None, init=False)

    def find(self, chunk: int, count: int) -> Known | None:
        """Return what is known of a chunk with so many frames; None where nobody knows."""
        with contextlib.suppress(ChunkIndexError):
            numbers, times = read_chunk_index(self.parts.base(chunk))
            if len(numbers) == count:
                return Known(numbers, times, "with what could be read of the old one")
        if self._copies is None:
            self._copies = [("from the cached index", self._from_cache()), ("from .index.sqlite", self._from_sqlite())]
        for source, copy in self._copies:
            if chunk in copy and len(copy[chunk][0]) == count:
                return Known(*copy[chunk], source)
        if not self.estimate_times:
            return None
        guess = estimate(count, self._neighbour(chunk, -1), self._neighbour(chunk, 1), self.parts.meta)
        return None if guess is None else Known(*guess, "with ESTIMATED numbers and times", estimated=True)

    def _from_cache(self) -> dict[int, tuple[Numbers, Times]]:
        """Read the cached index, where it is of this store: where it agrees with every chunk that can be read."""
        parts = self.parts
        listing = parts.listing()
        # a video whose own index is gone is not among the chunks that the names tell of now
        for chunks in (listing.chunks, sorted({*listing.chunks, *listing.without_index})):
            try:
                bases = chunk_bases(parts.root, chunks, parts.extension)
                cached = read_cache(os.path.join(parts.root, CACHE_FILENAME), parts.root, bases)
            except (ValueError, OSError, OverflowError, MemoryError):
                continue
            index = ImgStoreIndex(cached.frames, bases, verified=False)
            copy = {}
            for chunk in index.chunks:
                with contextlib.suppress(StaleIndexError):  # that part of the file is damaged
                    values = index.get_chunk_metadata(chunk)
                    copy[chunk] = np.array(values["frame_number"], np.int64), np.array(values["frame_time"], np.float64)
            if self._agrees(copy):
                return copy
        return {}

    def _from_sqlite(self) -> dict[int, tuple[Numbers, Times]]:
        """Read the index of 0.x; not the fork's, whose numbers may be no more than positions."""
        from imgstore.index.sqlite import read_sqlite_chunks

        path = os.path.join(self.parts.root, SQLITE_INDEX_FILENAME)
        if not os.path.exists(path):
            return {}
        try:
            copy = {chunk: (numbers, times) for chunk, numbers, times in read_sqlite_chunks(path)}
        except (ChunkIndexError, OSError):
            return {}
        return copy if self._agrees(copy) else {}

    def _agrees(self, copy: dict[int, tuple[Numbers, Times]]) -> bool:
        """Whether a copy has the same frames as every chunk that has a readable index."""
        for chunk, (numbers, times) in copy.items():
            try:
                own = read_chunk_index(self.parts.base(chunk))
            except ChunkIndexError:
                continue
            if not (np.array_equal(numbers, own[0]) and np.array_equal(times, own[1], equal_nan=True)):
                return False
        return True

    def _neighbour(self, chunk: int, step: int) -> tuple[Numbers, Times] | None:
        """Return numbers and times of the nearest chunk before (-1) or after (1) that has frames."""
        others = [n for n in self.parts.listing().chunks if (n - chunk) * step > 0]
        for n in sorted(others, key=lambda n: abs(n - chunk)):
            with contextlib.suppress(ChunkIndexError):
                numbers, times = read_chunk_index(self.parts.base(n))
                if len(numbers):
                    return numbers, times
        return None
