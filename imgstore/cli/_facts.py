"""What can be told about a store without decoding a frame."""

from __future__ import annotations

import contextlib
import datetime
import os
from typing import Any

import numpy as np
import numpy.typing as npt

from imgstore.local_time import is_date

__all__ = ["describe_intervals", "describe_store", "find_gaps", "find_missing", "find_pauses", "find_zone_changes"]

# A pause between two frames is a gap where it is longer than this many usual ones: less is a camera's jitter.
GAP_FACTOR = 1.5
_MOST_DAYS = 10_000  # of which each is looked at


def describe_store(store: Any, *, size: bool = True) -> dict[str, Any]:
    """Gather what can be told about a store without decoding a frame.

    Parameters
    ----------
    store : imgstore.store.ImgStore
        Open for reading.
    size : bool
        Add up the sizes of its files, which takes time where there are millions.

    Returns
    -------
    dict
        Times in seconds, sizes in bytes; see `find_gaps` for ``gaps``, `describe_intervals` for ``intervals`` and
        `find_zone_changes` for ``daylight_saving``.
    """
    created, timezone = store.created
    numbers, times = store.frame_numbers, store.frame_times
    bytes_on_disk = _size(store) if size else None
    return {
        "path": os.path.abspath(store.filename),
        "uuid": store.uuid,
        "created": created,
        "timezone": str(timezone),
        "class": type(store).__name__,
        "format": store.format,
        "lossless": store.lossless,
        "shape": list(store.image_shape),
        "dtype": str(store.image_dtype),
        "frame_count": store.frame_count,
        "frame_number_first": numbers[0] if len(numbers) else None,
        "frame_number_last": numbers[-1] if len(numbers) else None,
        "frame_number_min": numbers.min() if len(numbers) else None,
        "frame_number_max": numbers.max() if len(numbers) else None,
        "frame_time_min": store.frame_time_min if len(numbers) else None,
        "frame_time_max": store.frame_time_max if len(numbers) else None,
        "duration": store.duration,
        "fps": store.fps,
        "intervals": describe_intervals(times),
        "gaps": find_gaps(numbers, times),
        "daylight_saving": find_zone_changes(times, timezone),
        "chunks": list(store.chunks),
        "size": bytes_on_disk,
        "bytes_per_frame": bytes_on_disk / len(numbers) if bytes_on_disk is not None and len(numbers) else None,
        "has_extra_data": bool(store.has_extra_data),
        "extra_data_columns": _extra_data_columns(store),
        "user_metadata": store.user_metadata,
    }


def find_gaps(numbers: npt.NDArray[Any], times: npt.NDArray[np.float64]) -> dict[str, Any]:
    """Find where numbers are missing or a pause is longer than usual.

    Parameters
    ----------
    numbers : numpy.ndarray, shape (n,), integer
        Frame numbers in store order.
    times : numpy.ndarray, shape (n,), float
        Frame times in seconds, in store order.

    Returns
    -------
    dict
        ``missing_numbers``: how many numbers were left out between one frame and the next; ``number_gaps``: a list of
        ``{frame_index, after, before, missing}``, `frame_index` being the position of the frame after the gap;
        ``repeated_numbers`` and ``backward_numbers``: how many frames have the number of the one before, or a lower
        one; ``usual_interval``: the median of the positive intervals (None where there is none); ``time_gaps``: a list
        of ``{frame_index, frame_number, seconds}`` for intervals above 1.5 times that; ``backward_times``: how many
        frames are earlier than the one before.
    """
    at, step = find_missing(numbers)
    pauses, usual = find_pauses(times)
    interval = np.diff(times)
    number_gaps = [
        {"frame_index": k + 1, "after": int(numbers[k]), "before": int(numbers[k + 1]), "missing": int(step[k]) - 1}
        for k in at.tolist()
    ]
    return {
        "missing_numbers": sum(gap["missing"] for gap in number_gaps),
        "number_gaps": number_gaps,
        "repeated_numbers": int(np.count_nonzero(numbers[1:] == numbers[:-1])),
        "backward_numbers": int(np.count_nonzero(numbers[1:] < numbers[:-1])),
        "usual_interval": usual,
        "time_gaps": [
            {
                "frame_index": k + 1,
                "frame_number": int(numbers[k + 1]),
                "seconds": float(interval[k]),
                "missing": int(step[k]) - 1,
            }
            for k in pauses.tolist()
        ],
        "frames_lost_by_time": sum(round(float(interval[k]) / usual) - 1 for k in pauses.tolist()) if usual else 0,
        "clock_steps": [
            {"frame_index": k + 1, "frame_number": int(numbers[k + 1]), "seconds": float(interval[k])}
            for k in np.flatnonzero(interval < 0).tolist()
        ],
        "backward_times": int(np.count_nonzero(interval < 0)),
    }


def find_missing(numbers: npt.NDArray[Any]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint64]]:
    """Return after which frames numbers are missing, and by how much each number is higher than the one before, at least 1."""
    # unsigned: numbers may span all of 64 bits, where a difference of int64 would wrap around
    unsigned = numbers.astype(np.uint64)
    step = np.where(numbers[1:] > numbers[:-1], unsigned[1:] - unsigned[:-1], np.uint64(1))
    return np.flatnonzero(step > 1), step


def find_pauses(times: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.int64], float | None]:
    """Return after which frames a pause is longer than usual, and the usual interval; see `find_gaps`."""
    interval = np.diff(times)
    forward = interval[interval > 0]
    if not len(forward):
        return np.zeros(0, np.int64), None
    usual = float(np.median(forward))
    return np.flatnonzero(interval > usual * GAP_FACTOR), usual


def describe_intervals(times: npt.NDArray[np.float64]) -> dict[str, float] | None:
    """Tell how regular times are.

    Returns
    -------
    dict or None
        ``shortest``, ``usual`` (the median), ``longest``, ``mean``, and ``jitter``: how far nine tenths of the intervals are from
        the usual one at most. All in seconds. None where there are fewer than two frames.
    """
    intervals = np.diff(times)
    intervals = intervals[np.isfinite(intervals)]
    if not len(intervals):
        return None
    usual = float(np.median(intervals))
    return {
        "shortest": float(intervals.min()),
        "usual": usual,
        "longest": float(intervals.max()),
        "mean": float(intervals.mean()),
        "jitter": float(np.quantile(np.abs(intervals - usual), 0.9)),
    }


def find_zone_changes(times: npt.NDArray[np.float64], zone: Any) -> list[dict[str, Any]]:
    """Find where the clocks of a zone change within a recording: summer time, and whatever else changes its offset.

    Returns
    -------
    list of dict
        ``time`` of the first second with the new offset, and the offsets ``before`` and ``after`` in seconds.
    """
    finite = times[np.isfinite(times)]
    if not len(finite) or not is_date(finite.min()):
        return []

    def offset(moment: int) -> float:
        found = datetime.datetime.fromtimestamp(moment, zone).utcoffset()
        return 0.0 if found is None else found.total_seconds()

    changes: list[dict[str, Any]] = []
    try:
        at, end = int(finite.min()), int(finite.max())
        if end - at > _MOST_DAYS * 86400:
            return []
        while at < end:
            low, high = at, min(at + 86400, end)
            if offset(low) != offset(high):
                before = offset(low)
                while high - low > 1:
                    middle = (low + high) // 2
                    low, high = (middle, high) if offset(middle) == before else (low, middle)
                changes.append({"time": high, "before": before, "after": offset(high)})
            at = max(high, at + 1)
    except (ValueError, OverflowError, OSError):  # beyond the calendar
        return []
    return changes


def _extra_data_columns(store: Any) -> list[str] | None:
    if not store.has_extra_data:
        return None
    table = store.get_extra_data(ignore_corrupt_chunks=True)
    return None if table is None else [str(column) for column in table.columns]


def _size(store: Any) -> int | None:
    """Return how many bytes a store has on the disk, or the files that are read as if they were one; None: not known."""
    if os.path.isdir(store.filename):
        return _size_on_disk(store.filename)
    paths = [file.path for file in store.chunk_files]
    return sum(map(os.path.getsize, paths)) if all(map(os.path.isfile, paths)) else None


def _size_on_disk(directory: str) -> int:
    total, waiting = 0, [directory]
    while waiting:
        # a directory that may not be read: that its chunk is left out was told
        with contextlib.suppress(PermissionError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                else:
                    with contextlib.suppress(OSError):  # a link to what is not there, or a file that has gone meanwhile
                        total += entry.stat().st_size
    return total
