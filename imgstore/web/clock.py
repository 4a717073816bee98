"""Times of frames as people read and type them, in the recording's own zone."""

from __future__ import annotations

import contextlib
import datetime
import math
import re
from typing import Any

from imgstore.errors import ArgumentError

__all__ = ["read_time", "round_times", "tell_time"]

_YEAR = 365 * 86400  # seconds: times below count from the start of the recording, and not from 1970
_STEPS = (
    *(part * 10.0**k for k in (-3, -2, -1) for part in (1, 2, 5)), 1, 2, 5, 10, 15, 30,
    *(60 * n for n in (1, 2, 5, 10, 15, 30)), *(3600 * n for n in (1, 2, 3, 6, 12)),
    *(86400 * n for n in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)),
)  # fmt: skip
_CLOCK = re.compile(
    r"(?:(?P<date>\d{4}-\d{2}-\d{2})[ T]+)?(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?P<part>\.\d{1,9})?)?",
    re.ASCII,
)
_SECONDS = re.compile(r"(?P<sign>[+-]?)(?P<value>\d{1,18}(?:\.\d{0,9})?)\s*s?", re.ASCII)


def tell_time(store: Any, seconds: float) -> str:
    """Tell a time of a store's: date and time with milliseconds, or seconds where it is no time since the epoch.

    Parameters
    ----------
    store : ImgStore
        Whose zone counts.
    seconds : float
        The time of a frame.
    """
    if not math.isfinite(seconds):
        return "no time"
    if seconds > _YEAR:
        try:
            moment = store.convert_frame_time_to_datetime(seconds)
            return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d} {moment:%Z}".rstrip()
        except (ValueError, OverflowError, OSError):  # beyond the calendar
            pass
    return f"{seconds:.3f} s"


def round_times(store: Any, first: float, last: float, most: int) -> list[float]:
    """Return times that are round on a clock of a store's zone, so many at most, ascending; none where there is no length.

    Parameters
    ----------
    store : ImgStore
        Whose zone counts.
    first, last : float
        Within which they lie.
    most : int
        How many are wanted.
    """
    if not (math.isfinite(first) and math.isfinite(last) and last > first):
        return []
    step = next((step for step in _STEPS if (last - first) / step < most), last - first)
    offset = 0.0
    if first > _YEAR:
        with contextlib.suppress(ValueError, OverflowError, OSError):  # beyond the calendar
            offset = (store.convert_frame_time_to_datetime(first).utcoffset() or datetime.timedelta()).total_seconds()
    begin = math.ceil((first + offset) / step)
    return [k * step - offset for k in range(begin, math.floor((last + offset) / step) + 1)]


def read_time(store: Any, text: str, near: float, first: float) -> float:
    """Return the time in seconds that somebody has typed.

    Parameters
    ----------
    store : ImgStore
        Whose zone counts.
    text : str
        ``14:03:20.5`` or ``2026-11-29 14:03:20``; seconds as frames have them; ``+90`` for seconds from the first frame.
    near : float
        A time whose day is meant where none is given.
    first : float
        Time of the first frame.

    Raises
    ------
    ArgumentError
        It is no time.
    """
    text = " ".join(text.split())
    seconds = _SECONDS.fullmatch(text)
    if seconds is not None:
        value = float(seconds["value"])
        return {"": value, "+": first + value, "-": -value}[seconds["sign"]]
    # the zone behind it, as tell_time shows it, is that of the recording anyway
    clock = _CLOCK.fullmatch(re.sub(r" [A-Za-z+\-:0-9]{1,9}$", "", text)) or _CLOCK.fullmatch(text)
    if clock is None:
        raise ArgumentError(f"{text!r} is no time: 14:03:20.5, 2026-11-29 14:03:20, +90 for seconds from the start")
    try:
        day = datetime.date.fromisoformat(clock["date"]) if clock["date"] else None
        time = datetime.time(int(clock["hour"]), int(clock["minute"]), int(clock["second"] or 0))
        here = store.convert_frame_time_to_datetime(near if math.isfinite(near) else 0.0)
        moment = datetime.datetime.combine(day or here.date(), time, here.tzinfo)
        return moment.timestamp() + float(clock["part"] or 0)
    except (ValueError, OverflowError, OSError) as error:
        raise ArgumentError(f"{text!r} is no time: {error}") from error
