"""Which frame of a store belongs to a step: by time or by number, as plain functions of arrays.

Positions count frames in store order from 0; -1 says that there is none. Among frames that are equally near, the first in
store order is taken. Steps are matched in blocks, so that what a block needs stays in the processor's cache, and memory does
not grow beyond the results.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

__all__ = ["Direction", "first_of_each", "match_numbers", "match_times", "usual_interval", "wrap_time"]

Direction = Literal["nearest", "backward", "forward"]
Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Positions = npt.NDArray[np.intp]

_BLOCK = 8192  # steps that are matched at once
_SAMPLE = 10_000  # intervals whose median is the usual one
_MOST_RUNS = 64  # that are looked through for a block of steps, before all are made one
_SLACK = 1e-6  # seconds, and a part of the tolerance: more than rounding can be wrong about where it ends
_FEW = 16  # times as many values as are wanted may lie among them, to be merged


def match_times(
    times: Floats,
    wanted: Floats,
    *,
    direction: Direction = "nearest",
    tolerance: float = math.inf,
    out: npt.NDArray[Any] | None = None,
) -> npt.NDArray[Any]:
    """Find the frame nearest in time to each step.

    Parameters
    ----------
    times : ndarray of float64, shape (n,)
        Times of the frames in seconds, in any order; NaN where there is none.
    wanted : ndarray of float64, shape (m,)
        Times of the steps, on the same clock; in order they are matched faster.
    direction : {'nearest', 'backward', 'forward'}
        Take the frame nearest in time, or the nearest of those that are not later, or of those that are not earlier.
    tolerance : float
        Seconds by which it may be away, itself included.
    out : ndarray of integers, shape (m,), optional
        To be filled.

    Returns
    -------
    ndarray of integers, shape (m,)
        Position of the frame of each step, -1 where there is none.
    """
    positions = np.empty(len(wanted), np.intp) if out is None else out
    frames = _Times(times)
    for block in _blocks(len(wanted)):
        found, distance = frames.nearest(wanted[block], direction)
        positions[block] = np.where((distance <= tolerance) & (distance < np.inf), found, -1)
    return positions


def match_numbers(
    numbers: Integers,
    times: Floats,
    wanted: Integers,
    moments: Floats,
    *,
    direction: Direction = "nearest",
    tolerance: float = math.inf,
    out: npt.NDArray[Any] | None = None,
) -> npt.NDArray[Any]:
    """Find the frame with the number of each step; of several, the one nearest in time.

    Parameters
    ----------
    numbers : ndarray of int64, shape (n,)
        Numbers of the frames, in any order, repeated or not.
    times : ndarray of float64, shape (n,)
        Their times in seconds; NaN where there is none.
    wanted : ndarray of int64, shape (m,)
        Numbers of the steps.
    moments : ndarray of float64, shape (m,)
        Times of the steps, on the same clock.
    direction : {'nearest', 'backward', 'forward'}
        As in `match_times`, of the frames with the number.
    tolerance : float
        Seconds by which the frame may be away; infinite: frames and steps without a time are matched too.
    out : ndarray of integers, shape (m,), optional
        To be filled.

    Returns
    -------
    ndarray of integers, shape (m,)
        Position of the frame of each step, -1 where there is none.
    """
    positions = np.empty(len(wanted), np.intp) if out is None else out
    frames = _Numbered(numbers, times, timed=tolerance < math.inf)
    for block, runs in zip(_blocks(len(wanted)), frames.runs_near(moments, tolerance), strict=True):
        number, moment = wanted[block], moments[block]
        if not runs:
            positions[block] = -1
            continue
        found, distance = frames.nearest(runs[0], number, moment, direction)
        for run in runs[1:]:  # most were found in the first one, and no frame of another can be nearer
            left = frames.may_be_nearer(run, moment, np.minimum(distance, tolerance))
            other, further = frames.nearest(run, number[left], moment[left], direction)
            before, until = found[left], distance[left]
            better = (other >= 0) & ((further < until) | ((further == until) & ((before < 0) | (other < before))))
            found[left], distance[left] = np.where(better, other, before), np.where(better, further, until)
        positions[block] = np.where(distance <= tolerance, found, -1)
    return positions


def first_of_each(numbers: Sequence[Integers]) -> tuple[Integers, list[Positions]]:
    """Say which numbers there are in any store, and where each store has each of them first.

    Parameters
    ----------
    numbers : sequence of ndarray of int64
        The frame numbers of each store, in store order.

    Returns
    -------
    union : ndarray of int64
        The numbers, ascending, each once.
    positions : list of ndarray of intp
        For each store the position of its first frame with each of these numbers, -1 where it has none.
    """
    firsts = [np.unique(of_store, return_index=True) for of_store in numbers]
    union = np.unique(np.concatenate([unique for unique, _ in firsts]))
    positions = []
    for unique, first in firsts:
        column = np.full(len(union), -1, np.intp)
        column[np.searchsorted(union, unique)] = first
        positions.append(column)
    return union, positions


def usual_interval(times: Floats) -> float:
    """Return the median of the times from one frame to the next, of some ten thousand of them; NaN where there is none."""
    if len(times) < 2:
        return math.nan
    at = np.unique(np.linspace(0, len(times) - 2, _SAMPLE).astype(np.intp))
    intervals = times[at + 1] - times[at]
    intervals = intervals[intervals > 0]
    return float(np.median(intervals)) if len(intervals) else math.nan


def wrap_time(numbers: Integers, times: Floats) -> float:
    """Return the seconds after which numbers that start again have come round; infinite where they do not.

    They start again where the number falls by more than half of the range that numbers have, to those that were there.
    """
    if not len(numbers):
        return math.inf
    lowest, highest = int(numbers.min()), int(numbers.max())
    falls = np.flatnonzero(numbers[1:] < numbers[:-1]) + 1
    depth = numbers[falls - 1].astype(np.float64) - numbers[falls]
    starts = np.append(0, falls[depth > (highest - lowest) / 2])
    begins, ends = np.minimum.reduceat(numbers, starts), np.maximum.reduceat(numbers, starts)
    order = np.argsort(begins)
    if not (begins[order][1:] <= np.maximum.accumulate(ends[order])[:-1]).any():
        return math.inf
    at = np.unique(np.linspace(0, len(numbers) - 2, _SAMPLE).astype(np.intp))
    steps = numbers[at + 1].astype(np.float64) - numbers[at]
    seconds = times[at + 1] - times[at]
    rising = (steps > 0) & (seconds > 0)
    if not rising.any():
        return math.inf
    return float(np.median(seconds[rising] / steps[rising])) * (highest - lowest + 1)


class _Times:
    """Frames in the order of their times, among which the nearest is found.

    Parameters
    ----------
    times : ndarray of float64
        In store order; NaN and infinite ones are nobody's nearest.
    """

    def __init__(self, times: Floats) -> None:
        times = _finite_or(times, np.inf)
        self._order = None if _ascend(times) else np.argsort(times, kind="stable")
        # infinite at both ends, so that there is a frame on either side of every moment
        self._padded = np.empty(len(times) + 2)
        self._padded[0], self._padded[-1] = -np.inf, np.inf
        self._times = self._padded[1:-1]
        self._times[:] = times if self._order is None else times[self._order]
        self._repeat = bool((self._times[1:] == self._times[:-1]).any())

    def nearest(self, moments: Floats, direction: Direction) -> tuple[Positions, Floats]:
        """Return the position of the nearest frame, and how far it is away, infinitely where there is none."""
        moments = _finite_or(moments, np.nan)
        after = _search(self._times, moments)
        before = after - 1
        earlier, later = self._padded[after], self._padded[after + 1]
        if self._repeat:
            same = np.flatnonzero(self._padded[before] == earlier)
            same = same[before[same] > 0]
            before[same] = np.searchsorted(self._times, earlier[same])
        return _choose(before, after, earlier, later, moments, direction, self._order)


class _Numbered:
    """Frames in runs, in each of which numbers ascend; those of a number are in the order of their times.

    Parameters
    ----------
    numbers, times : ndarray
        In store order.
    timed : bool
        Whether frames without a time belong to no step; otherwise to any with their number.
    """

    def __init__(self, numbers: Integers, times: Floats, *, timed: bool) -> None:
        self._order: Positions | None = None
        self._timed = timed
        if timed and not np.isfinite(times).all():
            self._order = np.flatnonzero(np.isfinite(times))
            numbers, times = numbers[self._order], times[self._order]
        self._numbers, self._times = numbers, _finite_or(times, np.inf)
        self._starts = (
            np.append(0, np.flatnonzero(numbers[1:] < numbers[:-1]) + 1) if len(numbers) else np.empty(0, int)
        )
        if not _ascend(self._times):
            self._sort()
        self._look_for_repeats()

    def _sort(self) -> None:
        """Make one run of all."""
        order = np.lexsort((self._times, self._numbers))
        self._order = order if self._order is None else self._order[order]
        self._numbers, self._times = self._numbers[order], self._times[order]
        self._starts = np.zeros(1, int)

    def _look_for_repeats(self) -> None:
        self._repeat = bool((self._numbers[1:] == self._numbers[:-1]).any())

    def runs_near(self, moments: Floats, tolerance: float) -> list[list[slice]]:
        """Return for each block of steps the runs that may hold their frames."""
        blocks = _blocks(len(moments))
        if not len(self._numbers) or not blocks:
            return [[] for _ in blocks]
        if self._timed and len(self._starts) > 1:
            edges = [block.start for block in blocks]
            reach = tolerance * (1 + _SLACK) + _SLACK
            low, high = np.fmin.reduceat(moments, edges) - reach, np.fmax.reduceat(moments, edges) + reach
            first = np.searchsorted(self._times[np.append(self._starts[1:], len(self._times)) - 1], low)
            last = np.searchsorted(self._times[self._starts], high, "right")
            if np.maximum(last - first, 0).sum() <= _MOST_RUNS * len(blocks):
                ends = [*self._starts[1:].tolist(), len(self._numbers)]
                runs = [slice(*limits) for limits in zip(self._starts.tolist(), ends, strict=True)]
                middle = moments[[(block.start + block.stop) // 2 for block in blocks]]
                there = np.searchsorted(self._times[self._starts], middle, "right") - 1
                near = zip(first.tolist(), last.tolist(), np.clip(there, first, last).tolist(), strict=True)
                return [runs[k:e] + runs[f:k] for f, e, k in near]
        if len(self._starts) > 1:
            self._sort()
            self._look_for_repeats()
        return [[slice(0, len(self._numbers))] for _ in blocks]

    def may_be_nearer(self, run: slice, moments: Floats, distance: Floats) -> Positions:
        """Say at which moments a run may have a frame that is not further than what was found."""
        first, last = self._times[run.start], self._times[run.stop - 1]
        return np.flatnonzero((first - moments <= distance) & (moments - last <= distance))

    def nearest(self, run: slice, numbers: Integers, moments: Floats, direction: Direction) -> tuple[Positions, Floats]:
        """Find the frames with these numbers in a run: their position (-1: none), and how far they are away."""
        at = _search(self._numbers[run], numbers) + run.start
        at[at == run.stop] = run.start
        there = self._numbers[at] == numbers
        several = np.empty(0, np.intp)
        if self._repeat:
            several = np.flatnonzero(there & (self._numbers[np.minimum(at + 1, run.stop - 1)] == numbers))
        away = self._times[at] - moments
        if direction != "nearest":
            there &= (away >= 0 if direction == "forward" else away <= 0) & np.isfinite(away)
        distance = np.where(there & ~np.isnan(away), np.abs(away), np.inf)  # NaN: it has the number, at whatever time
        found = np.where(there, at if self._order is None else self._order[at], -1)
        if len(several):
            low, number = at[several], numbers[several]
            high = np.searchsorted(self._numbers[run], number, "right") + run.start
            found[several], distance[several] = self._among(low, high, moments[several], direction)
        return found, distance

    def _among(
        self, low: Positions, high: Positions, moments: Floats, direction: Direction
    ) -> tuple[Positions, Floats]:
        """Find the nearest of the frames from `low` to `high`, which have the same key and are in the order of times."""
        moments = _finite_or(moments, -np.inf)
        after = _search_within(self._times, low, high, moments)
        has_before, has_after = after > low, after < high
        before = np.where(has_before, after - 1, low)
        after = np.where(has_after, after, high - 1)
        earlier = np.where(has_before, self._times[before], -np.inf)
        later = np.where(has_after, self._times[after], np.inf)
        before = np.where(has_before, _search_within(self._times, low, high, earlier), low)
        found, distance = _choose(before, after, earlier, later, moments, direction, self._order)
        without = np.flatnonzero(~(distance < np.inf))
        found[without] = -1
        if not self._timed and direction == "nearest":  # no frame has a time, or the step has none: the first will do
            for k in without.tolist():
                found[k] = low[k] if self._order is None else self._order[low[k] : high[k]].min()
        return found, distance


def _choose(
    before: Positions,
    after: Positions,
    earlier: Floats,
    later: Floats,
    moments: Floats,
    direction: Direction,
    order: Positions | None,
) -> tuple[Positions, Floats]:
    """Choose between the frames on both sides of a moment; return its position in the store, and how far it is away.

    Where there is none, its time is infinite. What is returned as position has no meaning where the distance is infinite.
    """
    with np.errstate(invalid="ignore"):  # of a step without a time
        ahead, behind = later - moments, moments - earlier
    if direction == "nearest":
        take_before = behind < ahead
        tie = np.flatnonzero(behind == ahead)
        if len(tie):
            # what rounding has taken from the differences decides, then store order
            gap = _rounded_off(moments[tie], earlier[tie]) - _rounded_off(later[tie], moments[tie])
            b, a = before[tie], np.minimum(after[tie], (1 << 62) if order is None else len(order) - 1)
            first = b < a if order is None else order[b] < order[a]
            take_before[tie] = (gap < 0) | (~(gap > 0) & first)
    else:
        take_before = ahead > 0 if direction == "backward" else np.zeros(len(moments), bool)
    distance = np.where(take_before, behind, ahead)
    found = np.where(take_before, before, after)
    if order is not None and len(order):
        found = order[np.clip(found, 0, len(order) - 1)]
    return found, distance


def _finite_or(values: Floats, other: float) -> Floats:
    finite = np.isfinite(values)
    return values if finite.all() else np.where(finite, values, other)


def _ascend(values: npt.NDArray[Any]) -> bool:
    return bool((values[1:] >= values[:-1]).all())


def _blocks(count: int) -> list[slice]:
    return [slice(begin, min(begin + _BLOCK, count)) for begin in range(0, count, _BLOCK)]


def _search(values: npt.NDArray[Any], wanted: npt.NDArray[Any]) -> Positions:
    """Find the first value that is not below each of those wanted; the same as `numpy.searchsorted`, which is slower.

    Where those wanted ascend, they and the values among which they lie are merged, in time that grows with both.
    """
    if not len(wanted):
        return np.empty(0, np.intp)
    if not _ascend(wanted):  # as of NaN
        return np.searchsorted(values, wanted)
    low, high = np.searchsorted(values, wanted[[0, -1]])
    if high - low > _FEW * len(wanted):
        return np.searchsorted(values, wanted)
    merged = np.concatenate([wanted, values[low:high]]).argsort(kind="stable")  # of equals, those wanted come first
    at: Positions = np.flatnonzero(merged < len(wanted)) + (low - np.arange(len(wanted)))
    return at


def _search_within(values: Floats, low: Positions, high: Positions, wanted: Floats) -> Positions:
    """Find the first value that is not below the one wanted, for each in a part of its own."""
    low, high = low.copy(), high.copy()
    while len(open_ := np.flatnonzero(low < high)):
        middle = (low[open_] + high[open_]) // 2
        less = values[middle] < wanted[open_]
        low[open_[less]] = middle[less] + 1
        high[open_[~less]] = middle[~less]
    return low


def _rounded_off(a: Floats, b: Floats) -> Floats:
    """Return what rounding has taken from each ``a - b``, exactly (Knuth's two-sum)."""
    with np.errstate(invalid="ignore", over="ignore"):
        difference = a - b
        part = difference - a
        rest = (a - (difference - part)) - (b + part)
    return np.where(np.isfinite(rest), rest, 0.0)
