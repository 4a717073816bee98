"""What is in an index, and look-ups among its frames, in the words that imgstore 0.x has for them.

The look-ups themselves are compiled (`imgstore.index._index`).
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from imgstore.errors import ArgumentError
from imgstore.index._index import ROW_SIZE, FrameIndex

__all__ = ["LookUps"]

_ROW = np.dtype(
    [
        ("chunk", np.int64),
        ("start", np.int64),
        ("count", np.int64),
        ("rest", np.void, ROW_SIZE - 24),
    ]
)


class LookUps:
    """Frame numbers and times of all frames of a store, and look-ups among them. It does not change.

    A *position* counts frames in store order from 0. Numbers and times may be in any order; among equals the
    first in store order is found, and among those equally near too.

    Parameters
    ----------
    frames : FrameIndex
        The compiled index.
    """

    def __init__(self, frames: FrameIndex) -> None:
        self._frames = frames
        table = np.frombuffer(frames.table(), _ROW)
        self._starts: npt.NDArray[np.int64] = table["start"].copy()
        self._counts: npt.NDArray[np.int64] = table["count"].copy()
        self._chunks: tuple[int, ...] = tuple(table["chunk"].tolist())
        self._numbers = frames.number_range() or (math.nan, math.nan)
        self._times = frames.time_range()

    # ---- what is in it

    @property
    def chunks(self) -> tuple[int, ...]:
        """Numbers of the chunks that hold frames, in store order."""
        return self._chunks

    @property
    def frame_count(self) -> int:
        """Number of frames."""
        return self._frames.frame_count

    def __len__(self) -> int:
        return self._frames.frame_count

    @property
    def frame_min(self) -> int | float:
        """Lowest frame number; NaN when there are no frames."""
        return self._numbers[0]

    @property
    def frame_max(self) -> int | float:
        """Highest frame number; NaN when there are no frames."""
        return self._numbers[1]

    @property
    def frame_time_min(self) -> float:
        """Earliest time in seconds; NaN when there are none."""
        return self._times[0]

    @property
    def frame_time_max(self) -> float:
        """Latest time in seconds; NaN when there are none."""
        return self._times[1]

    @cached_property
    def frame_numbers(self) -> npt.NDArray[np.int64]:
        """Frame numbers by position: read-only array of int64, shape (frame_count,)."""
        numbers = self._frames.numbers()
        numbers.flags.writeable = False
        return numbers

    @cached_property
    def frame_times(self) -> npt.NDArray[np.float64]:
        """Times in seconds by position: read-only array of float64, shape (frame_count,)."""
        times = self._frames.times_in_place()
        if times is None:
            times = self._frames.times()
            times.flags.writeable = False
        return times

    def read_numbers(self) -> npt.NDArray[np.int64]:
        """Return what `frame_numbers` is as a new array, which is not kept."""
        return self._frames.numbers()

    def read_times(self) -> npt.NDArray[np.float64]:
        """Return what `frame_times` is as a new array, which is not kept."""
        return self._frames.times()

    def get_all_metadata(self) -> dict[str, list[Any]]:
        """Return numbers and times of all frames.

        Returns
        -------
        dict
            ``frame_number``, a list of int, and ``frame_time``, a list of float in seconds.
        """
        return {"frame_number": self._frames.numbers().tolist(), "frame_time": self._frames.times().tolist()}

    def get_chunk_metadata(self, chunk_n: int) -> dict[str, list[Any]]:
        """Return numbers and times of the frames of one chunk.

        Parameters
        ----------
        chunk_n : int
            Number of the chunk; one that is not there has no frames.

        Returns
        -------
        dict
            ``frame_number``, a list of int, and ``frame_time``, a list of float in seconds.
        """
        numbers, times = self._arrays(chunk_n)
        return {"frame_number": numbers.tolist(), "frame_time": times.tolist()}

    def chunk_start(self, chunk_n: int) -> int:
        """Return the position of the first frame of a chunk.

        Raises
        ------
        ArgumentError
            The chunk has no frames in this index.
        """
        return int(self._starts[self._row(chunk_n)])

    def chunk_count(self, chunk_n: int) -> int:
        """Return how many frames a chunk has; 0 for one that is not there."""
        return int(self._counts[self._row(chunk_n)]) if chunk_n in self._row_of else 0

    # ---- look-ups

    def find(self, what: str, value: Any) -> int:
        """Find a frame.

        Parameters
        ----------
        what : {'frame_number', 'frame_time', 'index'}
            What `value` is; ``index`` is the position.
        value : int or float
            Any kind of number, compared exactly.

        Returns
        -------
        int
            Position of the first such frame; -1 when there is none.

        Raises
        ------
        ArgumentError
            `value` is no number, or `what` none of the above.
        """
        if what == "frame_number":
            return self._frames.find_number(value)
        if what == "frame_time":
            return self._frames.find_time(value)
        if what == "index":
            return self._frames.find_position(value)
        raise _unknown(what)

    def find_nearest(self, what: str, value: Any, *, past: bool | None = None, future: bool | None = None) -> int:
        """Find the frame nearest to a value.

        Parameters
        ----------
        what : {'frame_number', 'frame_time', 'index'}
            What `value` is; ``index`` is the position.
        value : int or float
            Any kind of number but NaN.
        past, future : bool, optional
            Whether frames at or below `value`, and those at or above it, will do. Default both; where one is True, that one.

        Returns
        -------
        int
            Position of the first of the nearest frames; -1 when there are no frames, no times but NaN, or none on that side.

        Raises
        ------
        ArgumentError
            `value` is no number, or `what` none of the above.
        """
        if what == "frame_number":
            position = self._frames.nearest_number(value)
        elif what == "frame_time":
            position = self._frames.nearest_time(value)
        elif what == "index":
            position = self._frames.nearest_position(value)
        else:
            raise _unknown(what)
        if past is None and future is None:  # almost always, and this is asked a million times
            return position
        past, future = _sides(past, future)
        if position < 0 or (past and future):
            return position
        return self._nearest_on_a_side(what, value, position, past)

    def _nearest_on_a_side(self, what: str, value: Any, nearest: int, past: bool) -> int:
        """Find the nearest frame at or below a value (`past`), or at or above it, given the nearest of all."""
        found: Any = nearest if what == "index" else self.frame(nearest)[what == "frame_time"]
        if found <= value if past else found >= value:
            return nearest
        if what == "index":
            position = nearest - 1 if past else nearest + 1
            return position if 0 <= position < self.frame_count else -1
        # no value lies between the nearest and the one wanted, so that the next one beyond the nearest is looked for
        values: npt.NDArray[Any] = self.frame_numbers if what == "frame_number" else self.frame_times
        if self._ascending[what]:
            k = int(values.searchsorted(found)) - 1 if past else int(values.searchsorted(found, "right"))
            return int(values.searchsorted(values[k])) if 0 <= k < len(values) else -1
        there = values < found if past else values > found
        if not there.any():
            return -1
        return int(np.argmax(values == (values[there].max() if past else values[there].min())))

    def find_chunk(self, what: str, value: Any) -> tuple[int, int]:
        """Find a frame, as `find` does, and say in which chunk it is.

        Returns
        -------
        (int, int)
            Number of the chunk and index of the frame within it; (-1, -1) when there is none.
        """
        position = self.find(what, value)
        if position < 0:
            return -1, -1
        row, index = self._frames.locate(position)
        return self._chunks[row], index

    def find_chunk_nearest(
        self, what: str, value: Any, past: bool | None = None, future: bool | None = None
    ) -> tuple[int, int]:
        """Find the frame nearest to a value, as `find_nearest` does, and say in which chunk it is.

        Returns
        -------
        (int, int)
            Number of the chunk and index of the frame within it; (-1, -1) when there is none.
        """
        position = self.find_nearest(what, value, past=past, future=future)
        if position < 0:
            return -1, -1
        row, index = self._frames.locate(position)
        return self._chunks[row], index

    def locate(self, position: int) -> tuple[int, int]:
        """Say in which chunk a position is.

        Returns
        -------
        (int, int)
            Number of the chunk and index of the frame within it.

        Raises
        ------
        FrameIndexError
            There is no such position.
        """
        row, index = self._frames.locate(position)
        return self._chunks[row], index

    def frame(self, position: int) -> tuple[int, float]:
        """Return the frame number and the time in seconds at a position.

        Raises
        ------
        FrameIndexError
            There is no such position.
        """
        return self._frames.frame(position)

    # ---- helpers

    @cached_property
    def _ascending(self) -> dict[str, bool]:
        return {
            "frame_number": bool((self.frame_numbers[1:] >= self.frame_numbers[:-1]).all()),
            "frame_time": bool((self.frame_times[1:] >= self.frame_times[:-1]).all()),
        }

    @cached_property
    def _row_of(self) -> dict[int, int]:
        return {chunk: row for row, chunk in enumerate(self._chunks)}

    def _row(self, chunk_n: int) -> int:
        try:
            return self._row_of[chunk_n]
        except KeyError:
            raise ArgumentError(f"chunk {chunk_n!r} has no frames in this index") from None

    def _arrays(self, chunk_n: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        if chunk_n not in self._row_of:
            return self._frames.numbers(0, 0), self._frames.times(0, 0)
        start = self.chunk_start(chunk_n)
        stop = start + self.chunk_count(chunk_n)
        return self._frames.numbers(start, stop), self._frames.times(start, stop)


def _sides(past: bool | None, future: bool | None) -> tuple[bool, bool]:
    """Say on which sides of a value a frame may be."""
    sides = (not future if past is None else bool(past)), (not past if future is None else bool(future))
    if not any(sides):
        raise ArgumentError("a frame is before or behind: past and future cannot both be False")
    return sides


def _unknown(what: object) -> ArgumentError:
    return ArgumentError(f"cannot look up {what!r}, only 'frame_number', 'frame_time' and 'index'")
