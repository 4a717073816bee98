"""Which frames somebody means by a start and an end: positions, numbers, seconds from the first frame, or dates."""

from __future__ import annotations

import contextlib
import datetime
import math
import operator
import re
from typing import Any

import numpy as np
import numpy.typing as npt

from imgstore.errors import ArgumentError
from imgstore.local_time import is_date

__all__ = ["Place", "find_range"]

Place = int | float | str | datetime.datetime | datetime.timedelta

_POSITION = re.compile(r"-?\d+\Z", re.ASCII)
_NUMBER = re.compile(r"n(-?\d+)\Z", re.ASCII)
_SECONDS = re.compile(r"(-?)(\d+(?:\.\d*)?|\.\d+)\s*s\Z", re.ASCII)
_CLOCK = re.compile(r"(-?)(?:(\d+):)?(\d+):(\d+(?:\.\d*)?)\Z", re.ASCII)
_NEAR = 1e-6  # seconds: those since 1970 are known to a quarter of that
_WANTED = (
    "give a position (250, or -1 for the last frame), a frame number (n250), seconds from the first frame (10.5s, 1:30),"
    " or a date (2024-05-01T14:30:00)"
)


def find_range(store: Any, start: Place | None, end: Place | None) -> tuple[int, int]:
    """Find the frames from `start` to before `end`.

    Parameters
    ----------
    store : imgstore.store.ImgStore
        Open for reading.
    start, end : int, float, str, datetime.datetime or datetime.timedelta, optional
        See `imgstore.export`.

    Returns
    -------
    tuple of int
        Position of the first frame, and that behind the last one.

    Raises
    ------
    ArgumentError
        A place cannot be understood, or there is no frame from the one to before the other.
    """
    first = 0 if start is None else _position(store, start, "start")
    stop = store.frame_count if end is None else _position(store, end, "end")
    if not 0 <= first < stop:
        text = " ".join(f"{name} {place}" for name, place in (("from", start), ("to before", end)) if place is not None)
        raise ArgumentError(f"{store.filename}: there is no frame {text}".rstrip() + _held(store))
    return first, stop


def _held(store: Any) -> str:
    """Say where there are frames."""
    if not store.frame_count:
        return ""
    numbers, times = store.frame_numbers, store.frame_times
    dates = ""
    if is_date(times[0]):
        with contextlib.suppress(ValueError, OverflowError, OSError):  # beyond the calendar
            first, last = (datetime.datetime.fromtimestamp(float(t), store.created[1]) for t in (times[0], times[-1]))
            dates = f", dates from {first:%Y-%m-%dT%H:%M:%S} to {last:%Y-%m-%dT%H:%M:%S}"
    return (
        f": positions go from 0 to {len(times) - 1}, numbers from n{numbers[0]} to n{numbers[-1]}, seconds from 0s to "
        f"{times[-1] - times[0]:.3f}s{dates}"
    )


def _position(store: Any, place: Place, name: str) -> int:
    """Return the position of a place, that behind the last frame where it is beyond."""
    if isinstance(place, str):
        number = _NUMBER.match(place.strip())
        return _of_number(store, int(number[1])) if number else _position(store, _parsed(place, name), name)
    count: int = store.frame_count
    if isinstance(place, datetime.datetime):
        if place.tzinfo is None:
            place = place.replace(tzinfo=store.created[1])
        return _first_from(store.frame_times, place.timestamp())
    if isinstance(place, datetime.timedelta):
        place = place.total_seconds()
    if isinstance(place, float):
        if not math.isfinite(place):
            raise ArgumentError(f"{name}={place!r}: {_WANTED}")
        times = store.frame_times
        if not count:
            return 0
        return _first_from(times, float(times[0] if place >= 0 else times[-1]) + place)
    try:
        position = operator.index(place)
    except TypeError:
        raise ArgumentError(f"{name}={place!r}: {_WANTED}") from None
    return min(count, position if position >= 0 else max(0, count + position))


def _parsed(text: str, name: str) -> Place:
    text = text.strip()
    if _POSITION.match(text):
        return int(text)
    found = _SECONDS.match(text)
    if found is not None:
        return float(found[1] + found[2])
    found = _CLOCK.match(text)
    if found is not None:
        seconds = (int(found[2] or 0) * 60 + int(found[3])) * 60 + float(found[4])
        return -seconds if found[1] else seconds
    try:
        # as Python before 3.11 does not take it
        return datetime.datetime.fromisoformat(text.removesuffix("Z") + ("+00:00" if text.endswith("Z") else ""))
    except ValueError:
        raise ArgumentError(f"{name} {text!r}: {_WANTED}") from None


def _first_from(times: npt.NDArray[np.float64], moment: float) -> int:
    """Return the position of the first frame that is not earlier, that behind the last one where all are."""
    later = times >= moment - _NEAR
    return int(np.argmax(later)) if later.any() else len(times)


def _of_number(store: Any, number: int) -> int:
    """Return the position of the first frame with a number, or the next one where it was lost."""
    numbers = store.frame_numbers
    exact = np.flatnonzero(numbers == number)
    if len(exact):
        return int(exact[0])
    higher = numbers > number
    return int(np.argmax(higher)) if higher.any() else len(numbers)
