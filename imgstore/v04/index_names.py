"""What programs ask of ``store._index``: rows of the fork's table of frames, and the table itself."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from imgstore.errors import ArgumentError, FrameIndexError
from imgstore.v04.newer import tell_newer

if TYPE_CHECKING:
    import sqlite3

    from imgstore.index.look_ups import LookUps as _Base
else:
    _Base = object

__all__ = ["IndexNames"]

_SUMMARY = ("frame_time_min", "frame_time_max", "frame_min", "frame_max")


class IndexNames(_Base):
    """Mixed into `imgstore.index.ImgStoreIndex`."""

    def find_all(
        self, what: str, value: Any, exact_only: bool = True, past: bool | None = None, future: bool | None = None
    ) -> tuple[int, int, int, float]:
        """Return chunk, index in the chunk, number and time of a frame.

        Raises
        ------
        FrameIndexError
            There is none; also an IndexError.
        """
        position = self.find(what, value) if exact_only else self.find_nearest(what, value, past=past, future=future)
        if position < 0:
            raise FrameIndexError(
                f"no frame has the {what} {value!r}: the numbers are {self.frame_min} to {self.frame_max}"
            )
        return (*self.locate(position), *self.frame(position))

    def get_start_of_chunks(self) -> list[tuple[int, int]]:
        """Return each chunk with the number of its first frame."""
        return [(chunk, self.frame(self.chunk_start(chunk))[0]) for chunk in self.chunks]

    def get_timestamps(self, chunks: Iterable[int]) -> list[tuple[float]]:
        """Return the times of the frames of some chunks, as rows of one value."""
        return [(time,) for chunk in chunks for time in self.get_chunk_metadata(chunk)["frame_time"]]

    def _summary(self, what: str) -> float:
        if what not in _SUMMARY:
            raise ArgumentError(f"there is no summary of {what!r}, only of {', '.join(_SUMMARY)}")
        return float(getattr(self, what))

    @cached_property
    def _conn(self) -> sqlite3.Connection:
        """A database in memory, with the tables that the fork's ``index.db`` has."""
        tell_newer(
            "_index._conn",
            "frames_table(), frame_numbers and frame_times of the store have what it holds",
            stacklevel=3,
        )
        return self.to_memory()

    def to_memory(self) -> sqlite3.Connection:
        """Return the index as a database in memory."""
        raise NotImplementedError
