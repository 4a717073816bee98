"""Much data for few pixels: minimum, maximum and count in each of some buckets of frames.

Nothing is left out: what is in one frame among millions is in the bucket of that frame, at every zoom.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Events", "Series", "edges_of", "find_events"]

Positions = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_BLOCK = 512  # rows that are summed up beforehand
_LONG = 1.5  # a pause is longer than this many usual intervals: less is a camera's jitter (as `imgstore info` has it)


def edges_of(start: int, stop: int, buckets: int) -> Positions:
    """Return the frames where buckets begin and end, ascending: no more buckets than frames."""
    count = max(1, min(buckets, stop - start))
    edges: Positions = start + (np.arange(count + 1, dtype=np.int64) * (stop - start)) // count
    return edges


class Series:
    """Values beside frames, from which minimum, maximum and count of any stretch are quickly told.

    Parameters
    ----------
    positions : ndarray of int64, shape (n,)
        Position of the frame of each value, ascending.
    values : ndarray of float64, shape (n,)
        NaN: there is none.
    """

    def __init__(self, positions: Positions, values: Floats):
        there = np.isfinite(values)
        self._positions, self._values = positions, values if there.all() else np.where(there, values, np.nan)
        self._there = None if there.all() else np.concatenate([[0], np.cumsum(there, dtype=np.int64)])
        starts = np.arange(0, len(values), _BLOCK)
        empty = np.empty(0)
        # the one of two that is a number, where the other is not
        self._block_low = np.fmin.reduceat(self._values, starts) if len(values) else empty
        self._block_high = np.fmax.reduceat(self._values, starts) if len(values) else empty

    def look(self, edges: Positions) -> tuple[Floats, Floats, Positions]:
        """Return minimum, maximum and count of the values in each bucket; infinite where there is none."""
        rows = np.searchsorted(self._positions, edges)
        count = np.diff(rows if self._there is None else self._there[rows])
        low, high = np.full(len(count), np.inf), np.full(len(count), -np.inf)
        first, last = -(-rows[:-1] // _BLOCK), rows[1:] // _BLOCK  # whole blocks within
        whole = last > first
        if whole.any():
            low[whole] = np.fmin(low[whole], _reduce(np.fmin, self._block_low, first[whole], last[whole]))
            high[whole] = np.fmax(high[whole], _reduce(np.fmax, self._block_high, first[whole], last[whole]))
        # and what is before and behind these, or all where there is no whole block
        head = np.where(whole, first * _BLOCK, rows[1:])
        tail = np.where(whole, last * _BLOCK, rows[1:])
        for a, b in ((rows[:-1], head), (tail, rows[1:])):
            some = b > a
            if some.any():
                low[some] = np.fmin(low[some], _reduce(np.fmin, self._values, a[some], b[some]))
                high[some] = np.fmax(high[some], _reduce(np.fmax, self._values, a[some], b[some]))
        return low, high, count


def _reduce(ufunc: Any, values: Floats, starts: Positions, stops: Positions) -> Floats:
    """Reduce stretches that ascend and do not overlap, none of them empty."""
    bounds = np.stack([starts, stops], axis=1).ravel()
    if bounds[-1] == len(values):
        bounds = bounds[:-1]  # the last one ends where the values do
    reduced: Floats = ufunc.reduceat(values, bounds)[::2]
    return reduced


@dataclass
class Events:
    """What happened before some frames: positions, ascending, and how much of it."""

    positions: Positions
    amounts: Floats

    def look(self, edges: Positions, how: str) -> list[list[float]]:
        """Return ``[bucket, amount, position of the first]`` for each bucket in which something happened.

        Parameters
        ----------
        edges : ndarray of int64
            See `edges_of`.
        how : {'sum', 'max'}
            What the amount of a bucket is.
        """
        first, last = np.searchsorted(self.positions, [edges[0], edges[-1]])
        positions, amounts = self.positions[first:last], self.amounts[first:last]
        if not len(positions):
            return []
        bucket = np.searchsorted(edges, positions, side="right") - 1
        starts = np.flatnonzero(np.diff(bucket, prepend=-1))
        total = (np.add if how == "sum" else np.maximum).reduceat(amounts, starts)
        rows = zip(bucket[starts].tolist(), total.tolist(), positions[starts].tolist(), strict=True)
        return [list(row) for row in rows]


def find_events(numbers: npt.NDArray[Any], times: Floats) -> tuple[dict[str, Events], float | None]:
    """Find what the index tells of a recording's faults.

    Returns
    -------
    dict of Events
        ``missing``: how many numbers are missing before the frame; ``pause``: seconds since the frame before;
        ``repeat``: the number is that of the frame before; ``back``: the number is lower; ``clock``: seconds by which the
        time is earlier.
    usual : float or None
        The usual interval in seconds.
    """
    unsigned = numbers.astype(np.uint64)  # numbers may span all of 64 bits
    more = numbers[1:] > numbers[:-1]
    step = np.where(more, unsigned[1:] - unsigned[:-1], np.uint64(1))
    interval = np.diff(times)
    forward = interval[interval > 0]
    usual = float(np.median(forward)) if len(forward) else None

    def events(mask: npt.NDArray[np.bool_], amounts: npt.NDArray[Any] | None = None) -> Events:
        at = np.flatnonzero(mask)
        return Events(at + 1, np.ones(len(at)) if amounts is None else amounts[at].astype(np.float64))

    found = {
        "missing": events(step > 1, step - np.uint64(1)),
        "pause": events(interval > usual * _LONG if usual is not None else np.zeros(len(interval), bool), interval),
        "repeat": events(numbers[1:] == numbers[:-1]),
        "back": events(numbers[1:] < numbers[:-1]),
        "clock": events(interval < 0, -interval),
    }
    return found, usual
