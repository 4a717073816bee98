"""Where clips are: segments of a store, such as trials, and the frames of the clips in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from imgstore.errors import ArgumentError

__all__ = ["By", "Cutter", "Ends", "Segment", "segments_in"]

By = Literal["position", "time"]
Ends = Literal["error", "repeat_last", "wrap"]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Segment:
    """Frames of a store from one position to another.

    Attributes
    ----------
    label : object
        What the table calls it.
    store : int
    begin, end : int
        Positions, the latter exclusive.
    """

    label: object
    store: int
    begin: int
    end: int


def segments_in(table: Any, segments_by: str, number: int, names: str, values: Any) -> list[Segment]:
    """Find the segments of a table that are in a store.

    Parameters
    ----------
    table : pandas.DataFrame
        With ``start`` and ``stop`` (exclusive), and ``store`` where there are several.
    segments_by : {'number', 'time'}
        What these are.
    number : int
        Of the store.
    names : str
        What messages call the store.
    values : ndarray
        Frame numbers or times of all its frames.

    Raises
    ------
    ArgumentError
        A segment has no frames, or its frames do not follow each other.
    """
    rows = table[table["store"] == number] if "store" in table else table
    ascending = bool((np.diff(values) > 0).all())
    found = []
    for label, start, stop in zip(rows.index, rows["start"], rows["stop"], strict=True):
        if ascending:
            begin, end = np.searchsorted(values, [start, stop]).tolist()
        else:
            inside = np.flatnonzero((values >= start) & (values < stop))
            begin, end = (int(inside[0]), int(inside[-1]) + 1) if len(inside) else (0, 0)
            if len(inside) != end - begin:
                raise ArgumentError(
                    f"{names}: the frames of segment {label!r}, {segments_by} {start} to {stop}, do not follow each other"
                )
        if begin >= end:
            raise ArgumentError(f"{names}: segment {label!r}, {segments_by} {start} to {stop}, has no frames")
        found.append(Segment(label, number, begin, end))
    return found


@dataclass(frozen=True)
class Cutter:
    """Cuts segments into clips.

    Attributes
    ----------
    length : int
        Frames of a clip.
    stride, step : float
        From one frame of a clip to the next, and from the beginning of a clip to that of the next one: frames, or seconds.
    by : {'position', 'time'}
    ends : {'error', 'repeat_last', 'wrap'}
        What becomes of clips that reach beyond the end of their segment.
    """

    length: int
    stride: float
    step: float
    by: By
    ends: Ends

    def cut(self, segment: Segment, times: npt.NDArray[np.float64] | None, names: str) -> Ints:
        """Return the positions of the frames of each clip of a segment, int64 (clips, length).

        Raises
        ------
        ArgumentError
            The segment is shorter than a clip, and `ends` is ``'error'``; or times go backwards.
        """
        within = np.arange(self.length) * self.stride
        if self.by == "position":
            count = segment.end - segment.begin
            begins = np.arange(0, count, int(self.step))
            wanted = begins[:, None] + within.astype(np.int64)
            there = wanted < count
        else:
            assert times is not None
            own = times[segment.begin : segment.end]
            if (np.diff(own) < 0).any():
                raise ArgumentError(f"{names}: the times of segment {segment.label!r} go backwards: cut it by position")
            usual = float(np.median(np.diff(own))) if len(own) > 1 else 0.0
            last = own[-1] + usual / 2
            moments = own[0] + np.arange(max(1, int(np.ceil((last - own[0]) / self.step)))) * self.step
            asked = moments[:, None] + within
            wanted, there = _nearest(own, asked), asked <= last
        if self.ends == "error":
            whole = there.all(axis=1)
            if not whole.any():
                raise ArgumentError(
                    f"{names}: segment {segment.label!r} has {segment.end - segment.begin} frames and holds no whole clip; "
                    "ends='repeat_last' or 'wrap' fills clips up"
                )
            wanted = wanted[whole]
        elif not there.all():
            valid = np.maximum(there.sum(axis=1), 1)[:, None]
            k = np.arange(self.length)
            k = np.minimum(k, valid - 1) if self.ends == "repeat_last" else k % valid
            wanted = np.take_along_axis(wanted, k, axis=1)
        return (wanted + segment.begin).astype(np.int64)


def _nearest(times: npt.NDArray[np.float64], asked: npt.NDArray[np.float64]) -> Ints:
    """Return the positions of the nearest of ascending times, the earlier one of two."""
    after = np.clip(np.searchsorted(times, asked), 0, len(times) - 1)
    before = np.maximum(after - 1, 0)
    return np.where(asked - times[before] <= times[after] - asked, before, after).astype(np.int64)
