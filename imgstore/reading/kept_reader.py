"""A chunk that was opened with what its codec had kept of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy.typing as npt

from imgstore.codec import ChunkReader

__all__ = ["KeptReader"]

Frame = npt.NDArray[Any]


class KeptReader(ChunkReader):
    """Reads through a reader that believes what was kept, until a frame cannot be read; from then on through another one.

    So what is wrong with a file is found, and told, as if nothing had been kept of it.

    Parameters
    ----------
    reader : ChunkReader
        Was opened with what was kept.
    open_again : callable
        Opens the chunk without it.
    """

    def __init__(self, reader: ChunkReader, open_again: Callable[[], ChunkReader]):
        self._reader = reader
        self._open_again: Callable[[], ChunkReader] | None = open_again

    def _believe_no_longer(self) -> None:
        if self._open_again is not None:
            reader, before = self._open_again(), self._reader
            self._reader, self._open_again = reader, None
            before.close()

    def read(self, position: int) -> Frame:
        if self._open_again is not None:
            with contextlib.suppress(Exception):
                return self._reader.read(position)
            self._believe_no_longer()
        return self._reader.read(position)

    def read_many(self, positions: Sequence[int], out: Sequence[Frame]) -> None:
        if self._open_again is not None:
            with contextlib.suppress(Exception):
                return self._reader.read_many(positions, out)
            self._believe_no_longer()
        return self._reader.read_many(positions, out)

    @property
    def frame_count(self) -> int:
        return self._reader.frame_count

    @property
    def description(self) -> bytes | None:
        return self._reader.description

    def frame_checksums(self) -> Sequence[int]:
        return self._reader.frame_checksums()

    def kept_arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        return self._reader.kept_arrays()

    @property
    def key_frames(self) -> Sequence[int]:
        return self._reader.key_frames

    @property
    def reads_ahead(self) -> bool:
        return self._reader.reads_ahead

    @property
    def nbytes(self) -> int:
        return self._reader.nbytes

    def idle(self) -> None:
        self._reader.idle()

    def close(self) -> None:
        self._reader.close()
